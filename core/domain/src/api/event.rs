//! Events of a mission: what every stream, page and transcript shows.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::StorageFolder;
use crate::mission::{MissionStatus, TerminalReason};

/// Tokens of one turn, as the harness reported them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Tokens sent to the model, cached ones included.
    pub input_tokens: u64,
    /// Tokens the model produced.
    pub output_tokens: u64,
    /// Cost of this turn in US dollars, where the harness tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "f64")]
    pub cost_usd: Option<f64>,
}

/// Why a mission waits by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParkCause {
    /// Its turn met a limit of the provider.
    RateLimited,
    /// Another mission met the limit of the same key.
    KeyLimited,
    /// The provider failed for a moment.
    Transient,
}

/// Who answered a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answerer {
    /// The boss, by `answer_worker`.
    Boss,
    /// A person, by HTTP or the command line.
    #[default]
    User,
    /// A rule of the mission: an equal request was allowed always before.
    Rule,
    /// The harness took the request back.
    Harness,
    /// The mission ended first.
    End,
}

/// How an MCP server is, as the agent tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum McpState {
    /// It is in the agent's configuration; the agent told nothing of it yet.
    Configured,
    /// The agent is starting it.
    Starting,
    /// Its tools are there.
    Ready,
    /// It did not start, went away, or wants a login.
    Failed,
    /// The agent does not use it.
    Disabled,
}

impl McpState {
    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Disabled => "disabled",
        }
    }
}

/// An MCP server of a mission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct McpServerView {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: McpState,
    /// Why, where it is not well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub detail: Option<String>,
}

/// The payload of an event. The tag is the event's type in SQLite, in SSE and in filters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "field names are the contract's; the variants carry the explanation")]
pub enum EventBody {
    /// Progress of preparation and of the queue; first frame of a stream.
    Status { state: String, queue_len: u64 },
    /// A message for the harness; `queued` when it waits for the running turn to end.
    UserMessage { id: String, content: String, queued: bool },
    /// The model's reasoning.
    Thinking { content: String, done: bool },
    /// New text only, never a repetition.
    TextDelta { content: String },
    /// A tool call starts.
    ToolCall { tool_call_id: String, name: String, args: Value },
    /// Its result, with the same `tool_call_id`.
    ToolResult { tool_call_id: String, name: String, result: Value, is_error: bool },
    /// One whole message of the assistant.
    AssistantMessage {
        id: String,
        content: String,
        success: bool,
        cost_cents: f64,
        usage: Usage,
        model: Option<String>,
    },
    /// Something went wrong.
    Error { code: String, message: String },
    /// The mission went into another state.
    MissionStatusChanged { status: MissionStatus, terminal_reason: Option<TerminalReason> },
    /// It waits by itself: `cause` is `rate_limited` (its turn met a limit), `key_limited` (another mission met the
    /// limit of the same key) or `transient` (the provider failed, it is tried again). `attempt` of at most `of` in a
    /// row; both 0 where nothing is counted.
    Parked { cause: ParkCause, until: DateTime<Utc>, attempt: u32, of: u32 },
    /// One of several credentials of the backend, by its name: its key met a limit until then, or, without a time, the
    /// mission uses it from now on.
    Credential {
        label: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "DateTime<Utc>")]
        limited_until: Option<DateTime<Utc>>,
    },
    /// A question or permission is waiting for an answer.
    RequestOpened { request_id: String, kind: String, title: String, detail: Value },
    /// It was answered, or needs no answer any more (`withdrawn`).
    RequestAnswered {
        request_id: String,
        decision: String,
        /// Absent in events of older versions.
        #[serde(default)]
        by: Answerer,
    },
    /// Tokens and cost of a finished turn.
    Usage(Usage),
    /// An MCP server of the agent is not as it was: `starting`, `ready`, `failed` or `disabled`.
    McpServer {
        name: String,
        state: McpState,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "String")]
        detail: Option<String>,
    },
    /// The goal that the harness pursues by itself changed, or another of its turns is over.
    Goal {
        status: String,
        objective: String,
        iterations: u32,
        tokens_used: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "u64")]
        token_budget: Option<u64>,
    },
    /// The worker reported its outcome by the tool.
    OutcomeReported { outcome: String, summary: String, blocker: Option<String> },
    /// A place that the mission uses is 80, 95 or 100 percent full; told once on the way up.
    StorageWarning { folder: StorageFolder, percent: u8, used_bytes: u64, quota_bytes: u64 },
    /// Output beyond the stored limit stays in the log file.
    OutputElided { stored_bytes: u64, log_path: String },
    /// A message of the harness that we do not know.
    HarnessRaw { raw: Value },
}

impl EventBody {
    /// The type tag.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::UserMessage { .. } => "user_message",
            Self::Thinking { .. } => "thinking",
            Self::TextDelta { .. } => "text_delta",
            Self::ToolCall { .. } => "tool_call",
            Self::ToolResult { .. } => "tool_result",
            Self::AssistantMessage { .. } => "assistant_message",
            Self::Error { .. } => "error",
            Self::MissionStatusChanged { .. } => "mission_status_changed",
            Self::Parked { .. } => "parked",
            Self::Credential { .. } => "credential",
            Self::RequestOpened { .. } => "request_opened",
            Self::RequestAnswered { .. } => "request_answered",
            Self::Usage(_) => "usage",
            Self::McpServer { .. } => "mcp_server",
            Self::Goal { .. } => "goal",
            Self::OutcomeReported { .. } => "outcome_reported",
            Self::StorageWarning { .. } => "storage_warning",
            Self::OutputElided { .. } => "output_elided",
            Self::HarnessRaw { .. } => "harness_raw",
        }
    }
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Position in the one log of this daemon; increasing, never reused.
    pub sequence: i64,
    /// Whose event it is.
    pub mission_id: Uuid,
    /// When it was stored.
    pub timestamp: DateTime<Utc>,
    /// Type and fields.
    #[serde(flatten)]
    pub body: EventBody,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventPage {
    /// In order of sequence.
    pub events: Vec<Event>,
    /// All events of the mission that match the filter.
    pub total: u64,
    /// Pass as `since_seq` to go on; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub next_since_seq: Option<i64>,
}
