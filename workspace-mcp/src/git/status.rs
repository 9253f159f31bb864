//! `git_status`: branch, what is not committed, and the worktrees.

use std::fmt::Write as _;

use sandboxed_git::view::{Changes, Standing, WorktreeInfo};
use schemars::JsonSchema;
use serde::Deserialize;

use super::place::{open, problem, short};
use crate::answer::Answer;
use crate::error::{Problem, Result};
use crate::large::Kept;
use crate::root::Root;
use crate::stop::Stop;
use crate::text::count;

const DEFAULT_LIMIT: usize = 200;
const MAX_LIMIT: usize = 500;
/// Worktrees that are listed.
const MAX_WORKTREES: usize = 50;

/// Parameters of `git_status`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StatusParams {
    /// Directory in the repository; default the workspace's own.
    pub path: String,
    /// Most paths; default 200, at most 500. When there are more, all are in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub limit: Option<usize>,
}

/// Tells how a repository stands.
///
/// # Errors
/// `not_a_repository`, `git_failed`, `invalid_argument`.
pub fn git_status(root: &Root, params: &StatusParams, _: &Stop) -> Result<Answer> {
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid("limit", format!("limit is 1 to {MAX_LIMIT}")));
    }
    let (view, _) = open(root, &params.path)?;
    let standing = view.standing().map_err(|e| problem(&e))?;
    let changes = view.changes().map_err(|e| problem(&e))?;
    let lines = lines(&changes);
    let mut kept = Kept::new(root, "git-status.txt");
    if lines.len() > limit {
        kept.write(lines.concat().as_bytes());
    }
    let mut notes = vec![summary(&changes)];
    if lines.len() > limit {
        notes.push(format!("the first {limit} paths are shown"));
    }
    let kept = kept.finish();
    notes.extend(kept.as_ref().map(|kept| kept.words()));
    let shown: String = lines.iter().take(limit).map(String::as_str).collect();
    let answer = Answer::text(head(&standing) + &shown + &worktrees(&view.worktrees())).note(&notes);
    let answer = answer
        .fact("branch", standing.branch)
        .fact("head", standing.head)
        .fact("changed", changes.tracked.len())
        .fact("untracked", changes.untracked.len());
    Ok(match &kept {
        Some(kept) => kept.link(root, answer, "text/plain"),
        None => answer,
    })
}

fn head(standing: &Standing) -> String {
    let branch = standing.branch.as_deref().map_or_else(|| "no branch".to_owned(), |b| format!("branch {b}"));
    let commit = match (&standing.head, &standing.subject) {
        (Some(id), Some(subject)) => format!(" at {} {subject}", short(id)),
        (Some(id), None) => format!(" at {}", short(id)),
        (None, _) => ", no commit yet".to_owned(),
    };
    let mut text = format!("{branch}{commit}\n");
    if let Some(upstream) = &standing.upstream {
        let _ = writeln!(text, "{} ahead, {} behind {}", upstream.ahead, upstream.behind, upstream.name);
    }
    if let Some(what) = standing.in_progress {
        let _ = writeln!(text, "{what} is under way");
    }
    text
}

/// As `git status --short` has it: what is staged, then what is not.
fn lines(changes: &Changes) -> Vec<String> {
    let letter =
        |kind: Option<sandboxed_git::ChangeKind>| kind.map_or(' ', sandboxed_git::ChangeKind::letter);
    let tracked = changes
        .tracked
        .iter()
        .map(|change| format!("{}{} {}\n", letter(change.staged), letter(change.unstaged), change.path));
    let untracked = changes.untracked.iter().map(|path| format!("?? {path}\n"));
    tracked.chain(untracked).collect()
}

fn summary(changes: &Changes) -> String {
    if changes.tracked.is_empty() && changes.untracked.is_empty() && !changes.incomplete {
        return "nothing to commit, no untracked files".to_owned();
    }
    let staged = changes.tracked.iter().filter(|change| change.staged.is_some()).count();
    let tracked = count(changes.tracked.len() as u64, "changed file", "changed files");
    let more = if changes.incomplete { "; there is more than was looked at" } else { "" };
    format!("{tracked}, {staged} of them staged; {} untracked{more}", changes.untracked.len())
}

fn worktrees(all: &[WorktreeInfo]) -> String {
    if all.len() < 2 {
        return String::new();
    }
    let mut text = "worktrees:\n".to_owned();
    for tree in all.iter().take(MAX_WORKTREES) {
        let mark = if tree.here { "* " } else { "  " };
        let branch = tree.branch.as_deref().unwrap_or("no branch");
        let commit = tree.head.as_deref().map_or("no commit", short);
        let locked = if tree.locked { ", locked" } else { "" };
        let missing = if tree.missing { ", its directory is not there" } else { "" };
        let _ = writeln!(text, "{mark}{}  {branch} at {commit}{locked}{missing}", tree.path.display());
    }
    if all.len() > MAX_WORKTREES {
        let _ = writeln!(text, "  … {} more", all.len() - MAX_WORKTREES);
    }
    text
}
