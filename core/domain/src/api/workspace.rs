//! Workspaces and backends.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where runs of a workspace live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceKind {
    /// The machine itself, without isolation. Its id is the nil UUID.
    Host,
    /// A systemd-nspawn sandbox.
    Container,
}

/// How a sandbox reaches the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// The host's network.
    #[default]
    Host,
    /// Loopback only.
    None,
    /// The public internet, outwards only: no private or metadata address, nothing of the host.
    Nat,
    /// Only the hosts of `allow_hosts`, through a proxy.
    Allowlist,
}

/// Limits of a workspace and of each run in it. Zero or absent: the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory of one run in bytes.
    pub memory_bytes: Option<u64>,
    /// CPU of one run in thousandths of a core.
    pub cpu_millis: Option<u32>,
    /// Processes and threads of one run.
    pub pids: Option<u32>,
    /// Disk of the workspace in bytes: its layer, missions, worktrees and inbox together. Absent: no limit of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
}

impl Limits {
    /// These, and those of `below` where nothing is said.
    #[must_use]
    pub fn or(self, below: Self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.or(below.memory_bytes),
            cpu_millis: self.cpu_millis.or(below.cpu_millis),
            pids: self.pids.or(below.pids),
            disk_bytes: self.disk_bytes.or(below.disk_bytes),
        }
    }
}

/// `POST /api/workspaces`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CreateWorkspaceParams {
    /// Lower-case name, unique.
    pub name: String,
    /// Host directories bound writable at their own path (a repository's root).
    pub binds: Vec<String>,
    /// Template of its image and of what follows; `minimal` unless told.
    pub template: Option<String>,
    /// Network of the sandbox; the template's unless told, else the host's.
    pub network: Option<NetworkMode>,
    /// For `allowlist`: `example.org`, `*.example.org`, `example.org:8443` or `192.0.2.1:8080`; ports 80 and 443 unless
    /// one is named.
    pub allow_hosts: Vec<String>,
    /// Limits of each run.
    pub limits: Limits,
}

/// State of a workspace's sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SandboxState {
    /// Not running; starts on first use.
    Stopped,
    /// Running, nothing in it.
    Ready,
    /// Running with at least one run.
    Busy,
    /// Could not be started, or its image not be built; `detail` says why.
    Error,
}

/// A workspace as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct WorkspaceView {
    pub id: Uuid,
    pub name: String,
    pub kind: WorkspaceKind,
    pub state: SandboxState,
    pub detail: Option<String>,
    pub root: String,
    pub image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    pub binds: Vec<String>,
    pub network: NetworkMode,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_hosts: Vec<String>,
    pub limits: Limits,
    /// The workspace whose state this one began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<Uuid>,
    /// What its sandbox uses now; none while it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<WorkspaceUsage>,
    /// Its shared folders as its processes see them.
    #[serde(default)]
    pub shared: super::SharedFolders,
    /// Its inbox on this machine.
    #[serde(default)]
    pub inbox: String,
    /// How full the inbox is.
    #[serde(default)]
    pub inbox_use: super::StorageUse,
    /// Bytes on disk of its own layer, missions, worktrees and inbox; in lists they may be a minute old, or older where
    /// counting takes long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// Its image while it is built, or why that failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<WorkspaceBuild>,
    /// What its template says and it does not get; only where one workspace is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<WorkspaceWarning>,
    pub created_at: DateTime<Utc>,
}

/// Which wish of its template a workspace does not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceWarningCode {
    /// A smaller disk than it has.
    DiskNotShrunk,
    /// A disk of its own, where it has none.
    DiskNotMade,
}

impl WorkspaceWarningCode {
    /// All, in order.
    pub const ALL: [Self; 2] = [Self::DiskNotShrunk, Self::DiskNotMade];

    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DiskNotShrunk => "disk_not_shrunk",
            Self::DiskNotMade => "disk_not_made",
        }
    }
}

/// A wish of its template that a workspace does not get, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkspaceWarning {
    /// Which one.
    pub code: WorkspaceWarningCode,
    /// In words.
    pub message: String,
}

/// Where a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuildState {
    /// It is being made.
    Building,
    /// It could not be made. The workspace keeps the image that it has, if it has one.
    Failed,
}

/// The build of a workspace's image that is under way, else the last one if it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkspaceBuild {
    /// Where it is.
    pub state: BuildState,
    /// The image that was to be made; none where its template says nothing that could be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<BuildProgress>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<DateTime<Utc>>,
    /// File with everything that the builder printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Its end when it failed; only where one workspace is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_tail: Option<String>,
}

/// What a sandbox uses, all of its runs together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkspaceUsage {
    /// Bytes of memory now.
    pub memory_bytes: u64,
    /// Most bytes of memory so far.
    pub memory_peak_bytes: u64,
    /// Processor time so far, in milliseconds.
    pub cpu_ms: u64,
    /// Processes and threads now.
    pub pids: u64,
}

/// One line of the answer of `POST /api/workspaces/:id/build`. The last line is the workspace, or the error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildProgress {
    /// How much of the image is there, 0 to 100.
    pub percent: u8,
    /// What is being done.
    pub text: String,
    /// Packages that are installed.
    #[serde(default)]
    pub packages_done: u32,
    /// Of how many; 0 before that is known. They are counted in two parts, so it grows once.
    #[serde(default)]
    pub packages_total: u32,
    /// Bytes of packages that were fetched.
    #[serde(default)]
    pub bytes_done: u64,
    /// Of how many; as with packages.
    #[serde(default)]
    pub bytes_total: u64,
    /// How long the rest takes if it goes on like this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

impl BuildProgress {
    /// Something that is not counted.
    pub fn of(percent: u8, text: impl Into<String>) -> Self {
        Self { percent, text: text.into(), ..Self::default() }
    }

