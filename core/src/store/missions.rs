//! The missions table: the projection that everything but the log reads.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sandboxed_domain::api::{
    ApiError, ErrorCode, EventBody, GitFacts, MissionView, PermissionMode, Reported, VerificationView,
};
use sandboxed_domain::harness::FailureClass;
use sandboxed_domain::mission::{MissionStatus, TerminalReason};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::events::{append_event, parse_stamp, parse_uuid, stamp};
use super::{StoreError, Tx};

/// What was asked for, beyond the columns. Not shown by any API: `env` may hold secrets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MissionSpec {
    /// Extra environment.
    pub env: BTreeMap<String, String>,
    /// argv for backends that take one.
    pub command: Vec<String>,
    /// Told to the worker.
    pub acceptance_criteria: Vec<String>,
    /// Run by the platform.
    pub verification_command: Option<String>,
    /// Longest turn in seconds.
    pub timeout_seconds: Option<u64>,
    /// Start of the branch, as given.
    pub base: Option<String>,
    /// Whether it asks; none in rows of older versions.
    pub permission_mode: Option<PermissionMode>,
    /// Profile of the Library.
    pub config_profile: Option<String>,
    /// Role of the Library.
    pub agent: Option<String>,
    /// MCP servers that it asked for.
    pub mcps: Vec<String>,
}

/// How the last turn ended, as the codec said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastTurn {
    /// Whether the harness called it a success.
    pub success: bool,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// `rate_limited`, `auth`, `transient`, `budget` or `harness`.
    pub failure: Option<String>,
    /// When the limit ends that refused it, Unix seconds.
    #[serde(default)]
    pub resets_at: Option<i64>,
    /// Its words.
    pub message: String,
}

/// What went wrong since the last turn that succeeded, and what the mission waits for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Setbacks {
    /// Times it was parked.
    pub parks: u32,
    /// Times it was tried again.
    pub retries: u32,
    /// Whose limit it waits for; another key has limits of its own.
    pub key: Option<String>,
    /// Somebody wants it to go on whatever is known of limits.
    pub at_once: bool,
}

impl LastTurn {
    /// The failure's class.
    pub fn class(&self) -> Option<FailureClass> {
        match self.failure.as_deref() {
            Some("rate_limited") => Some(FailureClass::RateLimited { resets_at: self.resets_at }),
            Some("auth") => Some(FailureClass::Auth),
            Some("transient") => Some(FailureClass::Transient),
            Some("budget") => Some(FailureClass::BudgetReached),
            Some(_) => Some(FailureClass::Harness),
            None => None,
        }
    }

    /// From the codec's terminal event.
    pub fn new(success: bool, interrupted: bool, failure: Option<FailureClass>, message: String) -> Self {
        let (word, resets_at) = match failure {
            Some(FailureClass::RateLimited { resets_at }) => (Some("rate_limited"), resets_at),
            Some(FailureClass::Auth) => (Some("auth"), None),
            Some(FailureClass::Transient) => (Some("transient"), None),
            Some(FailureClass::BudgetReached) => (Some("budget"), None),
            Some(FailureClass::Harness) => (Some("harness"), None),
            None => (None, None),
        };
        Self { success, interrupted, failure: word.map(str::to_owned), resets_at, message }
    }
}

/// One mission.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "columns; see schema.rs and the contract")]
pub struct MissionRow {
    pub id: Uuid,
    pub title: String,
    pub status: MissionStatus,
    pub terminal_reason: Option<TerminalReason>,
    pub backend: String,
    pub model: Option<String>,
    pub effort: Option<String>,
    pub workspace_id: Uuid,
    pub parent: Option<Uuid>,
    pub boss: Option<String>,
    pub task_key: Option<String>,
    pub spec: MissionSpec,
    pub working_directory: Option<String>,
    pub session_id: String,
    pub session_started: bool,
    pub repo: Option<String>,
    pub branch: Option<String>,
    pub base_oid: Option<String>,
    pub worktree: Option<String>,
    pub turns: u32,
    pub attempt: u32,
    pub stop_reason: Option<String>,
    pub codec_state: Option<Value>,
    pub last_turn: Option<LastTurn>,
    pub not_before: Option<DateTime<Utc>>,
    pub setbacks: Setbacks,
    pub reported: Option<Reported>,
    pub verification: Option<VerificationView>,
    pub git: Option<GitFacts>,
    pub git_error: Option<String>,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cost_usd: Option<f64>,
    pub last_message: String,
    pub error: Option<String>,
    pub last_activity: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
}

