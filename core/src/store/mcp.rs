//! MCP servers of missions: those that the newest run was given, and how each is.

use rusqlite::{Connection, OptionalExtension, params};
use sandboxed_domain::api::{EventBody, McpServerView, McpState};
use uuid::Uuid;

use super::events::append_event;
use super::{StoreError, Tx};

/// Most servers of one mission that are remembered: an agent may tell of those that a project names too.
const MOST_SERVERS: i64 = 100;

/// The servers of a mission's newest run, by name.
///
/// # Errors
/// SQLite's.
pub fn mcp_servers(connection: &Connection, mission: Uuid) -> Result<Vec<McpServerView>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT name, state, detail FROM mcp_servers WHERE mission_id = ?1 ORDER BY name")?;
    let rows = statement.query_map([mission.to_string()], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?))
    })?;
    rows.map(|row| {
        let (name, state, detail) = row?;
        Ok(McpServerView { name, state: serde_json::from_value(state.into())?, detail })
    })
    .collect()
}

/// A new run has these servers, of which nothing is known yet.
///
/// # Errors
/// SQLite's.
pub fn set_mcp_servers(tx: &Tx<'_>, mission: Uuid, names: &[String]) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM mcp_servers WHERE mission_id = ?1")?.execute([mission.to_string()])?;
    for name in names {
        save(tx, mission, &McpServerView { name: name.clone(), state: McpState::Configured, detail: None })?;
    }
    Ok(())
}

/// The agent tells how a server is. An event when that is news.
///
/// # Errors
/// SQLite's.
pub fn mcp_server_told(tx: &mut Tx<'_>, mission: Uuid, told: McpServerView) -> Result<(), StoreError> {
    let known: Option<(String, Option<String>)> = tx
        .prepare_cached("SELECT state, detail FROM mcp_servers WHERE mission_id = ?1 AND name = ?2")?
        .query_row(params![mission.to_string(), told.name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if known.as_ref().is_some_and(|(state, detail)| state == told.state.as_str() && *detail == told.detail) {
        return Ok(());
    }
    let count: i64 = tx
        .prepare_cached("SELECT count(*) FROM mcp_servers WHERE mission_id = ?1")?
        .query_row([mission.to_string()], |row| row.get(0))?;
    if known.is_none() && count >= MOST_SERVERS {
        return Ok(());
    }
    save(tx, mission, &told)?;
    let McpServerView { name, state, detail } = told;
    append_event(tx, mission, &EventBody::McpServer { name, state, detail })?;
    Ok(())
}

fn save(tx: &Tx<'_>, mission: Uuid, server: &McpServerView) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO mcp_servers (mission_id, name, state, detail) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (mission_id, name) DO UPDATE SET state = excluded.state, detail = excluded.detail",
    )?
    .execute(params![mission.to_string(), server.name, server.state.as_str(), server.detail])?;
    Ok(())
}
