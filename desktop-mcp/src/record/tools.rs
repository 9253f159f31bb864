//! The tool that records: record.

use std::time::Duration;

use rmcp::model::{Resource, Tool};
use sandboxed_mcp::Answer;
use sandboxed_mcp::tools::{Effect, text};
use schemars::JsonSchema;
use serde::Deserialize;

use super::recording::{Kind, Report, Wish};
use crate::error::{Problem, Result};
use crate::see::region;
use crate::session::Desktop;

/// Longest recording.
const LONGEST: u64 = 3600;
/// Most frames a second.
const FASTEST: u32 = 30;
/// Kinds of files, and what they are called.
const KINDS: [(&str, Kind, &str); 4] = [
    ("gif", Kind::Gif, "image/gif"),
    ("webp", Kind::Webp, "image/webp"),
    ("mp4", Kind::Video, "video/mp4"),
    ("mkv", Kind::Video, "video/x-matroska"),
];

/// Parameters of `record`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordParams {
    /// Id of the desktop [the newest]
    #[serde(default)]
    pub desktop: String,
    /// start or stop
    action: Action,
    /// For start: a new file that ends in .webp or .gif (animations), or .mp4 or .mkv (video, needs ffmpeg)
    #[serde(default)]
    file: String,
    /// For start: only this part, [x0, y0, x1, y1] in pixels of the picture [whole screen]
    #[serde(default)]
    region: Vec<i32>,
    /// For start: most frames a second, up to 30 [10]
    #[serde(default = "default_rate")]
    frames_per_second: u32,
    /// For start: longest time, up to 3600 [300]
    #[serde(default = "default_seconds")]
    max_seconds: u64,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Begins
    Start,
    /// Ends
    Stop,
}

const fn default_rate() -> u32 {
    10
}

const fn default_seconds() -> u64 {
    300
}

/// The tools as clients see them.
///
/// # Errors
/// When a schema cannot be made.
pub fn tools() -> Result<Vec<Tool>, String> {
    Ok(vec![text::<RecordParams>(
        "record",
        "Record the screen",
        "action=start records the screen into a new file while you go on; action=stop ends that and returns its size and \
         length. Frames are taken only when something changes. One recording a desktop, up to 256 MB; it also ends with \
         the desktop.",
        Effect::Changes,
    )?])
}

/// `record`
///
/// # Errors
/// `already_exists`, `not_found`, `not_installed`, `invalid_argument`.
pub async fn record(desktop: &Desktop, params: RecordParams) -> Result<Answer> {
    if params.action == Action::Stop {
        return Ok(told(&desktop.recordings().stop().await?));
    }
    let within = |field: &str, value: u64, most: u64| match (1..=most).contains(&value) {
        true => Ok(()),
        false => Err(Problem::invalid(field, format!("{value} is not within 1 to {most}"))),
    };
    within("frames_per_second", params.frames_per_second.into(), FASTEST.into())?;
    within("max_seconds", params.max_seconds, LONGEST)?;
    if params.file.is_empty() {
        return Err(Problem::invalid("file", "say into which file"));
    }
    let file =
        std::path::absolute(&params.file).map_err(|error| Problem::system("find", &params.file, error))?;
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    let Some((_, kind, _)) = KINDS.iter().find(|(name, ..)| *name == ending) else {
        return Err(Problem::invalid("file", "its name must end in .webp, .gif, .mp4 or .mkv"));
    };
    let area = region(desktop, &params.region, 0).await?;
    let longest = Duration::from_secs(params.max_seconds);
    let about = format!("recording to {}, for at most {} s", file.display(), params.max_seconds);
    let wish = Wish { file, kind: *kind, area, frames_per_second: params.frames_per_second, longest };
    desktop.recordings().start(desktop.access(), desktop.happenings(), wish).await?;
    Ok(Answer::text(about))
}

fn told(report: &Report) -> Answer {
    let Report { file, frames, bytes, time, end } = report;
    let seconds = time.as_secs_f64();
    let name = file.display();
    let text = format!("recorded {name}: {frames} frames, {seconds:.1} s, {bytes} bytes; end: {end}");
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    let kind = KINDS.iter().find(|(name, ..)| *name == ending).map_or("", |(.., kind)| kind);
    let link =
        Resource::new(sandboxed_mcp::file_uri(file), name.to_string()).with_mime_type(kind).with_size(*bytes);
    Answer::text(text).link(link)
}