impl MissionRow {
    /// A new mission that waits for a slot.
    pub fn new(title: String, backend: String, workspace_id: Uuid) -> Self {
        let now = Utc::now();
        Self {
            id: Uuid::now_v7(),
            title,
            status: MissionStatus::Pending,
            terminal_reason: None,
            backend,
            model: None,
            effort: None,
            workspace_id,
            parent: None,
            boss: None,
            task_key: None,
            spec: MissionSpec::default(),
            working_directory: None,
            session_id: Uuid::new_v4().to_string(),
            session_started: false,
            repo: None,
            branch: None,
            base_oid: None,
            worktree: None,
            turns: 0,
            attempt: 0,
            stop_reason: None,
            codec_state: None,
            last_turn: None,
            not_before: None,
            setbacks: Setbacks::default(),
            reported: None,
            verification: None,
            git: None,
            git_error: None,
            input_tokens: 0,
            output_tokens: 0,
            cost_usd: None,
            last_message: String::new(),
            error: None,
            last_activity: String::new(),
            created_at: now,
            updated_at: now,
            started_at: None,
            ended_at: None,
        }
    }

    /// As the admin API shows it.
    pub fn view(&self) -> MissionView {
        MissionView {
            id: self.id,
            title: self.title.clone(),
            status: self.status,
            terminal_reason: self.terminal_reason,
            backend: self.backend.clone(),
            model_override: self.model.clone(),
            model_effort: self.effort.clone(),
            permission_mode: self.spec.permission_mode,
            workspace_id: self.workspace_id,
            parent_mission_id: self.parent,
            boss: self.boss.clone(),
            task_key: self.task_key.clone(),
            working_directory: self.working_directory.clone(),
            session_id: self.session_started.then(|| self.session_id.clone()),
            turns: self.turns,
            config_profile: self.spec.config_profile.clone(),
            agent: self.spec.agent.clone(),
            mcps: self.spec.mcps.clone(),
            mcp_servers: Vec::new(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            ended_at: self.ended_at,
            parked_until: self.parked_until(),
            warning: None,
        }
    }

    /// When it goes on by itself, while it waits for that.
    pub fn parked_until(&self) -> Option<DateTime<Utc>> {
        let waits = matches!(self.status, MissionStatus::Pending | MissionStatus::RateLimited);
        self.not_before.filter(|_| waits)
    }

    /// Seconds since it began to be worked on, until now or its end.
    pub fn seconds(&self) -> f64 {
        let Some(started) = self.started_at else { return 0.0 };
        let end = self.ended_at.unwrap_or_else(Utc::now);
        (end - started).num_milliseconds().max(0) as f64 / 1000.0
    }
}

const COLUMNS: &str = "id, title, status, terminal_reason, backend, model_override, model_effort, workspace_id, \
    parent_mission_id, boss, task_key, spec, working_directory, session_id, session_started, repo, branch, base_oid, \
    worktree, turns, attempt, stop_reason, codec_state, last_turn, reported, verification, git, git_error, \
    input_tokens, output_tokens, cost_usd, last_message, error, last_activity, created_at, updated_at, started_at, \
    ended_at, not_before, setbacks";

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(index)?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, Box::new(e))
    })
}

fn read(row: &Row<'_>) -> rusqlite::Result<MissionRow> {
    let uuid = |index: usize| -> rusqlite::Result<Uuid> { Ok(parse_uuid(&row.get::<_, String>(index)?)) };
    let time = |index: usize| -> rusqlite::Result<Option<DateTime<Utc>>> {
        Ok(row.get::<_, Option<String>>(index)?.map(|text| parse_stamp(&text)))
    };
    Ok(MissionRow {
        id: uuid(0)?,
        title: row.get(1)?,
        status: MissionStatus::parse(&row.get::<_, String>(2)?).unwrap_or(MissionStatus::Interrupted),
        terminal_reason: row.get::<_, Option<String>>(3)?.and_then(|text| TerminalReason::parse(&text)),
        backend: row.get(4)?,
        model: row.get(5)?,
        effort: row.get(6)?,
        workspace_id: uuid(7)?,
        parent: row.get::<_, Option<String>>(8)?.map(|text| parse_uuid(&text)),
        boss: row.get(9)?,
        task_key: row.get(10)?,
        spec: json(row, 11)?.unwrap_or_default(),
        working_directory: row.get(12)?,
        session_id: row.get(13)?,
        session_started: row.get(14)?,
        repo: row.get(15)?,
        branch: row.get(16)?,
        base_oid: row.get(17)?,
        worktree: row.get(18)?,
        turns: row.get(19)?,
        attempt: row.get(20)?,
        stop_reason: row.get(21)?,
        codec_state: json(row, 22)?,
        last_turn: json(row, 23)?,
        reported: json(row, 24)?,
        verification: json(row, 25)?,
        git: json(row, 26)?,
        git_error: row.get(27)?,
        input_tokens: row.get(28)?,
        output_tokens: row.get(29)?,
        cost_usd: row.get(30)?,
        last_message: row.get(31)?,
        error: row.get(32)?,
        last_activity: row.get(33)?,
        created_at: time(34)?.unwrap_or_default(),
        updated_at: time(35)?.unwrap_or_default(),
        started_at: time(36)?,
        ended_at: time(37)?,
        not_before: time(38)?,
        setbacks: json(row, 39)?.unwrap_or_default(),
    })
}