    /// What is being done, with the figures that are known.
    pub fn line(&self) -> String {
        let mut parts = vec![self.text.clone()];
        if self.packages_total > 0 {
            parts.push(format!("{} of {} packages", self.packages_done, self.packages_total));
        }
        if self.bytes_total > 0 {
            let tenths = |bytes: u64| format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10);
            parts.push(format!("{} of {} MB", tenths(self.bytes_done), tenths(self.bytes_total)));
        }
        if let Some(seconds) = self.seconds_left {
            parts.push(format!("{seconds} s left"));
        }
        parts.join(", ")
    }
}

/// `POST /api/workspaces/:id/exec`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExecParams {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Directory inside the workspace.
    pub cwd: Option<String>,
    /// 60 unless told, at most 3600.
    pub timeout_seconds: Option<u64>,
}

/// How an exec ended. Output is cut at 64 KiB each, head and tail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names say it")]
pub struct ExecResponse {
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub reason: Option<String>,
    pub stdout: String,
    pub stderr: String,
    pub milliseconds: u64,
}

/// `POST /api/workspaces/:id/shell`: a program at a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShellParams {
    /// Program and arguments; a login shell unless told.
    pub argv: Vec<String>,
    /// Directory inside.
    pub cwd: Option<String>,
    /// Kind of terminal (`TERM`); `xterm-256color` unless told.
    pub term: Option<String>,
    /// Height in lines; 24 unless told.
    pub rows: Option<u16>,
    /// Width in columns; 80 unless told.
    pub cols: Option<u16>,
}

/// One line of the answer. The shell ends when nobody reads it any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ShellEvent {
    /// It runs.
    Started {
        /// Where its input goes: `POST /api/workspaces/:id/shell/:run`.
        run_id: String,
    },
    /// What it showed, base64.
    Output {
        /// Bytes as they came.
        data: String,
    },
    /// It has ended; the last line.
    Ended {
        /// Exit status, when it exited.
        exit_code: Option<i32>,
        /// Signal, when one ended it.
        signal: Option<i32>,
        /// Why the platform ended it.
        reason: Option<String>,
    },
}

/// `POST /api/workspaces/:id/shell/:run`: keys and another size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShellInput {
    /// What was typed.
    pub data: String,
    /// The end of input.
    pub close: bool,
    /// Another height, with `cols`.
    pub rows: Option<u16>,
    /// Another width, with `rows`.
    pub cols: Option<u16>,
}

/// What became of a file in a fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LayerChangeKind {
    /// It was not there.
    Added,
    /// It is another one, or has another content.
    Changed,
    /// It is gone.
    Removed,
}

/// One file that a fork changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LayerChange {
    /// Its path inside.
    pub path: String,
    /// What became of it.
    pub kind: LayerChangeKind,
    /// Whether it is a directory: an empty one that was added, or one that is gone with all that was in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub directory: bool,
    /// Bytes of a file that was added or changed.
    pub bytes: u64,
    /// Whether the workspace has changed it since the fork as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub conflict: bool,
}

/// `GET /api/workspaces/:id/diff`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkspaceDiff {
    /// The fork.
    pub workspace: Uuid,
    /// The workspace that it began as.
    pub forked_from: Uuid,
    /// By path; at most 10,000.
    pub changes: Vec<LayerChange>,
    /// How many there are.
    pub total: u64,
}

/// `POST /api/workspaces/:id/apply`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApplyParams {
    /// Files and directories to carry over; all when empty.
    pub paths: Vec<String>,
    /// Whether the fork's side is taken where both have changed.
    pub force: bool,
}

/// What was carried over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplyResponse {
    /// The workspace that has it now.
    pub workspace: Uuid,
    /// By path.
    pub applied: Vec<LayerChange>,
}

/// How a backend authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "names are the contract's")]
pub enum AuthKind {
    ApiKey,
    Oauth,
    CliLogin,
    None,
}

/// Where a backend's program was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProgramSource {
    /// Nowhere, or it needs none.
    #[default]
    None,
    /// Its `_CLI_PATH` variable names it.
    Variable,
    /// In `PATH`.
    Path,
    /// Installed by the platform, from npm.
    Installed,
}

/// One row of `get_backend_auth_status` and `GET /api/backends`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendStatus {
    /// The backend's id.
    pub backend: String,
    /// Whether its program was found.
    pub installed: bool,
    /// The program's version; empty when not installed.
    pub version: String,
    /// Where the program comes from.
    #[serde(default)]
    pub source: ProgramSource,
    /// Its file on the host; empty when there is none.
    #[serde(default)]
    pub program: String,
    /// Whether a worker could start now.
    pub ready: bool,
    /// How it would authenticate.
    pub auth: AuthKind,
    /// Until when that is good, where it is known; what the agent renews by itself goes on after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DateTime<Utc>")]
    pub auth_expires_at: Option<DateTime<Utc>>,
    /// Why it is not ready and what to do; a word of confirmation otherwise.
    pub reason: String,
    /// Model used when a worker names none; empty when the backend has none.
    pub default_model: String,
    /// Effort used when a worker names none; absent when the backend decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "super::Effort")]
    pub default_effort: Option<super::Effort>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_with_the_figures_that_are_known() {
        let mut step = BuildProgress::of(40, "downloading libc6");
        assert_eq!(step.line(), "downloading libc6");
        (step.packages_done, step.packages_total, step.seconds_left) = (3, 120, Some(20));
        (step.bytes_done, step.bytes_total) = (2_759_000, 55_200_000);
        assert_eq!(step.line(), "downloading libc6, 3 of 120 packages, 2.7 of 55.2 MB, 20 s left");
    }
}
