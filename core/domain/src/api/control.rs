//! The admin door: missions, messages, requests, health.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{McpServerView, PermissionMode};
use crate::mission::{MissionStatus, TerminalReason};

/// `GET /api/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthResponse {
    /// Always `ok` when it answers.
    pub status: String,
    /// The package's version.
    pub version: String,
    /// Which build is running.
    pub build_id: String,
    /// Whether the other routes want a bearer token.
    pub auth_required: bool,
    /// The daemon's process id.
    pub pid: u32,
}

/// `POST /api/control/missions`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct CreateMissionParams {
    pub title: Option<String>,
    pub prompt: Option<String>,
    pub backend: Option<String>,
    pub model_override: Option<String>,
    pub model_effort: Option<String>,
    /// `default`, `plan`, `accept_edits` or `bypass`; default bypass in a sandbox, default on the host.
    pub permission_mode: Option<PermissionMode>,
    pub workspace_id: Option<String>,
    pub agent: Option<String>,
    pub config_profile: Option<String>,
    /// MCP servers beside those of the profile: names of the Library's, `workspace`, `desktop`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mcps: Vec<String>,
    pub parent_mission_id: Option<Uuid>,
    pub working_directory: Option<String>,
}

/// A mission as the admin API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct MissionView {
    pub id: Uuid,
    pub title: String,
    pub status: MissionStatus,
    pub terminal_reason: Option<TerminalReason>,
    pub backend: String,
    pub model_override: Option<String>,
    pub model_effort: Option<String>,
    /// Absent where nothing is asked for: missions of older versions.
    #[serde(default)]
    pub permission_mode: Option<PermissionMode>,
    pub workspace_id: Uuid,
    pub parent_mission_id: Option<Uuid>,
    pub boss: Option<String>,
    pub task_key: Option<String>,
    pub working_directory: Option<String>,
    pub session_id: Option<String>,
    pub turns: u32,
    /// Profile of the Library.
    #[serde(default)]
    pub config_profile: Option<String>,
    /// Agent of the Library whose role it has.
    #[serde(default)]
    pub agent: Option<String>,
    /// MCP servers that it asked for.
    #[serde(default)]
    pub mcps: Vec<String>,
    /// MCP servers of its newest run, with their states; in the answer to one mission.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mcp_servers: Vec<McpServerView>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    /// In the answer of a creation: it was created all the same, with a model that the backend does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub warning: Option<String>,
    /// When it goes on by itself, for one that waits for a limit or a retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DateTime<Utc>")]
    pub parked_until: Option<DateTime<Utc>>,
}

/// `GET /api/control/missions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct ListMissionsParams {
    /// 50 unless told, at most 200.
    pub limit: Option<u32>,
    pub cursor: Option<String>,
    /// Comma-separated statuses.
    pub status: Option<String>,
    pub parent: Option<Uuid>,
    pub workspace: Option<Uuid>,
}

/// A page of missions, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct MissionPage {
    pub missions: Vec<MissionView>,
    pub next_cursor: Option<String>,
}

/// `GET /api/control/missions/:id/events`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct EventsParams {
    /// 100 unless told, at most 1000.
    pub limit: Option<u32>,
    pub offset: Option<u64>,
    pub since_seq: Option<i64>,
    /// Comma-separated event types.
    pub types: Option<String>,
}

/// `POST /api/control/message`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct MessageParams {
    pub content: String,
    #[serde(default)]
    pub mission_id: Option<Uuid>,
    /// Into the turn that runs, where the backend can, instead of the next one.
    #[serde(default)]
    pub into_running_turn: bool,
}

/// Where the message went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct MessageResponse {
    pub id: String,
    pub queued: bool,
    pub mission_id: Uuid,
    /// It goes into the turn that runs; should that be over first, it is the next one.
    #[serde(default)]
    pub into_running_turn: bool,
}

/// `POST /api/control/missions/:id/resume`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct ResumeMissionParams {
    pub content: Option<String>,
}

/// A pending question, permission or plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct RequestView {
    pub request_id: String,
    pub mission_id: Uuid,
    /// `permission`, `question` or `plan`.
    pub kind: String,
    pub title: String,
    /// Decisions that can be given, or answers that a question suggests.
    #[serde(default)]
    pub options: Vec<String>,
    /// What `allow_always` would allow from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub rule: Option<String>,
    pub detail: Value,
    pub opened_at: DateTime<Utc>,
}

/// What is running and what waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct ProgressView {
    pub mission_id: Uuid,
    pub title: String,
    pub status: MissionStatus,
    pub seconds: u64,
    pub last_activity: String,
    /// When it goes on by itself, for one that waits for a limit or a retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DateTime<Utc>")]
    pub parked_until: Option<DateTime<Utc>>,
}

/// A waiting message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names are the contract's")]
pub struct QueuedMessage {
    pub id: String,
    pub mission_id: Uuid,
    pub content: String,
    pub queued_at: DateTime<Utc>,
}
