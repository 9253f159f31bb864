//! What an adapter wants done before and at the start of a run: values, applied elsewhere.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{LibraryServer, SharedText};
use crate::api::Effort;
pub use crate::api::PermissionMode;

/// An MCP server to wire into a harness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpServer {
    /// Name under which the model sees it.
    pub name: String,
    /// Program inside the workspace.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment; never a model key.
    pub env: BTreeMap<String, String>,
}

/// Everything an adapter may need to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchRequest {
    /// Program as seen inside the workspace, with what must stand before our arguments (`node`, a script).
    pub program: Vec<String>,
    /// Directory of the run.
    pub cwd: String,
    /// Directory of the mission that persists (HOME, session files), as seen inside.
    pub mission_dir: String,
    /// Session to resume; otherwise a new UUID that the harness may take for the session it starts.
    pub session_id: String,
    /// Whether the session exists already.
    pub resume: bool,
    /// Model.
    pub model: Option<String>,
    /// Effort.
    pub effort: Option<Effort>,
    /// Whether it asks: one of [`super::Harness::permission_modes`].
    pub permission: PermissionMode,
    /// MCP servers of the platform, whose tools need no permission.
    pub mcp_servers: Vec<McpServer>,
    /// MCP servers of the user's choice, for the harness's own configuration: what they hold may be secret.
    pub library_servers: Vec<LibraryServer>,
    /// The user's settings of this harness, below the platform's own: the text of its
    /// [file](super::NativePlace::settings), by its path.
    pub settings: Option<(String, String)>,
    /// Text for the harness's context file.
    pub instructions: String,
    /// Credentials and settings found on the host, for the harness's process only.
    pub credentials: BTreeMap<String, String>,
    /// Providers that the login opens which it is lent; empty where none is, or the CLI knows only one.
    pub login: Vec<String>,
    /// Extra environment of the worker.
    pub env: BTreeMap<String, String>,
    /// `command` backend only: argv, or empty.
    pub command: Vec<String>,
    /// The first message.
    pub prompt: String,
}

/// A file to write before the run, inside the mission's directory. A project's own files are its user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// Absolute path as seen inside.
    pub path: String,
    /// Whole content.
    pub content: SharedText,
    /// Permission bits.
    pub mode: u32,
    /// A file that is not as we left it stays, with a warning; without this it is written anew, with a warning.
    pub keep_existing: bool,
}

impl PlannedFile {
    /// A file that only the mission reads, written anew for each run.
    pub(super) fn private(path: String, content: String) -> Self {
        Self { path, content: content.into(), mode: 0o600, keep_existing: false }
    }
}

/// How messages reach the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StdinMode {
    /// No stdin at all: one turn a process.
    Null,
    /// NDJSON messages; the process lives over several turns.
    Protocol,
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchPlan {
    /// Program and arguments; never a secret.
    pub argv: Vec<String>,
    /// Complete environment of the process.
    pub env: BTreeMap<String, String>,
    /// Directory.
    pub cwd: String,
    /// Directories to make first, mode 0700, absolute as seen inside.
    pub directories: Vec<String>,
    /// Files to write first; parents are made as needed.
    pub files: Vec<PlannedFile>,
    /// How messages are delivered.
    pub stdin: StdinMode,
    /// Whether stdout is a protocol (`stdout.ndjson`) or plain text (`stdout.log`).
    pub stdout_is_protocol: bool,
    /// What stands in the [file](super::Harness::key_file) that hands over the credential; none where nothing is handed
    /// over like that.
    pub key: Option<String>,
    /// What the run's codec is [restored](super::Codec::restore) from before its first line: what it has to say to
    /// its process by itself. Null where it needs nothing; stored with the mission, so never a secret.
    pub codec: Value,
}
