//! Pages of what a worker did: transcript, diff and log, each bounded and with a cursor that stays valid.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use sandboxed_domain::api::{ApiError, ErrorCode, Event, EventBody};
use sandboxed_domain::policy::{bounded_json, cut_middle, json_head};

use super::App;
use crate::git;
use crate::mission::git_error;
use crate::store::blocking;
use crate::store::{self, EventQuery, MissionRow, RunKind};

type Page = (String, Option<String>);

fn bad_cursor(text: &str) -> ApiError {
    ApiError::invalid("cursor", format!("{text:?} is not a cursor of this view"))
        .hint("pass next_cursor of the last page, or leave it out")
}

impl App {
    /// Messages and tool calls as lines of text; the cursor is the last event shown.
    pub(super) async fn transcript_page(
        &self,
        row: &MissionRow,
        cursor: Option<String>,
        bytes: usize,
    ) -> Result<Page, ApiError> {
        let since = match &cursor {
            Some(text) => text.parse::<i64>().map_err(|_| bad_cursor(text))?,
            None => 0,
        };
        let types = [
            "user_message",
            "assistant_message",
            "tool_call",
            "tool_result",
            "error",
            "goal",
            "outcome_reported",
            "mission_status_changed",
            "request_opened",
            "request_answered",
            "output_elided",
        ];
        let mut query = EventQuery {
            mission: Some(row.id),
            since,
            limit: 200,
            types: types.map(str::to_owned).to_vec(),
            ..Default::default()
        };
        // Plain text output has no messages: its deltas are the transcript.
        if !sandboxed_domain::harness::find(&row.backend)?.capabilities().queue {
            query.types.push("text_delta".to_owned());
        }
        let events = self.store.read(move |c| store::query_events(c, &query)).await?;
        let full = events.len() == 200;
        let (mut text, mut last) = (String::new(), since);
        for event in &events {
            let line = fitting(transcript_line(event, bytes), bytes);
            if !text.is_empty() && !fits(&format!("{text}{line}"), bytes) {
                return Ok((text, Some(last.to_string())));
            }
            text.push_str(&line);
            last = event.sequence;
        }
        Ok((text, full.then(|| last.to_string())))
    }

    /// The changes since the base.
    pub(super) async fn diff_page(
        &self,
        row: &MissionRow,
        cursor: Option<String>,
        bytes: usize,
    ) -> Result<Page, ApiError> {
        let (Some(repo), Some(worktree), Some(base)) = (
            row.repo.clone().map(PathBuf::from),
            row.worktree.clone().map(PathBuf::from),
            row.base_oid.clone(),
        ) else {
            return Err(ApiError::new(ErrorCode::NotAvailable, "this worker has no worktree (yet)")
                .field("view")
                .hint("view diff needs a worker that was created with worktree"));
        };
        let start = cursor.as_deref().and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
        let (mut text, next) =
            blocking(move || git::diff_page(&worktree, &repo, Some(&base), cursor.as_deref(), bytes))
                .await?
                .map_err(git_error)?;
        let length = json_head(&text, bytes).len();
        if length == text.len() {
            return Ok((text, next));
        }
        text.truncate(length);
        Ok((text, Some((start + length).to_string())))
    }

    /// The raw output of the worker's runs one after the other; the cursor is `run:offset`.
    pub(super) async fn log_page(
        &self,
        row: &MissionRow,
        cursor: Option<String>,
        bytes: usize,
    ) -> Result<Page, ApiError> {
        let id = row.id;
        let mut runs = self.store.read(move |c| store::runs_of(c, id)).await?;
        runs.retain(|run| run.kind == RunKind::Turn);
        let (index, offset) = match &cursor {
            None => (0, 0),
            Some(text) => text
                .split_once(':')
                .and_then(|(run, at)| Some((run.parse::<usize>().ok()?, at.parse::<u64>().ok()?)))
                .ok_or_else(|| bad_cursor(text))?,
        };
        let Some(run) = runs.get(index) else { return Ok((String::new(), None)) };
        let directory = self.workspaces.paths(row.workspace_id).run(&run.id.to_string());
        let (path, ended) = (directory.join(&run.plan.stdout_name), run.exit.is_some());
        let (text, next, at_end) = blocking(move || read_page(&path, offset, bytes)).await??;
        let more_runs = index + 1 < runs.len();
        let next_cursor = match (at_end, more_runs, ended) {
            (false, _, _) => Some(format!("{index}:{next}")),
            (true, true, true) => Some(format!("{}:0", index + 1)),
            (true, _, false) => Some(format!("{index}:{next}")),
            (true, false, true) => None,
        };
        Ok((text, next_cursor))
    }
}

