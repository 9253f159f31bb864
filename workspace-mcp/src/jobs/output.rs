//! `read_output`: what a job wrote, in pages, from its end, or as a terminal shows it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use sandbox_runner::protocol::Output;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::run::seconds;
use super::store::{JobDir, Record};
use super::view::{Jobs, Status, ending};
use crate::answer::{Answer, MAX_TEXT};
use crate::error::{Problem, Result};
use crate::text::plain;
use sandboxed_mcp::Progress;

const DEFAULT_BYTES: u64 = 16_000;
/// Output counts as complete for now after so long a rest.
pub const QUIET: Duration = Duration::from_millis(200);

/// What to wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WaitFor {
    /// The end of the job.
    #[default]
    End,
    /// Output after offset.
    Output,
}

/// What to show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum View {
    /// Lines as they were written.
    #[default]
    Output,
    /// The terminal as it looks now.
    Screen,
}

/// Parameters of `read_output`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputParams {
    /// The job.
    pub job_id: String,
    /// First byte to return; default: the end of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub offset: Option<u64>,
    /// Most bytes to return; default 16000, 200 to 30000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub max_bytes: Option<u64>,
    /// Seconds to wait, 0 (default) to 240.
    #[serde(default)]
    pub wait_seconds: f64,
    /// What to wait for. end (default): of the job; output: anything after offset.
    #[serde(default)]
    pub wait_for: WaitFor,
    /// output (default), or screen: a terminal job's screen as it looks now.
    #[serde(default)]
    pub view: View,
}

impl Jobs {
    /// Reads a job's output.
    ///
    /// # Errors
    /// `unknown_job`, `invalid_argument`.
    pub async fn read(&self, params: &OutputParams, progress: &Progress<'_>) -> Result<Answer> {
        let wait = seconds("wait_seconds", Some(params.wait_seconds), 0.0)?;
        let max_bytes = max_bytes(params.max_bytes)?;
        let (dir, record) = self.find(&params.job_id)?;
        self.check_view(params.view, &record)?;
        if record.exit.is_none() && !wait.is_zero() {
            let seen = params.offset.unwrap_or(record.output_bytes);
            let deadline = Instant::now() + wait;
            let waiting = async {
                match params.wait_for {
                    WaitFor::End => self.wait_for_end(&dir, deadline).await.map(drop),
                    WaitFor::Output => self.wait_for_output(&dir, seen, QUIET, deadline).await,
                }
            };
            tokio::select! {
                waited = waiting => waited?,
                () = progress.keep_alive() => {}
                () = progress.cancelled() => return Err(progress.problem()),
            }
        }
        self.show(&dir, params.view, params.offset.map_or(Span::Tail, Span::From), max_bytes).await
    }

    /// Only a terminal has a screen.
    pub(super) fn check_view(&self, view: View, record: &Record) -> Result<()> {
        match (view, record.metadata.options.output) {
            (View::Screen, Output::Separate | Output::Merged) => {
                Err(Problem::invalid("view", "the job has no terminal")
                    .hint("start it with input=terminal, or read its output"))
            }
            _ => Ok(()),
        }
    }

    /// A part of the output, or the screen, and how the job is.
    pub(super) async fn show(&self, dir: &JobDir, view: View, span: Span, max_bytes: u64) -> Result<Answer> {
        // The record first: what it says of the end is then true of the output.
        let exit = dir.exit();
        let status = self.status(dir, exit.as_ref()).await?;
        let state = match (&exit, status) {
            (Some(exit), _) => ending(exit),
            (None, Status::Lost) => "its end was not recorded: the runner was killed".to_owned(),
            (None, _) => "running".to_owned(),
        };
        let word = serde_json::to_value(status).map_err(Problem::internal)?;
        let answer = if view == View::Screen {
            let screen = self.screens().of(self.find(&dir.id)?).await?;
            Answer::text(screen.text).note(&[state, screen.note])
        } else {
            let taken = take(&dir.output(), span, max_bytes)?;
            let place = match span {
                Span::From(_) if taken.end < taken.total => {
                    format!(
                        "bytes {}-{} of {}: go on with offset={}",
                        taken.begin, taken.end, taken.total, taken.end
                    )
                }
                _ => format!("{} bytes of output, next offset={}", taken.total, taken.end),
            };
            answer(self, dir, &taken).note(&[state, place]).fact("next_offset", taken.end)
        };
        Ok(answer.fact("status", word))
    }
}

/// Bytes of an argument.
///
/// # Errors
/// `invalid_argument`.
pub fn max_bytes(asked: Option<u64>) -> Result<u64> {
    let value = asked.unwrap_or(DEFAULT_BYTES);
    if !(200..=MAX_TEXT as u64).contains(&value) {
        return Err(Problem::invalid("max_bytes", format!("max_bytes is 200 to {MAX_TEXT}")));
    }
    Ok(value)
}

/// Which part of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// The beginning and the end.
    Ends,
    /// The end.
    Tail,
    /// From this byte on.
    From(u64),
}

/// A part of an output.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    /// As text, without control sequences.
    pub text: String,
    /// First byte that was taken.
    pub begin: u64,
    /// The byte after the last.
    pub end: u64,
    /// Bytes in the middle, or before the beginning, that are not in the text.
    pub left_out: u64,
    /// Length of the whole.
    pub total: u64,
}

