//! The tool.

use std::time::Duration;

use base64::Engine as _;
use rmcp::model::ContentBlock;
use schemars::JsonSchema;
use serde::Deserialize;

use super::get::{Got, get};
use super::page::{Kind, decode, kind, readable};
use crate::answer::{Answer, file_link};
use crate::error::{Problem, Result};
use crate::files::{Before, MAX_PICTURE, replace};
use crate::large::{Kept, MAX_FILE, Page};
use crate::root::{RelPath, Root};
use crate::stop::Stop;

const DEFAULT_BYTES: u64 = 10 << 20;
const DEFAULT_SECONDS: f64 = 30.0;
const MAX_SECONDS: f64 = 240.0;

/// Parameters of `fetch_url`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FetchParams {
    /// http or https address on the public internet.
    pub url: String,
    /// File to save it in, as it is; must not be there. Default: returned as text, and kept when it is long.
    #[serde(default)]
    pub path: String,
    /// HTML as it is instead of readable text; default false.
    #[serde(default)]
    pub raw: bool,
    /// Most bytes to fetch; default 10 MB, at most 64 MB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub max_bytes: Option<u64>,
    /// Seconds that it may take; default 30, at most 240.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "f64")]
    pub timeout_seconds: Option<f64>,
}

impl FetchParams {
    /// How long it may take.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn time(&self) -> Result<Duration> {
        let seconds = self.timeout_seconds.unwrap_or(DEFAULT_SECONDS);
        if !(0.1..=MAX_SECONDS).contains(&seconds) {
            return Err(Problem::invalid(
                "timeout_seconds",
                format!("timeout_seconds is 0.1 to {MAX_SECONDS}"),
            ));
        }
        Ok(Duration::from_secs_f64(seconds))
    }
}

/// Fetches a page.
///
/// # Errors
/// `address_refused`, `fetch_failed`, `too_large`, `timed_out`, `already_exists`, `invalid_argument`.
pub fn fetch_url(root: &Root, params: &FetchParams, stop: &Stop) -> Result<Answer> {
    let max = params.max_bytes.unwrap_or(DEFAULT_BYTES);
    if !(1..=MAX_FILE).contains(&max) {
        return Err(Problem::invalid("max_bytes", format!("max_bytes is 1 to {MAX_FILE}")));
    }
    // Refused before anything is fetched.
    let place = Some(&params.path).filter(|path| !path.is_empty());
    let place = place.map(|path| root.changeable("path", path)).transpose()?;
    if let Some(path) = &place
        && root.stat(path).is_ok()
    {
        return Err(crate::files::already_there(path));
    }
    let got = get(&params.url, max, params.time()?, stop)?;
    let failed = !(200..300).contains(&got.status);
    let answer = match &place {
        Some(path) if !failed => save(root, path, &got)?,
        _ => show(root, &got, params.raw)?,
    };
    Ok(answer.fact("status", got.status).fact("url", got.url.as_str()).failed(failed))
}

/// What the answer says of it: address in the end, status, kind and length.
fn about(got: &Got) -> String {
    let kind = if got.kind.is_empty() { "unknown kind" } else { &got.kind };
    format!("{}: status {}, {kind}, {} bytes", got.url, got.status, got.body.len())
}

fn save(root: &Root, path: &RelPath, got: &Got) -> Result<Answer> {
    replace(root, path, &got.body, Before::Missing)?;
    let link = file_link(root, path, media_type(got), got.body.len() as u64);
    Ok(Answer::text(format!("saved in {path}")).note(&[about(got)]).link(link).fact("path", path.to_string()))
}

fn media_type(got: &Got) -> &str {
    if got.kind.is_empty() { "application/octet-stream" } else { &got.kind }
}

fn show(root: &Root, got: &Got, raw: bool) -> Result<Answer> {
    match kind(&got.kind, &got.body) {
        Kind::Page if !raw => {
            let text = readable(&decode(&got.body, got.charset.as_deref()))?;
            Ok(text_answer(root, "page.txt", &text, got))
        }
        Kind::Page => Ok(text_answer(root, "page.html", &decode(&got.body, got.charset.as_deref()), got)),
        Kind::Text => {
            let name = format!("page.{}", suffix(got).unwrap_or("txt"));
            Ok(text_answer(root, &name, &decode(&got.body, got.charset.as_deref()), got))
        }
        Kind::Picture(kind) if got.body.len() as u64 <= MAX_PICTURE => {
            let image = base64::engine::general_purpose::STANDARD.encode(&got.body);
            Ok(Answer::text(about(got)).block(ContentBlock::image(image, kind)))
        }
        Kind::Picture(_) | Kind::Data => Ok(keep(root, got)),
    }
}

fn text_answer(root: &Root, name: &str, text: &str, got: &Got) -> Answer {
    let mut page = Page::new(root, name, 0);
    page.push(text);
    page.answer_of_file(vec![about(got)], "text/plain")
}

/// What cannot be shown becomes a file.
fn keep(root: &Root, got: &Got) -> Answer {
    let mut kept = Kept::new(root, &format!("download.{}", suffix(got).unwrap_or("bin")));
    kept.write(&got.body);
    match kept.finish() {
        Some(kept) => kept.link(root, Answer::text(about(got)).note(&[kept.words()]), media_type(got)),
        None => {
            Answer::text(about(got)).note(&["it is not kept: the workspace cannot be written".to_owned()])
        }
    }
}

/// End of the name of the address, when it is one.
fn suffix(got: &Got) -> Option<&str> {
    let name = got.url.path_segments()?.next_back()?;
    let suffix = name.rsplit_once('.')?.1;
    let good = (1..=8).contains(&suffix.len()) && suffix.bytes().all(|b| b.is_ascii_alphanumeric());
    good.then_some(suffix)
}
