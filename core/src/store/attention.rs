//! Attention events: what a boss or a person must act on, in order, observed and never consumed.

use chrono::Utc;
use rusqlite::{Connection, OptionalExtension, params};
use sandboxed_domain::api::{AttentionEvent, BatchCreateResponse};
use sandboxed_domain::mission::Cursor;
use uuid::Uuid;

use super::events::stamp;
use super::{StoreError, Tx};

/// Appends one attention event for `boss`.
///
/// # Errors
/// SQLite's.
pub fn append_attention(tx: &mut Tx<'_>, boss: &str, event: &AttentionEvent) -> Result<(), StoreError> {
    tx.prepare_cached("INSERT INTO attention (boss, mission_id, data, timestamp) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            boss,
            event.worker_id.to_string(),
            serde_json::to_string(event)?,
            stamp(Utc::now())
        ])?;
    tx.last_attention = tx.last_insert_rowid();
    Ok(())
}

/// Events of `boss` that `cursor` has not, of `only` (empty: all), at most `limit`, oldest first.
///
/// # Errors
/// SQLite's.
pub fn attention_after(
    connection: &Connection,
    boss: &str,
    cursor: &Cursor,
    only: &[Uuid],
    limit: u32,
) -> Result<Vec<(i64, AttentionEvent)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence, data FROM attention WHERE boss = ?1 AND sequence > ?2 \
         AND sequence NOT IN (SELECT value FROM json_each(?3)) \
         AND (?4 = '[]' OR mission_id IN (SELECT value FROM json_each(?4))) ORDER BY sequence LIMIT ?5",
    )?;
    let seen = serde_json::to_string(&cursor.seen)?;
    let rows = statement
        .query_map(params![boss, cursor.low, seen, serde_json::to_string(only)?, limit], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })?;
    rows.map(|row| {
        let (sequence, data) = row?;
        Ok((sequence, serde_json::from_str(&data)?))
    })
    .collect()
}

/// Moves `cursor` past the `delivered` events.
///
/// # Errors
/// SQLite's.
pub fn advance_cursor(
    connection: &Connection,
    boss: &str,
    mut cursor: Cursor,
    delivered: &[i64],
) -> Result<Cursor, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence FROM attention WHERE boss = ?1 AND sequence > ?2 ORDER BY sequence LIMIT 1024",
    )?;
    let all = statement
        .query_map(params![boss, cursor.low], |row| row.get::<_, i64>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    cursor.deliver(delivered.iter().copied(), all);
    Ok(cursor)
}

/// What `boss` has acknowledged.
///
/// # Errors
/// SQLite's.
pub fn acknowledged(connection: &Connection, boss: &str) -> Result<Cursor, StoreError> {
    let text: Option<String> = connection
        .query_row("SELECT cursor FROM acknowledged WHERE boss = ?1", [boss], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| Cursor::parse(&text)).unwrap_or_default())
}

/// Notes that `boss` has seen what `cursor` says; never goes back.
///
/// # Errors
/// SQLite's.
pub fn acknowledge(tx: &Tx<'_>, boss: &str, cursor: &Cursor) -> Result<(), StoreError> {
    let merged = acknowledged(tx, boss)?.merge(cursor);
    tx.execute(
        "INSERT INTO acknowledged (boss, cursor) VALUES (?1, ?2) \
         ON CONFLICT (boss) DO UPDATE SET cursor = excluded.cursor",
        params![boss, merged.to_string()],
    )?;
    Ok(())
}

/// The stored answer of a batch: digest of its workers and the answer.
///
/// # Errors
/// SQLite's.
pub fn find_batch(
    connection: &Connection,
    boss: &str,
    key: &str,
) -> Result<Option<(String, BatchCreateResponse)>, StoreError> {
    let row: Option<(String, String)> = connection
        .query_row("SELECT digest, response FROM batches WHERE boss = ?1 AND key = ?2", [boss, key], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    row.map(|(digest, text)| Ok((digest, serde_json::from_str(&text)?))).transpose()
}

/// Stores the answer of a batch.
///
/// # Errors
/// SQLite's.
pub fn insert_batch(
    tx: &Tx<'_>,
    boss: &str,
    key: &str,
    digest: &str,
    response: &BatchCreateResponse,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO batches (boss, key, digest, response, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![boss, key, digest, serde_json::to_string(response)?, stamp(Utc::now())],
    )?;
    Ok(())
}

/// A daemon-wide setting.
///
/// # Errors
/// SQLite's.
pub fn setting(connection: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    Ok(connection
        .query_row("SELECT value FROM settings WHERE key = ?1", [key], |row| row.get(0))
        .optional()?)
}

/// Sets it.
///
/// # Errors
/// SQLite's.
pub fn set_setting(tx: &Tx<'_>, key: &str, value: &str) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO settings (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [key, value],
    )?;
    Ok(())
}