fn text<T: Serialize>(value: &Option<T>) -> Result<Option<String>, StoreError> {
    Ok(value.as_ref().map(serde_json::to_string).transpose()?)
}

/// Writes the whole row, new or changed.
///
/// # Errors
/// SQLite's; a task key or branch that is taken.
pub fn save_mission(tx: &Tx<'_>, row: &MissionRow) -> Result<(), StoreError> {
    let marks = (1..=40).map(|n| format!("?{n}")).collect::<Vec<_>>().join(",");
    let sets: Vec<String> =
        COLUMNS.split(", ").map(str::trim).skip(1).map(|c| format!("{c} = excluded.{c}")).collect();
    let sql = format!(
        "INSERT INTO missions ({COLUMNS}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {}",
        sets.join(", ")
    );
    tx.prepare_cached(&sql)?.execute(params![
        row.id.to_string(),
        row.title,
        row.status.as_str(),
        row.terminal_reason.map(TerminalReason::as_str),
        row.backend,
        row.model,
        row.effort,
        row.workspace_id.to_string(),
        row.parent.map(|id| id.to_string()),
        row.boss,
        row.task_key,
        serde_json::to_string(&row.spec)?,
        row.working_directory,
        row.session_id,
        row.session_started,
        row.repo,
        row.branch,
        row.base_oid,
        row.worktree,
        row.turns,
        row.attempt,
        row.stop_reason,
        text(&row.codec_state)?,
        text(&row.last_turn)?,
        text(&row.reported)?,
        text(&row.verification)?,
        text(&row.git)?,
        row.git_error,
        row.input_tokens,
        row.output_tokens,
        row.cost_usd,
        row.last_message,
        row.error,
        row.last_activity,
        stamp(row.created_at),
        stamp(Utc::now()),
        row.started_at.map(stamp),
        row.ended_at.map(stamp),
        row.not_before.map(stamp),
        serde_json::to_string(&row.setbacks)?,
    ])?;
    Ok(())
}

/// One mission.
///
/// # Errors
/// SQLite's.
pub fn find_mission(connection: &Connection, id: Uuid) -> Result<Option<MissionRow>, StoreError> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM missions WHERE id = ?1"))?
        .query_row([id.to_string()], read)
        .optional()?)
}

/// One mission that must be there.
///
/// # Errors
/// `not_found`; SQLite's.
pub fn get_mission(connection: &Connection, id: Uuid) -> Result<MissionRow, StoreError> {
    find_mission(connection, id)?.ok_or_else(|| {
        ApiError::new(ErrorCode::NotFound, format!("no mission {id}"))
            .field("mission_id")
            .hint("list them with `sandboxed-sh mission list`")
            .into()
    })
}

/// The worker of `boss` with this key.
///
/// # Errors
/// SQLite's.
pub fn find_by_task_key(
    connection: &Connection,
    boss: &str,
    key: &str,
) -> Result<Option<MissionRow>, StoreError> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM missions WHERE boss = ?1 AND task_key = ?2"))?
        .query_row([boss, key], read)
        .optional()?)
}

