//! The boss's and the worker's tools: parameters and answers of each.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{ApiError, CompletionRecord, WorkerSpec, WorkspaceKind};
use crate::mission::{MissionStatus, Outcome, TerminalReason};

/// Who calls. An outside client says its name and place; inside a mission the socket decides and this is ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Caller {
    /// The boss's name; a new session of the same name finds its workers.
    pub boss: String,
    /// The client's working directory on the host.
    pub working_directory: String,
    /// Workspace chosen on the command line: an id, a name or `host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
}

/// Body of `POST /api/orchestrator/:tool`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    /// Who calls.
    #[serde(default)]
    pub caller: Caller,
    /// The tool's own parameters.
    #[serde(default)]
    pub params: Value,
}

/// Parameters of a tool that takes none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// A repository of the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct RepositoryView {
    pub path: String,
    pub branch: String,
    pub head: String,
    pub dirty: bool,
}

/// How much may run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct LimitsView {
    pub max_parallel: u32,
    pub active: u32,
    pub free_slots: u32,
}

/// The caller's workspace in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct WorkspaceRef {
    pub id: Uuid,
    pub name: String,
    pub kind: WorkspaceKind,
    pub root: String,
}

/// Answer of `get_workspace_layout`: every path as the worker will see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct LayoutResponse {
    pub boss: String,
    pub workspace: WorkspaceRef,
    pub working_directory: String,
    pub repositories: Vec<RepositoryView>,
    pub worktree_root: String,
    #[serde(default)]
    pub shared: super::SharedFolders,
    pub limits: LimitsView,
    pub backends: Vec<String>,
}

/// Parameters of `get_backend_auth_status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackendAuthParams {
    /// One backend only; default all.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
}

/// Answer of `get_backend_auth_status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendAuthResponse {
    /// One row a backend.
    pub backends: Vec<super::BackendStatus>,
}

/// Parameters of `batch_create_workers`. Entries are read one by one, so that a bad one fails alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchCreateParams {
    /// 1 to 64 workers; each stands for itself.
    #[schemars(with = "Vec<WorkerSpec>")]
    pub workers: Vec<Value>,
    /// The same key gives the same answer, however often it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub idempotency_key: Option<String>,
}

/// One entry's fate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct BatchEntry {
    pub index: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Uuid")]
    pub worker_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub task_key: Option<String>,
    /// A mission status, or `not_created`.
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub worktree: Option<String>,
    /// It was created all the same: a model that the backend does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub warning: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ApiError")]
    pub error: Option<ApiError>,
}

/// Answer of `batch_create_workers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct BatchCreateResponse {
    pub created: u32,
    pub existing: u32,
    pub failed: u32,
    pub workers: Vec<BatchEntry>,
}

/// Parameters of `wait_for_any_worker`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WaitParams {
    /// Only these; default all of yours.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub worker_ids: Vec<String>,
    /// Cursor of the last answer: acknowledges everything up to it.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Longest wait; the server may choose less. Zero: look and return.
    #[schemars(with = "f64")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<f64>,
}

/// Why a wait came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "names are the contract's")]
pub enum WaitStatus {
    Event,
    Timeout,
    NothingToWaitFor,
}

/// What happened to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "names are the contract's")]
pub enum AttentionKind {
    Finished,
    NeedsInput,
    RateLimited,
    BudgetReached,
}

/// One attention event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct AttentionEvent {
    pub worker_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub task_key: Option<String>,
    pub kind: AttentionKind,
    pub status: MissionStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TerminalReason")]
    pub terminal_reason: Option<TerminalReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Outcome")]
    pub outcome: Option<Outcome>,
    /// At most 200 characters.
    pub summary: String,
    /// For needs_input: what answer_worker takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub request_id: Option<String>,
    /// For needs_input: permission, question or plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub request_kind: Option<String>,
    /// For needs_input: decisions, or answers that a question suggests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// When it goes on by itself, for one that waits for a limit or a retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DateTime<Utc>")]
    pub parked_until: Option<DateTime<Utc>>,
}

/// A worker that is still at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct RunningWorker {
    pub worker_id: Uuid,
    pub status: MissionStatus,
    pub seconds: u64,
    pub last_activity: String,
    /// When it goes on by itself, for one that waits for a limit or a retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DateTime<Utc>")]
    pub parked_until: Option<DateTime<Utc>>,
}

/// Answer of `wait_for_any_worker`, under 2 kB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct WaitResponse {
    pub status: WaitStatus,
    pub events: Vec<AttentionEvent>,
    pub cursor: String,
    pub running: Vec<RunningWorker>,
    /// Running workers beyond those listed.
    #[serde(default)]
    pub running_total: u32,
    /// What to call next.
    pub next: String,
}