/// Takes at most `max` bytes of a file.
///
/// # Errors
/// When the file cannot be read.
pub fn take(path: &Path, span: Span, max: u64) -> Result<Taken> {
    let fail = |error| Problem::system("read", path.display(), error);
    let file = File::open(path).map_err(fail)?;
    let total = file.metadata().map_err(fail)?.len();
    let piece = |begin: u64, end: u64| -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(end - begin).unwrap_or_default()];
        // It only grows, so as much as it had is there.
        file.read_exact_at(&mut bytes, begin).map_err(fail)?;
        Ok(bytes)
    };
    match span {
        Span::From(begin) => {
            let begin = begin.min(total);
            let mut bytes = piece(begin, total.min(begin + max))?;
            if begin + (bytes.len() as u64) < total {
                cut_back(&mut bytes);
            }
            let end = begin + bytes.len() as u64;
            Ok(Taken { text: plain(&bytes), begin, end, left_out: 0, total })
        }
        _ if total <= max => {
            Ok(Taken { text: plain(&piece(0, total)?), begin: 0, end: total, left_out: 0, total })
        }
        Span::Tail => {
            let bytes = piece(total - max, total)?;
            let tail = cut_front(&bytes);
            let left_out = total - tail.len() as u64;
            let text = format!("[… {left_out} bytes before]\n{}", plain(tail));
            Ok(Taken { text, begin: left_out, end: total, left_out, total })
        }
        Span::Ends => {
            let mut head = piece(0, max / 3)?;
            cut_back(&mut head);
            let bytes = piece(total - (max - max / 3), total)?;
            let tail = cut_front(&bytes);
            let left_out = total - (head.len() + tail.len()) as u64;
            let text =
                format!("{}\n[… {left_out} bytes left out …]\n{}", plain(&head).trim_end(), plain(tail));
            Ok(Taken { text, begin: 0, end: total, left_out, total })
        }
    }
}

/// Ends with a whole line where one ends near, else with a whole character.
fn cut_back(bytes: &mut Vec<u8>) {
    if let Some(at) = memchr::memrchr(b'\n', bytes).filter(|at| *at > bytes.len() / 2) {
        bytes.truncate(at + 1);
        return;
    }
    for back in 1..=bytes.len().min(4) {
        let at = bytes.len() - back;
        if bytes[at] & 0xc0 != 0x80 {
            if std::str::from_utf8(&bytes[at..]).is_err_and(|error| error.error_len().is_none()) {
                bytes.truncate(at);
            }
            return;
        }
    }
}

/// Begins with a whole line where one begins near, else with a whole character.
fn cut_front(bytes: &[u8]) -> &[u8] {
    if let Some(at) = memchr::memchr(b'\n', bytes).filter(|at| *at < bytes.len() / 2) {
        return &bytes[at + 1..];
    }
    let begin = bytes.iter().take(4).position(|byte| byte & 0xc0 != 0x80).unwrap_or(0);
    &bytes[begin..]
}

/// The text, with a link to the whole when it is not all.
pub fn answer(jobs: &Jobs, dir: &JobDir, taken: &Taken) -> Answer {
    let path = jobs.output_path(dir);
    let answer =
        Answer::text(if taken.text.is_empty() { "(no output)".to_owned() } else { taken.text.clone() })
            .fact("job_id", dir.id.as_str())
            .fact("output_bytes", taken.total)
            .fact("output_path", path.as_str());
    if taken.left_out == 0 {
        return answer;
    }
    let uri = format!("file://{}", dir.output().display());
    let resource =
        rmcp::model::Resource::new(uri, path.as_str()).with_mime_type("text/plain").with_size(taken.total);
    answer.note(&[format!("the whole output is in {path}")]).link(resource)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn the_middle_of_a_long_output_is_left_out() {
        let text: String = (0..10_000).map(|n| format!("line {n}\n")).collect();
        let file = file(text.as_bytes());
        let taken = take(file.path(), Span::Ends, 300).unwrap();
        assert!(taken.text.starts_with("line 0\n") && taken.text.ends_with("line 9999\n"), "{}", taken.text);
        let (head, rest) = taken.text.split_once("\n[… ").unwrap();
        let (count, tail) = rest.split_once(" bytes left out …]\n").unwrap();
        assert_eq!(count.parse::<usize>().unwrap() + head.len() + 1 + tail.len(), text.len());
        let tail = take(file.path(), Span::Tail, 300).unwrap();
        assert!(tail.text.starts_with("[… ") && tail.text.len() < 340, "{}", tail.text);
        assert_eq!(take(file.path(), Span::Ends, 1 << 20).unwrap().text, text);
    }

    proptest! {
        #[test]
        fn pages_joined_are_the_whole(text in "[a-zäöü€\n]{0,400}", max in 4u64..60) {
            let file = file(text.as_bytes());
            let (mut joined, mut offset) = (String::new(), 0);
            loop {
                let page = take(file.path(), Span::From(offset), max).unwrap();
                joined.push_str(&page.text);
                prop_assert!(page.end > offset || page.end == page.total);
                offset = page.end;
                if offset == page.total {
                    break;
                }
            }
            prop_assert_eq!(joined, text);
        }
    }
}
