//! What a worker is to be, as `batch_create_workers` takes it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How hard the model should think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "names are the contract's")]
pub enum Effort {
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

impl Effort {
    /// As CLIs and the wire spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }
}

/// Whether an agent asks before it acts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PermissionMode {
    /// It asks for what is not allowed.
    Default,
    /// It reads and plans; its plan is a request, and with the approval it goes on as `default`.
    Plan,
    /// It asks, but not for edits of files.
    AcceptEdits,
    /// It asks for nothing: the sandbox is the boundary.
    #[default]
    Bypass,
}

impl PermissionMode {
    /// All modes, the most careful first.
    pub const ALL: [Self; 4] = [Self::Plan, Self::Default, Self::AcceptEdits, Self::Bypass];

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Plan => "plan",
            Self::AcceptEdits => "accept_edits",
            Self::Bypass => "bypass",
        }
    }
}

/// Where a worker's sandbox comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// The boss's own sandbox.
    #[default]
    Inherit,
    /// A copy-on-write sandbox of its own.
    Fork,
}

/// A git worktree of its own for a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorktreeSpec {
    /// Repository path; default: the one that holds the boss's working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub repo: Option<String>,
    /// New branch, made for this worker.
    pub branch: String,
    /// Commit, branch or tag to start from; default HEAD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub base: Option<String>,
}

/// One worker to create.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerSpec {
    /// Short name for people, at most 200 characters.
    pub title: String,
    /// The task, complete in itself: the worker sees nothing of the boss's conversation. At most 1 MiB.
    pub prompt: String,
    /// `claudecode` or `command` (see get_workspace_layout.backends).
    pub backend: String,
    /// Your own key for this task, unique for you: creating it again returns the worker that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub task_key: Option<String>,
    /// Model of the backend; default the backend's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub model: Option<String>,
    /// low, medium, high, xhigh or max.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Effort")]
    pub effort: Option<Effort>,
    /// Whether it asks before it acts; its questions come as needs_input. Default: bypass in a sandbox, default on
    /// the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PermissionMode")]
    pub permission_mode: Option<PermissionMode>,
    /// Another workspace than the boss's: its id or name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub workspace_id: Option<String>,
    /// inherit (default): the workspace's own sandbox; fork: a sandbox of the worker's own with the workspace's present state, its repositories read-only beside the worktree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Isolation")]
    pub isolation: Option<Isolation>,
    /// Directory to work in, absolute, inside the workspace. Not together with worktree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub working_directory: Option<String>,
    /// Make a git worktree on a new branch for this worker and work there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "WorktreeSpec")]
    pub worktree: Option<WorktreeSpec>,
    /// What must be true at the end; told to the worker, at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acceptance_criteria: Vec<String>,
    /// Shell command the platform runs in the worker's directory when it says it is done; non-zero fails the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub verification_command: Option<String>,
    /// Longest time of one turn in seconds, 1 to 604800; default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub timeout_seconds: Option<u64>,
    /// Not available yet: refused when given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "f64")]
    pub budget_usd: Option<f64>,
    /// Extra environment variables of the worker.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// MCP servers beside those of its profile: names of the Library's, or workspace, desktop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mcps: Vec<String>,
    /// Profile of the Library: which skills, rules, commands and MCP servers it gets; default all but servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub config_profile: Option<String>,
    /// Agent of the Library whose role it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub agent: Option<String>,
    /// backend command only: program and arguments; without it the prompt is run as a sh script.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
}
