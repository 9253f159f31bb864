//! The Library: what is in it, its history, and changes to it.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::library::{LibraryKind, Problem};

/// Something in the Library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LibraryItem {
    /// What it is.
    pub kind: LibraryKind,
    /// Its name.
    pub name: String,
    /// What it is for, where it says so.
    pub description: String,
}

/// `GET /api/library`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LibraryView {
    /// Its folder on this machine.
    pub path: String,
    /// All that is sound.
    pub items: Vec<LibraryItem>,
    /// What is wrong, by file and line.
    pub problems: Vec<Problem>,
}

/// How a file differs from the last commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "names say it")]
pub enum LibraryChangeKind {
    Added,
    Modified,
    Removed,
}

/// A file that is not as the last commit has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names say it")]
pub struct LibraryChange {
    pub path: String,
    pub change: LibraryChangeKind,
}

/// `GET /api/library/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LibraryStatus {
    /// Its folder on this machine.
    pub path: String,
    /// Where it comes from, where that is set.
    pub remote: Option<String>,
    /// Branch of the remote.
    pub branch: Option<String>,
    /// Its last commit; none in one that was never fetched.
    pub head: Option<String>,
    /// Commits that the remote does not have.
    pub ahead: u32,
    /// Commits of the remote that are not here.
    pub behind: u32,
    /// What is not committed.
    pub changes: Vec<LibraryChange>,
    /// Files that keep the remote's commits out: changed here and there.
    pub conflicts: Vec<String>,
    /// When the remote last answered.
    pub fetched_at: Option<DateTime<Utc>>,
    /// Why the last fetch failed, if it did.
    pub fetch_error: Option<String>,
}

/// `POST /api/library/commit`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LibraryCommitParams {
    /// Why.
    pub message: String,
    /// Only these files; without them all changes.
    pub paths: Vec<String>,
}

/// `POST /api/library/revert`: a commit is undone by another one, or files go back to the last commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LibraryRevertParams {
    /// The commit to undo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Files whose changes are dropped; one that was never committed is removed.
    pub paths: Vec<String>,
}

/// `GET /api/library/history`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LibraryHistoryParams {
    /// Only commits that change this file or folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// 50 unless told, at most 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where the last page ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names say it")]
pub struct LibraryCommit {
    pub id: String,
    pub author: String,
    pub message: String,
    pub committed_at: DateTime<Utc>,
    /// Files that it changes, at most 50.
    pub paths: Vec<String>,
}

/// A page of commits, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names say it")]
pub struct LibraryHistory {
    pub commits: Vec<LibraryCommit>,
    pub next_cursor: Option<String>,
}

/// `GET` and `DELETE /api/library/file`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LibraryFileParams {
    /// The file, below the Library's folder.
    pub path: String,
    /// As it was in this commit; without it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// `PUT /api/library/file`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LibraryWriteParams {
    /// The file, below the Library's folder.
    pub path: String,
    /// All of its text, at most 1 MiB.
    pub content: String,
    /// Whether it is a program; without a word it stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<bool>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LibraryFile {
    /// The file, below the Library's folder.
    pub path: String,
    /// All of its text.
    pub content: String,
    /// Whether it is a program.
    pub executable: bool,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// `POST /api/library/sync`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LibrarySyncResponse {
    /// Whether commits of the remote came in.
    pub updated: bool,
    /// The Library afterwards.
    pub status: LibraryStatus,
}
