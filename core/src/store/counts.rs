//! How many there are of what.

use rusqlite::Connection;
use sandboxed_domain::mission::MissionStatus;

use super::StoreError;

/// Missions of each status, those of which there are none included.
///
/// # Errors
/// SQLite's.
pub fn count_missions(connection: &Connection) -> Result<Vec<(MissionStatus, u64)>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT count(*) FROM missions WHERE status = ?1")?;
    let mut counted = Vec::new();
    for status in MissionStatus::ALL {
        counted.push((status, statement.query_row([status.as_str()], |row| row.get::<_, u64>(0))?));
    }
    Ok(counted)
}
