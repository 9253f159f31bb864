//! Messages that wait for their turn.
//!
//! ```text
//! queued   waits for the next turn                          -> sent
//! steer    waits to be put into the running turn            -> steered; -> sent as the next turn, when that comes first
//! steered  was given to the process, which has not taken it -> sent; -> queued when it refuses, or ends
//! sent     is or was a turn's
//! ```

use chrono::Utc;
use rusqlite::{Connection, OptionalExtension, params};
use sandboxed_domain::api::QueuedMessage;
use sandboxed_domain::policy::Destination;
use uuid::Uuid;

use super::events::{parse_stamp, parse_uuid, stamp};
use super::{StoreError, Tx};

/// Puts a message at the end of a mission's queue; returns its place, 1 being next.
///
/// # Errors
/// SQLite's.
pub fn enqueue_message(tx: &Tx<'_>, mission: Uuid, id: &str, content: &str) -> Result<u32, StoreError> {
    tx.execute(
        "INSERT INTO messages (id, mission_id, content, state, queued_at) VALUES (?1, ?2, ?3, 'queued', ?4)",
        params![id, mission.to_string(), content, stamp(Utc::now())],
    )?;
    Ok(tx.query_row(
        "SELECT count(*) FROM messages WHERE mission_id = ?1 AND state = 'queued'",
        [mission.to_string()],
        |row| row.get(0),
    )?)
}

/// Puts a message at the end of those that are to go there.
///
/// # Errors
/// SQLite's.
pub fn enqueue_for(
    tx: &Tx<'_>,
    mission: Uuid,
    id: &str,
    content: &str,
    destination: Destination,
) -> Result<u32, StoreError> {
    let position = enqueue_message(tx, mission, id, content)?;
    match destination {
        Destination::NextTurn => Ok(position),
        Destination::RunningTurn => {
            tx.execute("UPDATE messages SET state = 'steer' WHERE id = ?1", [id])?;
            Ok(0)
        }
    }
}

/// Messages that are to be put into the running turn, oldest first: id and content.
///
/// # Errors
/// SQLite's.
pub fn messages_to_steer(
    connection: &Connection,
    mission: Uuid,
) -> Result<Vec<(String, String)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, content FROM messages WHERE mission_id = ?1 AND state = 'steer' ORDER BY position LIMIT 64",
    )?;
    let rows = statement.query_map([mission.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// It was given to the process for the running turn.
///
/// # Errors
/// SQLite's.
pub fn message_steered(tx: &Tx<'_>, id: &str) -> Result<(), StoreError> {
    tx.execute("UPDATE messages SET state = 'steered' WHERE id = ?1", [id])?;
    Ok(())
}

/// The process has taken it.
///
/// # Errors
/// SQLite's.
pub fn message_taken(tx: &Tx<'_>, id: &str) -> Result<(), StoreError> {
    tx.execute("UPDATE messages SET state = 'sent' WHERE id = ?1 AND state = 'steered'", [id])?;
    Ok(())
}

/// The process is gone: what it has not taken waits for the next turn.
///
/// # Errors
/// SQLite's.
pub fn requeue_steered(tx: &Tx<'_>, mission: Uuid) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE messages SET state = 'queued' WHERE mission_id = ?1 AND state = 'steered'",
        [mission.to_string()],
    )?;
    Ok(())
}

/// The next waiting message of a mission: id and content.
///
/// # Errors
/// SQLite's.
pub fn next_message(connection: &Connection, mission: Uuid) -> Result<Option<(String, String)>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT id, content FROM messages WHERE mission_id = ?1 AND state IN ('queued', 'steer') \
             ORDER BY position LIMIT 1",
        )?
        .query_row([mission.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// Puts a message before all that wait.
///
/// # Errors
/// SQLite's.
pub fn enqueue_first(tx: &Tx<'_>, mission: Uuid, id: &str, content: &str) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO messages (position, id, mission_id, content, state, queued_at) \
         VALUES ((SELECT min(0, coalesce(min(position), 0)) - 1 FROM messages), ?1, ?2, ?3, 'queued', ?4)",
        params![id, mission.to_string(), content, stamp(Utc::now())],
    )?;
    Ok(())
}

/// The message of the current turn, or of the last one: id and content. One that was put before others does not
/// count, it is about this one.
///
/// # Errors
/// SQLite's.
pub fn current_message(
    connection: &Connection,
    mission: Uuid,
) -> Result<Option<(String, String)>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT id, content FROM messages WHERE mission_id = ?1 AND state = 'sent' \
             ORDER BY position DESC LIMIT 1",
        )?
        .query_row([mission.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// A message that was on its way waits again, at its old place.
///
/// # Errors
/// SQLite's.
pub fn requeue_message(tx: &Tx<'_>, id: &str) -> Result<(), StoreError> {
    tx.execute("UPDATE messages SET state = 'queued' WHERE id = ?1", [id])?;
    Ok(())
}

/// It is on its way.
///
/// # Errors
/// SQLite's.
pub fn message_sent(tx: &Tx<'_>, id: &str) -> Result<(), StoreError> {
    tx.execute("UPDATE messages SET state = 'sent' WHERE id = ?1", [id])?;
    Ok(())
}

/// All waiting messages, oldest first, at most 200.
///
/// # Errors
/// SQLite's.
pub fn queued_messages(connection: &Connection) -> Result<Vec<QueuedMessage>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, mission_id, content, queued_at FROM messages WHERE state IN ('queued', 'steer') \
         ORDER BY position LIMIT 200",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(QueuedMessage {
            id: row.get(0)?,
            mission_id: parse_uuid(&row.get::<_, String>(1)?),
            content: row.get(2)?,
            queued_at: parse_stamp(&row.get::<_, String>(3)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Takes a waiting message back; false when it is not waiting (any more).
///
/// # Errors
/// SQLite's.
pub fn remove_queued(tx: &Tx<'_>, id: &str) -> Result<bool, StoreError> {
    Ok(tx.execute("DELETE FROM messages WHERE id = ?1 AND state IN ('queued', 'steer')", [id])? > 0)
}
