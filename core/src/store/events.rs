//! The one log: append, page, follow.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sandboxed_domain::api::{Event, EventBody, EventPage};
use uuid::Uuid;

use super::{StoreError, Tx};

/// RFC 3339 with microseconds: sorts as text.
pub(super) fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

pub(super) fn parse_stamp(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).map(|t| t.with_timezone(&Utc)).unwrap_or(DateTime::UNIX_EPOCH)
}

pub(super) fn parse_uuid(text: &str) -> Uuid {
    Uuid::parse_str(text).unwrap_or(Uuid::nil())
}

/// Appends one event and returns its sequence.
///
/// # Errors
/// SQLite's.
pub fn append_event(tx: &mut Tx<'_>, mission: Uuid, body: &EventBody) -> Result<i64, StoreError> {
    tx.prepare_cached("INSERT INTO events (mission_id, type, data, timestamp) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            mission.to_string(),
            body.type_name(),
            serde_json::to_string(body)?,
            stamp(Utc::now())
        ])?;
    tx.last_event = tx.last_insert_rowid();
    Ok(tx.last_event)
}

fn read_event(row: &Row<'_>) -> rusqlite::Result<(i64, String, String, String)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn build((sequence, mission, data, timestamp): (i64, String, String, String)) -> Result<Event, StoreError> {
    Ok(Event {
        sequence,
        mission_id: parse_uuid(&mission),
        timestamp: parse_stamp(&timestamp),
        body: serde_json::from_str(&data)?,
    })
}

/// Which events to read.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Of this mission only.
    pub mission: Option<Uuid>,
    /// After this sequence.
    pub since: i64,
    /// Skip so many of those.
    pub offset: u64,
    /// At most so many.
    pub limit: u32,
    /// Of these types only; empty: all.
    pub types: Vec<String>,
}

/// Reads events in order.
///
/// # Errors
/// SQLite's, or a stored value that cannot be read.
pub fn query_events(connection: &Connection, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
    let types = serde_json::to_string(&query.types)?;
    let mut statement = connection.prepare_cached(&format!(
        "SELECT sequence, mission_id, data, timestamp FROM events {FILTER} ORDER BY sequence LIMIT ?4 OFFSET ?5"
    ))?;
    let mission = query.mission.map(|id| id.to_string());
    let rows =
        statement.query_map(params![mission, query.since, types, query.limit, query.offset], read_event)?;
    rows.map(|row| build(row?)).collect()
}

const FILTER: &str = "WHERE (?1 IS NULL OR mission_id = ?1) AND sequence > ?2 \
    AND (?3 = '[]' OR type IN (SELECT value FROM json_each(?3)))";

/// Tool calls of the mission's current turn that have no result yet. Its run began after it was last prepared.
///
/// # Errors
/// SQLite's.
pub fn open_tools(connection: &Connection, mission: Uuid) -> Result<BTreeSet<String>, StoreError> {
    // A turn ends with its usage.
    let mut statement = connection.prepare_cached(
        "SELECT type, data ->> 'tool_call_id' FROM events WHERE mission_id = ?1 \
         AND type IN ('tool_call', 'tool_result', 'usage') AND sequence > (SELECT coalesce(max(sequence), 0) \
         FROM events WHERE mission_id = ?1 AND type = 'mission_status_changed' AND data ->> 'status' = 'preparing') \
         ORDER BY sequence",
    )?;
    let rows = statement.query_map([mission.to_string()], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?.unwrap_or_default()))
    })?;
    let mut open = BTreeSet::new();
    for row in rows {
        match row? {
            (kind, id) if kind == "tool_call" => drop(open.insert(id)),
            (kind, id) if kind == "tool_result" => drop(open.remove(&id)),
            _ => open.clear(),
        }
    }
    Ok(open)
}

/// The type of the mission's newest event.
///
/// # Errors
/// SQLite's.
pub fn last_event_type(connection: &Connection, mission: Uuid) -> Result<Option<String>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT type FROM events WHERE mission_id = ?1 ORDER BY sequence DESC LIMIT 1")?
        .query_row([mission.to_string()], |row| row.get(0))
        .optional()?)
}

/// A page with the total of what the filter matches.
///
/// # Errors
/// As [`query_events`].
pub fn event_page(connection: &Connection, query: &EventQuery) -> Result<EventPage, StoreError> {
    let types = serde_json::to_string(&query.types)?;
    let mission = query.mission.map(|id| id.to_string());
    let total: u64 = connection
        .prepare_cached(&format!("SELECT count(*) FROM events {FILTER}"))?
        .query_row(params![mission, query.since, types], |row| row.get(0))?;
    let events = query_events(connection, query)?;
    let more = query.offset + (events.len() as u64) < total;
    let next_since_seq = if more { events.last().map(|event| event.sequence) } else { None };
    Ok(EventPage { events, total, next_since_seq })
}