fn read_page(path: &Path, offset: u64, bytes: usize) -> Result<(String, u64, bool), ApiError> {
    let read = || -> std::io::Result<(Vec<u8>, u64)> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(offset))?;
        let mut buffer = Vec::with_capacity(bytes);
        file.take(bytes as u64).read_to_end(&mut buffer)?;
        Ok((buffer, length))
    };
    let (buffer, length) = match read() {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((String::new(), 0, true)),
        Err(error) => return Err(store::io_error(path, &error)),
    };
    let (text, used) = page_of(&buffer, bytes, offset + buffer.len() as u64 >= length);
    let next = offset + used as u64;
    Ok((text, next, next >= length))
}

/// As much of `raw` as fits as a JSON string, and how many bytes of it that is. A character is not cut, unless it is
/// the `end`.
fn page_of(raw: &[u8], bytes: usize, end: bool) -> (String, usize) {
    let mut length = if end { raw.len() } else { character_start(raw, raw.len()) };
    loop {
        let text = String::from_utf8_lossy(&raw[..length]);
        if fits(&text, bytes) || length <= 8 {
            return (text.into_owned(), length);
        }
        length = character_start(raw, length * 3 / 4);
    }
}

/// The last place at or before `at` that is not within a character.
fn character_start(raw: &[u8], at: usize) -> usize {
    let from = at.saturating_sub(4);
    let unfinished = |start: &usize| {
        std::str::from_utf8(&raw[*start..at])
            .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (from..at).find(unfinished).filter(|start| *start > 0).unwrap_or(at)
}

fn fits(text: &str, bytes: usize) -> bool {
    json_head(text, bytes).len() == text.len()
}

/// A text cut in its middle until it fits.
fn fitting(text: String, bytes: usize) -> String {
    let (mut cut, mut room) = (text, bytes);
    while !fits(&cut, bytes) && room > 0 {
        room = room * 3 / 4;
        cut = cut_middle(&cut, room);
    }
    cut
}

/// One event for a reader; long parts are cut.
fn transcript_line(event: &Event, bytes: usize) -> String {
    let part = (bytes / 2).clamp(200, 4000);
    let json = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => cut_middle(text, part),
        other => bounded_json(other, part).to_string(),
    };
    let line = match &event.body {
        EventBody::UserMessage { content, queued, .. } => {
            format!("user{}: {}", if *queued { " (queued)" } else { "" }, cut_middle(content, part))
        }
        EventBody::AssistantMessage { content, .. } => format!("assistant: {}", cut_middle(content, part)),
        EventBody::TextDelta { content } => return cut_middle(content, bytes),
        EventBody::ToolCall { name, args, .. } => format!("call {name}: {}", json(args)),
        EventBody::ToolResult { name, result, is_error, .. } => {
            format!("result {name}{}: {}", if *is_error { " (error)" } else { "" }, json(result))
        }
        EventBody::Error { code, message } => format!("error {code}: {}", cut_middle(message, part)),
        EventBody::Goal { status, objective, iterations, tokens_used, .. } => {
            let goal = cut_middle(objective, part);
            format!("goal {status} after {iterations} turns and {tokens_used} tokens: {goal}")
        }
        EventBody::OutcomeReported { outcome, summary, .. } => {
            format!("reported {outcome}: {}", cut_middle(summary, part))
        }
        EventBody::MissionStatusChanged { status, terminal_reason } => match terminal_reason {
            Some(reason) => format!("status {} ({})", status.as_str(), reason.as_str()),
            None => format!("status {}", status.as_str()),
        },
        EventBody::RequestOpened { request_id, kind, title, detail } => {
            format!("asks [{request_id}] {kind}: {title}: {}", json(detail))
        }
        EventBody::RequestAnswered { request_id, decision, .. } => {
            format!("answered [{request_id}]: {decision}")
        }
        EventBody::OutputElided { stored_bytes, log_path } => {
            format!("output beyond {stored_bytes} bytes is in {log_path} (view log)")
        }
        other => other.type_name().to_owned(),
    };
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_log_in_pages_is_the_log_and_each_page_fits(text in "[\\x00-\\x7fäß€🦀]{0,400}", bytes in 64usize..200) {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &text).unwrap();
            let (mut joined, mut offset) = (String::new(), 0);
            loop {
                let (page, next, end) = read_page(file.path(), offset, bytes).unwrap();
                prop_assert!(serde_json::to_string(&page).unwrap().len() <= bytes);
                joined.push_str(&page);
                if end {
                    break;
                }
                prop_assert!(next > offset);
                offset = next;
            }
            prop_assert_eq!(joined, text);
        }

        #[test]
        fn bytes_that_are_no_text_are_passed_once(raw in proptest::collection::vec(any::<u8>(), 0..300), bytes in 64usize..200) {
            let (mut at, mut pages) = (0, 0);
            while at < raw.len() {
                let piece = &raw[at..raw.len().min(at + bytes)];
                let (page, used) = page_of(piece, bytes, at + piece.len() == raw.len());
                prop_assert!(used > 0 && serde_json::to_string(&page).unwrap().len() <= bytes);
                at += used;
                pages += 1;
            }
            prop_assert!(pages <= raw.len());
        }
    }
}
