//! The tool that reads the picture of the screen: find_text.

use rmcp::model::Tool;
use sandboxed_mcp::Answer;
use sandboxed_mcp::tools::{Effect, text};
use schemars::JsonSchema;
use serde::Deserialize;

use super::lines::{Found, find};
use super::read::{ENGLISH, read_screen};
use crate::error::{Problem, Result};
use crate::see::region;
use crate::session::Desktop;

/// Longest answer in bytes.
const LONGEST: usize = 16_000;
/// Longest name of languages.
const LONGEST_LANGUAGE: usize = 40;

/// Parameters of `find_text`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindTextParams {
    /// Id of the desktop [the newest]
    #[serde(default)]
    pub desktop: String,
    /// Words to find; case does not matter [all lines]
    #[serde(default)]
    text: String,
    /// Only in this part: [x0, y0, x1, y1] [whole screen]
    #[serde(default)]
    region: Vec<i32>,
    /// Number of the picture in whose pixels region is given [0: the whole screen's]
    #[serde(default)]
    picture: u32,
    /// Tesseract's name of the language, such as eng, deu or eng+jpn [eng]
    #[serde(default = "default_language")]
    language: String,
}

fn default_language() -> String {
    ENGLISH.to_owned()
}

/// The tools as clients see them.
///
/// # Errors
/// When a schema cannot be made.
pub fn tools() -> Result<Vec<Tool>, String> {
    Ok(vec![text::<FindTextParams>(
        "find_text",
        "Find text in the picture",
        "Reads text in the picture of the screen by OCR (a second or two) and returns lines, or each place of the words, \
         with the middle as x,y to click. For terminals, canvases and pictures; what programs tell themselves is in \
         snapshot, faster and exact.",
        Effect::Reads,
    )?])
}

/// `find_text`
///
/// # Errors
/// `not_installed`, `timed_out`, `off_screen`.
pub async fn find_text(desktop: &Desktop, params: FindTextParams) -> Result<Answer> {
    let named = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '+';
    let language = &params.language;
    let begins = language.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !begins || language.len() > LONGEST_LANGUAGE || !language.chars().all(named) {
        return Err(Problem::invalid("language", format!("{language:?} is no name of a language")));
    }
    let area = region(desktop, &params.region, params.picture).await?;
    let lines = read_screen(desktop, area, language).await?;
    let words = params.text.trim();
    let found: Vec<Found> = if words.is_empty() {
        lines.iter().filter_map(|line| line.whole()).collect()
    } else {
        find(&lines, words)
    };
    if found.is_empty() {
        let what = if words.is_empty() { "any text".to_owned() } else { format!("{words:?}") };
        return Ok(Answer::text(format!("OCR does not find {what} there.")));
    }
    Ok(Answer::text(told(desktop, &found)))
}

fn told(desktop: &Desktop, found: &[Found]) -> String {
    let whole = desktop.view().whole();
    let mut text = String::new();
    for (at, one) in found.iter().enumerate() {
        let line = one.told(&whole);
        if text.len() + line.len() > LONGEST {
            text += &format!("[{} more: give words or a region]", found.len() - at);
            break;
        }
        text += &line;
        text.push('\n');
    }
    text
}
