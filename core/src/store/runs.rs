//! Runs: one process each, how far its output was read, and what was promised to its stdin.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sandbox_runner::protocol::ExitRecord;
use sandboxed_domain::mission::Clocks;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::events::{parse_stamp, parse_uuid, stamp};
use super::{StoreError, Tx};

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// The harness.
    Turn,
    /// The platform's check.
    Verify,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunPhase {
    /// Written down; the runner may or may not know it yet.
    Starting,
    /// The runner has it.
    Running,
    /// Its exit record was read with all of its output.
    Ended,
}

/// What to start, kept so that a restarted daemon starts exactly the same. No secrets: those are found again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPlan {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Directory.
    pub cwd: String,
    /// Output file's name.
    pub stdout_name: String,
    /// Whether messages go to stdin.
    pub stdin_pipe: bool,
    /// What the credential is called that it was started with; absent in rows of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// One run.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "columns; see schema.rs")]
pub struct RunRow {
    pub id: Uuid,
    pub mission_id: Uuid,
    pub attempt: u32,
    pub kind: RunKind,
    pub phase: RunPhase,
    pub plan: RunPlan,
    /// Bytes of stdout that became events.
    pub offset: u64,
    /// Bytes of text kept as events.
    pub stored_bytes: u64,
    /// Bytes promised to stdin.
    pub stdin_planned: u64,
    pub stdin_closed: bool,
    /// Between two turns.
    pub idle: bool,
    pub exit: Option<ExitRecord>,
    pub started_at: DateTime<Utc>,
    /// The same by both clocks; absent in rows of older versions.
    pub clocks: Option<Clocks>,
}

fn read(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let bad =
        |index, e| rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, Box::new(e));
    Ok(RunRow {
        id: parse_uuid(&row.get::<_, String>(0)?),
        mission_id: parse_uuid(&row.get::<_, String>(1)?),
        attempt: row.get(2)?,
        kind: if row.get::<_, String>(3)? == "verify" { RunKind::Verify } else { RunKind::Turn },
        phase: match row.get::<_, String>(4)?.as_str() {
            "starting" => RunPhase::Starting,
            "running" => RunPhase::Running,
            _ => RunPhase::Ended,
        },
        plan: serde_json::from_str(&row.get::<_, String>(5)?).map_err(|e| bad(5, e))?,
        offset: row.get(6)?,
        stored_bytes: row.get(7)?,
        stdin_planned: row.get(8)?,
        stdin_closed: row.get(9)?,
        idle: row.get(10)?,
        exit: row
            .get::<_, Option<String>>(11)?
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|e| bad(11, e))?,
        started_at: parse_stamp(&row.get::<_, String>(12)?),
        clocks: row
            .get::<_, Option<String>>(13)?
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|e| bad(13, e))?,
    })
}

const COLUMNS: &str = "id, mission_id, attempt, kind, state, plan, offset, stored_bytes, stdin_planned, \
    stdin_closed, idle, exit, started_at, clocks";

/// Writes the whole row, new or changed.
///
/// # Errors
/// SQLite's.
pub fn save_run(tx: &Tx<'_>, run: &RunRow) -> Result<(), StoreError> {
    let state = match run.phase {
        RunPhase::Starting => "starting",
        RunPhase::Running => "running",
        RunPhase::Ended => "ended",
    };
    let sql = format!(
        "INSERT INTO runs ({COLUMNS}, ended_at) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15) \
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, offset = excluded.offset, \
         stored_bytes = excluded.stored_bytes, stdin_planned = excluded.stdin_planned, \
         stdin_closed = excluded.stdin_closed, idle = excluded.idle, exit = excluded.exit, ended_at = excluded.ended_at"
    );
    tx.prepare_cached(&sql)?.execute(params![
        run.id.to_string(),
        run.mission_id.to_string(),
        run.attempt,
        if run.kind == RunKind::Verify { "verify" } else { "turn" },
        state,
        serde_json::to_string(&run.plan)?,
        run.offset,
        run.stored_bytes,
        run.stdin_planned,
        run.stdin_closed,
        run.idle,
        run.exit.as_ref().map(serde_json::to_string).transpose()?,
        stamp(run.started_at),
        run.clocks.as_ref().map(serde_json::to_string).transpose()?,
        run.exit.as_ref().map(|_| stamp(Utc::now())),
    ])?;
    Ok(())
}

/// The newest run of a mission.
///
/// # Errors
/// SQLite's.
pub fn latest_run(connection: &Connection, mission: Uuid) -> Result<Option<RunRow>, StoreError> {
    Ok(connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM runs WHERE mission_id = ?1 ORDER BY attempt DESC, rowid DESC LIMIT 1"
        ))?
        .query_row([mission.to_string()], read)
        .optional()?)
}

/// All runs of a mission, oldest first.
///
/// # Errors
/// SQLite's.
pub fn runs_of(connection: &Connection, mission: Uuid) -> Result<Vec<RunRow>, StoreError> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM runs WHERE mission_id = ?1 ORDER BY rowid"))?;
    let rows = statement.query_map([mission.to_string()], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Promises bytes to a run's stdin; they are sent, and sent again after a crash, at this offset.
///
/// # Errors
/// SQLite's.
pub fn plan_stdin(tx: &Tx<'_>, run: &mut RunRow, data: &str) -> Result<(), StoreError> {
    if data.is_empty() {
        return save_run(tx, run);
    }
    tx.execute(
        "INSERT INTO stdin_writes (run_id, offset, data) VALUES (?1, ?2, ?3)",
        params![run.id.to_string(), run.stdin_planned, data],
    )?;
    run.stdin_planned += data.len() as u64;
    save_run(tx, run)
}

/// Promised bytes that the runner has not confirmed.
///
/// # Errors
/// SQLite's.
pub fn pending_stdin(connection: &Connection, run: Uuid) -> Result<Vec<(u64, String)>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT offset, data FROM stdin_writes WHERE run_id = ?1 ORDER BY offset")?;
    let rows = statement.query_map([run.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The runner has them.
///
/// # Errors
/// SQLite's.
pub fn confirm_stdin(tx: &Tx<'_>, run: Uuid, offset: u64) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM stdin_writes WHERE run_id = ?1 AND offset <= ?2",
        params![run.to_string(), offset],
    )?;
    Ok(())
}
