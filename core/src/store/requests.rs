//! Pending questions, permissions and plans: answered once, kept across restarts; and the rules of missions.

use chrono::Utc;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sandboxed_domain::api::{Decision, RequestView};
use serde_json::Value;
use uuid::Uuid;

use super::events::{parse_stamp, parse_uuid, stamp};
use super::{StoreError, Tx};

/// One request with what is needed to answer it.
#[derive(Debug, Clone)]
pub struct RequestRow {
    /// What people see.
    pub view: RequestView,
    /// The run that asks.
    pub run_id: Uuid,
    /// Set once.
    pub answered: bool,
}

fn read(row: &Row<'_>) -> rusqlite::Result<RequestRow> {
    Ok(RequestRow {
        view: RequestView {
            request_id: row.get(0)?,
            mission_id: parse_uuid(&row.get::<_, String>(1)?),
            kind: row.get(3)?,
            title: row.get(4)?,
            options: list(row.get(8)?),
            rule: row.get(9)?,
            detail: serde_json::from_str(&row.get::<_, String>(5)?).unwrap_or_default(),
            opened_at: parse_stamp(&row.get::<_, String>(6)?),
        },
        run_id: parse_uuid(&row.get::<_, String>(2)?),
        answered: row.get::<_, Option<String>>(7)?.is_some(),
    })
}

fn list(text: Option<String>) -> Vec<String> {
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

const COLUMNS: &str = "id, mission_id, run_id, kind, title, detail, opened_at, answered_at, options, rule";

/// The id under which people and bosses know a request. Harnesses count from zero in each process, so the run is
/// part of it.
pub fn public_request_id(run: Uuid, harness_id: &str) -> String {
    Uuid::new_v5(&run, harness_id.as_bytes()).to_string()
}

/// Opens a request; one that is known already stays as it is.
///
/// # Errors
/// SQLite's.
pub fn open_request(tx: &Tx<'_>, run: Uuid, harness_id: &str, view: &RequestView) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO requests (id, mission_id, run_id, kind, title, detail, opened_at, harness_id, options, rule) \
         VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10) ON CONFLICT (id) DO NOTHING",
        params![
            view.request_id,
            view.mission_id.to_string(),
            run.to_string(),
            view.kind,
            view.title,
            view.detail.to_string(),
            stamp(view.opened_at),
            harness_id,
            serde_json::to_string(&view.options)?,
            view.rule
        ],
    )?;
    Ok(())
}

/// One request.
///
/// # Errors
/// SQLite's.
pub fn find_request(connection: &Connection, id: &str) -> Result<Option<RequestRow>, StoreError> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM requests WHERE id = ?1"))?
        .query_row([id], read)
        .optional()?)
}

/// Marks it answered; false when it was before.
///
/// # Errors
/// SQLite's.
pub fn answer_request(
    tx: &Tx<'_>,
    id: &str,
    decision: Decision,
    answer: Option<&str>,
) -> Result<bool, StoreError> {
    Ok(tx.execute(
        "UPDATE requests SET decision = ?2, answer = ?3, answered_at = ?4 WHERE id = ?1 AND answered_at IS NULL",
        params![id, serde_json::to_string(&decision)?, answer, stamp(Utc::now())],
    )? > 0)
}

/// Makes `rule` one of the mission's: equal requests are answered by it from now on.
///
/// # Errors
/// SQLite's.
pub fn add_rule(tx: &Tx<'_>, mission: Uuid, rule: &str, request: &str) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO rules (mission_id, rule, request_id, created_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        params![mission.to_string(), rule, request, stamp(Utc::now())],
    )?;
    Ok(())
}

/// Whether the mission has this rule.
///
/// # Errors
/// SQLite's.
pub fn has_rule(connection: &Connection, mission: Uuid, rule: &str) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM rules WHERE mission_id = ?1 AND rule = ?2")?
        .exists(params![mission.to_string(), rule])?)
}

/// An answer on its way to the harness.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Which request.
    pub request_id: String,
    /// How its harness calls it.
    pub harness_id: String,
    /// What it carried.
    pub detail: Value,
    /// The decision.
    pub decision: Decision,
    /// The words with it.
    pub answer: Option<String>,
}

/// Answers that the run has not been sent.
///
/// # Errors
/// SQLite's.
pub fn unsent_answers(connection: &Connection, run: Uuid) -> Result<Vec<Answer>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, detail, decision, answer, coalesce(harness_id, id) FROM requests \
         WHERE run_id = ?1 AND answered_at IS NOT NULL AND sent = 0 AND decision != 'run_ended' ORDER BY answered_at",
    )?;
    let rows = statement.query_map([run.to_string()], |row| {
        Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get(3)?, row.get(4)?))
    })?;
    rows.map(|row| {
        let (request_id, detail, decision, answer, harness_id) = row?;
        Ok(Answer {
            request_id,
            harness_id,
            detail: serde_json::from_str(&detail)?,
            decision: serde_json::from_str(&decision)?,
            answer,
        })
    })
    .collect()
}

/// The answer was promised to the run's stdin; returns how many requests of the mission are still open.
///
/// # Errors
/// SQLite's.
pub fn answer_sent(tx: &Tx<'_>, mission: Uuid, id: &str) -> Result<u32, StoreError> {
    tx.execute("UPDATE requests SET sent = 1 WHERE id = ?1", [id])?;
    Ok(tx.query_row(
        "SELECT count(*) FROM requests WHERE mission_id = ?1 AND (answered_at IS NULL OR sent = 0)",
        [mission.to_string()],
        |row| row.get(0),
    )?)
}

/// Closes a request that nobody needs to answer any more; returns how many of the mission are still open.
///
/// # Errors
/// SQLite's.
pub fn withdraw_request(tx: &Tx<'_>, mission: Uuid, id: &str) -> Result<u32, StoreError> {
    tx.execute(
        "UPDATE requests SET decision = 'run_ended', answered_at = ?2 WHERE id = ?1 AND answered_at IS NULL",
        params![id, stamp(Utc::now())],
    )?;
    answer_sent(tx, mission, id)
}

/// Closes what a mission's ended run can no longer be told.
///
/// # Errors
/// SQLite's.
pub fn close_requests(tx: &Tx<'_>, mission: Uuid) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE requests SET decision = 'run_ended', sent = 1, answered_at = ?2 WHERE mission_id = ?1 AND answered_at IS NULL",
        params![mission.to_string(), stamp(Utc::now())],
    )?;
    Ok(())
}

/// All pending requests, oldest first, at most 200.
///
/// # Errors
/// SQLite's.
pub fn open_requests(connection: &Connection, mission: Option<Uuid>) -> Result<Vec<RequestView>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM requests WHERE answered_at IS NULL AND (?1 IS NULL OR mission_id = ?1) \
         ORDER BY opened_at LIMIT 200"
    ))?;
    let rows = statement.query_map([mission.map(|id| id.to_string())], read)?;
    rows.map(|row| Ok(row?.view)).collect()
}
