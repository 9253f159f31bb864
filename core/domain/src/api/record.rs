//! The completion record: what a worker did, computed by the platform.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::McpServerView;
use crate::mission::{MissionStatus, Outcome, ReportedBy, TerminalReason};

/// What the worker itself said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct Reported {
    pub outcome: Option<Outcome>,
    pub summary: String,
    pub by: ReportedBy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub blocker: Option<String>,
}

/// How the platform's check went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct VerificationView {
    pub command: String,
    /// Absent when a signal or a limit ended it.
    pub exit_code: Option<i32>,
    pub seconds: f64,
    pub output_tail: String,
}

/// Facts of the worker's branch, read by git2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct GitFacts {
    pub branch: Option<String>,
    pub base: Option<String>,
    pub head: String,
    pub commits_ahead: u32,
    pub files_changed: u32,
    pub insertions: u32,
    pub deletions: u32,
    /// Tracked files with changes that are not committed.
    pub dirty: u32,
    /// Files git does not know and does not ignore.
    pub untracked: u32,
    /// Whether a remote-tracking branch has the head; null when there is no remote.
    pub pushed: Option<bool>,
}

/// What a worker cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct Cost {
    pub usd: Option<f64>,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// `harness` when it reported, `none` when there is no model.
    pub source: String,
}

/// Where the logs are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names say it")]
pub struct LogPaths {
    pub run_directory: String,
    pub stdout: String,
    pub stderr: String,
}

/// The completion record: all but `reported` and `last_message` is computed by the platform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct CompletionRecord {
    pub worker_id: Uuid,
    pub task_key: Option<String>,
    pub title: String,
    pub status: MissionStatus,
    pub terminal_reason: Option<TerminalReason>,
    pub reported: Reported,
    pub verification: Option<VerificationView>,
    pub git: Option<GitFacts>,
    /// Why `git` is null although the worker has a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub git_error: Option<String>,
    pub cost: Cost,
    pub seconds: f64,
    pub turns: u32,
    /// At most 2 kB.
    pub last_message: String,
    pub working_directory: Option<String>,
    pub log_paths: Option<LogPaths>,
    /// How the last process ended: exit code or signal.
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    /// The last error in words, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub error: Option<String>,
    /// MCP servers of its newest run, with their states. Those that are ready are left out where room is short.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mcp_servers: Vec<McpServerView>,
}
