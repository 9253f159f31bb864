//! `git_log`: commits, newest first.

use std::fmt::Write as _;

use chrono::DateTime;
use sandboxed_git::view::Commit;
use schemars::JsonSchema;
use serde::Deserialize;

use super::place::{open, problem, short};
use crate::answer::{Answer, MAX_TEXT};
use crate::error::{Problem, Result};
use crate::large::Kept;
use crate::root::Root;
use crate::stop::Stop;

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 200;

/// Parameters of `git_log`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogParams {
    /// File or directory that the commits changed; default all commits of the workspace's repository.
    pub path: String,
    /// Commit, branch or tag to begin at, or a range `main..HEAD`; default HEAD.
    pub from: String,
    /// Whole messages; default only first lines.
    pub messages: bool,
    /// Most commits; default 20, at most 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub limit: Option<usize>,
    /// Commits to leave out at the beginning, for the next page.
    pub offset: usize,
}

/// Lists commits.
///
/// # Errors
/// `not_a_repository`, `unknown_revision`, `git_failed`, `invalid_argument`.
pub fn git_log(root: &Root, params: &LogParams, _: &Stop) -> Result<Answer> {
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid("limit", format!("limit is 1 to {MAX_LIMIT}")));
    }
    let (view, only) = open(root, &params.path)?;
    let found = view.history(&params.from, only.as_deref(), params.offset, limit).map_err(|e| problem(&e))?;
    let words: Vec<String> = found.commits.iter().map(|commit| words(commit, params.messages)).collect();
    let mut bytes = 0;
    let fits = |words: &&String| {
        bytes += words.len();
        bytes <= MAX_TEXT
    };
    // One commit always fits: its message is cut.
    let shown = words.iter().take_while(fits).count();
    let mut kept = Kept::new(root, "git-log.txt");
    if shown < words.len() {
        kept.write(words.concat().as_bytes());
    }
    let mut notes = Vec::new();
    if found.more || shown < words.len() {
        notes.push(format!("there are more: go on with offset={}", params.offset + shown));
    }
    if found.ended {
        notes.push("older commits were not looked at: give a range".to_owned());
    }
    if shown == 0 && notes.is_empty() {
        notes.push("no commits".to_owned());
    }
    let kept = kept.finish();
    notes.extend(kept.as_ref().map(|kept| format!("{} commits are in {}", words.len(), kept.path)));
    let answer = Answer::text(words[..shown].concat()).note(&notes);
    Ok(match kept {
        Some(kept) => kept.link(root, answer, "text/plain"),
        None => answer,
    })
}

fn words(commit: &Commit, messages: bool) -> String {
    let time = DateTime::from_timestamp(commit.time, 0).map(|time| time.format("%Y-%m-%d %H:%M").to_string());
    let names =
        if commit.names.is_empty() { String::new() } else { format!(" ({})", commit.names.join(", ")) };
    let merge = if commit.parents > 1 { " [merge]" } else { "" };
    let time = time.unwrap_or_default();
    let mut text =
        format!("{} {time} {}{names}{merge}: {}\n", short(&commit.id), commit.author, commit.subject);
    if messages && !commit.body.is_empty() {
        for line in commit.body.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}