/// What `get_worker` shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WorkerViewKind {
    /// The completion record.
    #[default]
    Result,
    /// Messages and tool calls.
    Transcript,
    /// Changes since the base.
    Diff,
    /// Raw output.
    Log,
}

/// Parameters of `get_worker`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetWorkerParams {
    /// Which worker.
    pub worker_id: String,
    /// result (default), transcript, diff or log.
    #[serde(default)]
    pub view: WorkerViewKind,
    /// next_cursor of the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub cursor: Option<String>,
    /// Budget of the answer, 256 to 32768; default 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32")]
    pub max_bytes: Option<u32>,
}

/// Answer of `get_worker`: `record` for `result`, else a page of `text`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct GetWorkerResponse {
    pub worker_id: Uuid,
    pub view: WorkerViewKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CompletionRecord")]
    pub record: Option<CompletionRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub next_cursor: Option<String>,
}

/// Parameters of `list_workers`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListWorkersParams {
    /// Only these statuses; default all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<MissionStatus>,
    /// next_cursor of the last page.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One row of `list_workers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct WorkerRow {
    pub worker_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub task_key: Option<String>,
    pub title: String,
    pub backend: String,
    pub status: MissionStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TerminalReason")]
    pub terminal_reason: Option<TerminalReason>,
    pub seconds: u64,
    /// When it goes on by itself, for one that waits for a limit or a retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DateTime<Utc>")]
    pub parked_until: Option<DateTime<Utc>>,
}

/// Answer of `list_workers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct ListWorkersResponse {
    pub workers: Vec<WorkerRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub next_cursor: Option<String>,
}

/// Parameters of `resume_worker`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeWorkerParams {
    /// Which worker; it must have ended.
    pub worker_id: String,
    /// The next message; at most 1 MiB.
    pub prompt: String,
}

/// Answer of `resume_worker`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct ResumeWorkerResponse {
    pub worker_id: Uuid,
    pub status: MissionStatus,
    pub turn: u32,
}

/// Parameters of `send_message_to_worker`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendMessageParams {
    /// Which worker; it must be pending or running.
    pub worker_id: String,
    /// The message; at most 1 MiB.
    pub content: String,
    /// True: into the turn that runs, where the backend can (codex), instead of the next one.
    #[serde(default)]
    pub into_running_turn: bool,
}

/// Answer of `send_message_to_worker`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SendMessageResponse {
    /// It waits for the next turn.
    pub queued: bool,
    /// Its place among those that do, 1 being next; 0 for one that does not.
    pub position: u32,
    /// It goes into the turn that runs; should that be over first, it is the next one.
    #[serde(default)]
    pub into_running_turn: bool,
}

/// Parameters of `cancel_worker`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CancelWorkerParams {
    /// Which workers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub worker_ids: Vec<String>,
    /// True: all of yours that have not ended.
    pub all: bool,
}

/// Answer of `cancel_worker`. Work stays on disk and on its branch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct CancelWorkerResponse {
    pub cancelled: Vec<String>,
    pub not_running: Vec<String>,
    pub unknown: Vec<String>,
}

/// A decision on a permission request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "names are the contract's")]
pub enum Decision {
    Allow,
    AllowAlways,
    Deny,
}

impl Decision {
    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::AllowAlways => "allow_always",
            Self::Deny => "deny",
        }
    }
}

/// Parameters of `answer_worker`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerWorkerParams {
    /// From the needs_input event.
    pub request_id: String,
    /// For a permission: allow, allow_always or deny. For a plan: allow or deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Decision")]
    pub decision: Option<Decision>,
    /// For a question: the answer; for a denial: the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub answer: Option<String>,
}

/// Answer of `answer_worker`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct AnswerWorkerResponse {
    pub delivered: bool,
}

/// Parameters of `report_outcome`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportOutcomeParams {
    /// DONE, BLOCKED or NOT_FEASIBLE.
    pub outcome: Outcome,
    /// What was done or found, in a few sentences; at most 4000 characters.
    pub summary: String,
    /// For BLOCKED: what is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub blocker: Option<String>,
}

/// Answer of `report_outcome`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct ReportOutcomeResponse {
    pub recorded: bool,
}

/// Names of the tools, in the order in which they are offered.
pub const TOOL_NAMES: [&str; 11] = [
    "get_workspace_layout",
    "get_backend_auth_status",
    "batch_create_workers",
    "wait_for_any_worker",
    "get_worker",
    "list_workers",
    "resume_worker",
    "send_message_to_worker",
    "cancel_worker",
    "answer_worker",
    "report_outcome",
];
