//! What is remembered of the files that were written into missions' directories.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};
use sandboxed_domain::harness::{FileStamp, WrittenFile};
use uuid::Uuid;

use super::{StoreError, Tx};

/// What was written for a mission, by path.
///
/// # Errors
/// SQLite's.
pub fn written_files(
    connection: &Connection,
    mission: Uuid,
) -> Result<BTreeMap<String, WrittenFile>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT path, digest, inode, size, modified_ns, changed_ns FROM written_files WHERE mission_id = ?1",
    )?;
    let rows = statement.query_map([mission.to_string()], |row| {
        Ok((row.get(0)?, WrittenFile { digest: row.get(1)?, stamp: stamp(row)? }))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// None in the rows of older versions.
fn stamp(row: &Row<'_>) -> rusqlite::Result<Option<FileStamp>> {
    let (inode, size): (Option<i64>, Option<i64>) = (row.get(2)?, row.get(3)?);
    let (modified, changed) = (row.get(4)?, row.get(5)?);
    let (Some(inode), Some(size), Some(modified), Some(changed)) = (inode, size, modified, changed) else {
        return Ok(None);
    };
    Ok(Some(FileStamp { inode: inode.cast_unsigned(), size: size.cast_unsigned(), modified, changed }))
}

/// Remembers what was written; files that are not named stay remembered as they were.
///
/// # Errors
/// SQLite's.
pub fn save_written_files(
    tx: &Tx<'_>,
    mission: Uuid,
    files: &BTreeMap<String, WrittenFile>,
) -> Result<(), StoreError> {
    let mut statement = tx.prepare_cached(
        "INSERT OR REPLACE INTO written_files (mission_id, path, digest, inode, size, modified_ns, changed_ns) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mission = mission.to_string();
    for (path, WrittenFile { digest, stamp }) in files {
        let inode = stamp.map(|stamp| stamp.inode.cast_signed());
        let size = stamp.map(|stamp| stamp.size.cast_signed());
        let (modified, changed) = (stamp.map(|stamp| stamp.modified), stamp.map(|stamp| stamp.changed));
        statement.execute(params![mission, path, digest, inode, size, modified, changed])?;
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