/// Which missions to read.
#[derive(Debug, Clone, Default)]
pub struct MissionQuery {
    /// Of this boss.
    pub boss: Option<String>,
    /// With this parent.
    pub parent: Option<Uuid>,
    /// In this workspace.
    pub workspace: Option<Uuid>,
    /// In one of these statuses; empty: all.
    pub statuses: Vec<MissionStatus>,
    /// Only those whose `created_at|id` sorts before this (newest first) or after it (oldest first).
    pub cursor: Option<String>,
    /// Oldest first instead of newest first.
    pub oldest_first: bool,
    /// At most so many.
    pub limit: u32,
}

/// The cursor after a row.
pub fn mission_cursor(row: &MissionRow) -> String {
    format!("{}|{}", stamp(row.created_at), row.id)
}

fn check_cursor(text: &str) -> Result<(), ApiError> {
    let read = |(at, id): (&str, &str)| {
        chrono::DateTime::parse_from_rfc3339(at).is_ok() && Uuid::parse_str(id).is_ok()
    };
    if text.split_once('|').is_some_and(read) {
        return Ok(());
    }
    Err(ApiError::invalid("cursor", "not a cursor of this list")
        .hint("pass next_cursor of the last page, or leave it out"))
}

/// Reads missions in order of creation.
///
/// # Errors
/// A cursor that is none; SQLite's.
pub fn query_missions(connection: &Connection, query: &MissionQuery) -> Result<Vec<MissionRow>, StoreError> {
    if let Some(cursor) = &query.cursor {
        check_cursor(cursor)?;
    }
    let (order, beyond) = if query.oldest_first { ("ASC", ">") } else { ("DESC", "<") };
    let sql = format!(
        "SELECT {COLUMNS} FROM missions WHERE (?1 IS NULL OR boss = ?1) AND (?2 IS NULL OR parent_mission_id = ?2) \
         AND (?3 IS NULL OR workspace_id = ?3) AND (?4 = '[]' OR status IN (SELECT value FROM json_each(?4))) \
         AND (?5 IS NULL OR created_at || '|' || id {beyond} ?5) \
         ORDER BY created_at {order}, id {order} LIMIT ?6"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(
        params![
            query.boss,
            query.parent.map(|id| id.to_string()),
            query.workspace.map(|id| id.to_string()),
            serde_json::to_string(&query.statuses)?,
            query.cursor,
            query.limit
        ],
        read,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads missions by a condition and order of their own.
pub(super) fn select_missions(
    connection: &Connection,
    rest: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<MissionRow>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM missions WHERE {rest}"))?;
    let rows = statement.query_map(params, read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many missions hold a slot.
///
/// # Errors
/// SQLite's.
pub fn count_active(connection: &Connection) -> Result<u32, StoreError> {
    let held: Vec<MissionStatus> = MissionStatus::ALL.into_iter().filter(|s| s.holds_slot()).collect();
    Ok(connection.query_row(
        "SELECT count(*) FROM missions WHERE status IN (SELECT value FROM json_each(?1))",
        [serde_json::to_string(&held)?],
        |row| row.get(0),
    )?)
}

/// Changes the status along an edge that exists, with its event. The caller saves the row.
///
/// # Errors
/// `wrong_state` when the edge does not exist; SQLite's.
pub fn transition(
    tx: &mut Tx<'_>,
    row: &mut MissionRow,
    next: MissionStatus,
    reason: Option<TerminalReason>,
) -> Result<(), StoreError> {
    if !row.status.can_become(next) {
        return Err(ApiError::new(
            ErrorCode::WrongState,
            format!("mission {} is {}, it cannot become {}", row.id, row.status.as_str(), next.as_str()),
        )
        .into());
    }
    row.status = next;
    row.terminal_reason = reason;
    row.ended_at = next.is_ended().then(Utc::now);
    append_event(tx, row.id, &EventBody::MissionStatusChanged { status: next, terminal_reason: reason })?;
    Ok(())
}

/// Deletes an ended mission with its events and records.
///
/// # Errors
/// SQLite's.
pub fn delete_mission(tx: &Tx<'_>, id: Uuid) -> Result<(), StoreError> {
    let id = id.to_string();
    tx.execute(
        "DELETE FROM stdin_writes WHERE run_id IN (SELECT id FROM runs WHERE mission_id = ?1)",
        [&id],
    )?;
    for table in
        ["events", "runs", "messages", "attention", "requests", "rules", "written_files", "mcp_servers"]
    {
        tx.execute(&format!("DELETE FROM {table} WHERE mission_id = ?1"), [&id])?;
    }
    tx.execute("DELETE FROM missions WHERE id = ?1", [&id])?;
    Ok(())
}
