//! `git_diff`: what differs, as unified text in pages.

use sandboxed_git::view::{Between, Side};
use schemars::JsonSchema;
use serde::Deserialize;

use super::place::{open, problem};
use crate::answer::Answer;
use crate::error::{Problem, Result};
use crate::large::Page;
use crate::root::Root;
use crate::stop::Stop;
use crate::text::count;

/// Parameters of `git_diff`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DiffParams {
    /// File or directory; default everything in the workspace's repository.
    pub path: String,
    /// Commit, branch or tag to compare with; default HEAD. `main...` is where the other side left main.
    pub base: String,
    /// Commit, branch or tag to look at; default the files as they are.
    pub head: String,
    /// Look at what is staged instead of the files; default false.
    pub staged: bool,
    /// Only a line for each file, with lines added and removed; default false.
    pub summary: bool,
    /// First byte to return, for the next page.
    pub offset: u64,
}

/// Tells what differs.
///
/// # Errors
/// `not_a_repository`, `unknown_revision`, `git_failed`, `invalid_argument`.
pub fn git_diff(root: &Root, params: &DiffParams, stop: &Stop) -> Result<Answer> {
    let new = match (params.head.is_empty(), params.staged) {
        (false, true) => return Err(Problem::invalid("staged", "head and staged are two things to look at")),
        (false, false) => Side::Commit(params.head.clone()),
        (true, true) => Side::Index,
        (true, false) => Side::Files,
    };
    let (view, only) = open(root, &params.path)?;
    let only: Vec<String> = only.into_iter().collect();
    let between = Between { base: params.base.clone(), new };
    let difference = view.difference(&between, &only).map_err(|e| problem(&e))?;
    let mut page =
        Page::new(root, if params.summary { "diff-summary.txt" } else { "diff.patch" }, params.offset);
    let (mut files, mut insertions, mut deletions, mut whole) = (0u64, 0, 0, true);
    for file in difference.each() {
        stop.check()?;
        let file = file.map_err(|e| problem(&e))?;
        files += 1;
        insertions += file.insertions;
        deletions += file.deletions;
        let text = if params.summary {
            format!("{}  +{} -{}\n", file.path, file.insertions, file.deletions)
        } else {
            file.text
        };
        if !page.push(&text) {
            whole = false;
            break;
        }
    }
    let note = match (files, whole) {
        (0, _) => "nothing differs; untracked files are in git_status".to_owned(),
        (_, true) => format!("{}, +{insertions} -{deletions}", count(files, "file", "files")),
        (_, false) => count(difference.files() as u64, "file", "files"),
    };
    Ok(page.answer(vec![note], "text/x-diff"))
}
