//! Digests of the files that were written into missions' directories.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::{StoreError, Tx};

/// What was written for a mission: digests by path.
///
/// # Errors
/// SQLite's.
pub fn written_files(connection: &Connection, mission: Uuid) -> Result<BTreeMap<String, String>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT path, digest FROM written_files WHERE mission_id = ?1")?;
    let rows = statement.query_map([mission.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Remembers what was written; files that are not named stay remembered as they were.
///
/// # Errors
/// SQLite's.
pub fn save_written_files(
    tx: &Tx<'_>,
    mission: Uuid,
    digests: &BTreeMap<String, String>,
) -> Result<(), StoreError> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO written_files (mission_id, path, digest) VALUES (?1, ?2, ?3) \
         ON CONFLICT (mission_id, path) DO UPDATE SET digest = excluded.digest",
    )?;
    for (path, digest) in digests {
        statement.execute(params![mission.to_string(), path, digest])?;
    }
    Ok(())
}

/// Forgets files that are not ours any more.
///
/// # Errors
/// SQLite's.
pub fn forget_written_files(tx: &Tx<'_>, mission: Uuid, paths: &[String]) -> Result<(), StoreError> {
    let mut statement = tx.prepare_cached("DELETE FROM written_files WHERE mission_id = ?1 AND path = ?2")?;
    for path in paths {
        statement.execute(params![mission.to_string(), path])?;
    }
    Ok(())
}
