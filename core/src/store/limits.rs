//! What waits for a time: limits of keys, and missions that are parked, held or to be tried again. The oldest come
//! first: by the row's number, as the clock may have been set since.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};
use sandboxed_domain::mission::MissionStatus;

use super::events::{parse_stamp, stamp};
use super::missions::{MissionRow, select_missions};
use super::{StoreError, Tx};

/// Notes that the provider refuses a key until then. A limit that is known to last longer stays.
///
/// # Errors
/// SQLite's.
pub fn limit_key(tx: &Tx<'_>, key: &str, until: DateTime<Utc>) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO key_limits (key, until) VALUES (?1, ?2) \
         ON CONFLICT (key) DO UPDATE SET until = max(until, excluded.until)",
        params![key, stamp(until)],
    )?;
    Ok(())
}

/// Until when a key is refused. Limits that are over are forgotten.
///
/// # Errors
/// SQLite's.
pub fn key_limit(tx: &Tx<'_>, key: &str, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, StoreError> {
    tx.prepare_cached("DELETE FROM key_limits WHERE until <= ?1")?.execute([stamp(now)])?;
    let until: Option<String> = tx
        .prepare_cached("SELECT until FROM key_limits WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    Ok(until.map(|text| parse_stamp(&text)))
}

/// Pending missions of a backend that wait for nothing but a slot.
///
/// # Errors
/// SQLite's.
pub fn unheld(connection: &Connection, backend: &str) -> Result<Vec<MissionRow>, StoreError> {
    select_missions(
        connection,
        "status = 'pending' AND backend = ?1 AND not_before IS NULL \
         AND coalesce(setbacks ->> 'at_once', 0) = 0 ORDER BY rowid",
        [backend],
    )
}

/// Missions whose time has come, and those that wait for a key without need: their backend has a `free` one, or the key
/// is not among `keys` any more.
///
/// # Errors
/// SQLite's.
pub fn due(
    connection: &Connection,
    now: DateTime<Utc>,
    free: &[String],
    keys: &[String],
) -> Result<Vec<MissionRow>, StoreError> {
    select_missions(
        connection,
        "status IN (?1, ?2) AND not_before IS NOT NULL AND (not_before <= ?3 \
         OR setbacks ->> 'key' IS NOT NULL AND (backend IN (SELECT value FROM json_each(?4)) \
         OR setbacks ->> 'key' NOT IN (SELECT value FROM json_each(?5)))) ORDER BY rowid",
        params![
            MissionStatus::Pending.as_str(),
            MissionStatus::RateLimited.as_str(),
            stamp(now),
            serde_json::to_string(free)?,
            serde_json::to_string(keys)?
        ],
    )
}

/// When the first mission that waits for a time is due.
///
/// # Errors
/// SQLite's.
pub fn next_due(connection: &Connection) -> Result<Option<DateTime<Utc>>, StoreError> {
    let first: Option<String> = connection
        .prepare_cached("SELECT min(not_before) FROM missions WHERE status IN (?1, ?2)")?
        .query_row([MissionStatus::Pending.as_str(), MissionStatus::RateLimited.as_str()], |row| {
            row.get(0)
        })?;
    Ok(first.map(|text| parse_stamp(&text)))
}

/// The oldest missions that may have a slot now.
///
/// # Errors
/// SQLite's.
pub fn grantable(connection: &Connection, free: u32) -> Result<Vec<MissionRow>, StoreError> {
    select_missions(connection, "status = 'pending' AND not_before IS NULL ORDER BY rowid LIMIT ?1", [free])
}
