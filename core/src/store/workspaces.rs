//! The workspaces table.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sandboxed_domain::api::{Limits, NetworkMode, WorkspaceKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::events::{parse_stamp, parse_uuid, stamp};
use super::{StoreError, Tx};

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkspaceSpec {
    /// Host directories bound at their own path.
    pub binds: Vec<String>,
    /// Template of its image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The image that it has, by name; none before its first start or build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Environment of every run, from the template.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Network.
    pub network: NetworkMode,
    /// Hosts of an allowlist.
    #[serde(default)]
    pub allow_hosts: Vec<String>,
    /// Limits of each run.
    pub limits: Limits,
    /// Frozen layers above the image, the uppermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lowers: Vec<String>,
    /// The frozen copy of its own layer that was made last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<String>,
    /// The workspace whose state this one began with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<Uuid>,
    /// Whether it is written down what a fork stands on; none in records of older versions, which did so at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stands: Option<bool>,
    /// The last build of its image, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_build: Option<FailedBuild>,
}

/// A build that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedBuild {
    /// The image that was to be made; none where the template says nothing that could be one.
    pub image: Option<String>,
    /// Why.
    pub error: String,
    /// When.
    pub failed_at: DateTime<Utc>,
}

/// One workspace.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "columns; see schema.rs")]
pub struct WorkspaceRow {
    pub id: Uuid,
    pub name: String,
    pub kind: WorkspaceKind,
    pub spec: WorkspaceSpec,
    pub uid_base: Option<u32>,
    /// The outside boss for whom it was made.
    pub boss: Option<String>,
    pub error: Option<String>,
    pub created_at: DateTime<Utc>,
}

const COLUMNS: &str = "id, name, kind, spec, uid_base, boss, error, created_at";

fn read(row: &Row<'_>) -> rusqlite::Result<WorkspaceRow> {
    Ok(WorkspaceRow {
        id: parse_uuid(&row.get::<_, String>(0)?),
        name: row.get(1)?,
        kind: if row.get::<_, String>(2)? == "host" { WorkspaceKind::Host } else { WorkspaceKind::Container },
        spec: serde_json::from_str(&row.get::<_, String>(3)?).unwrap_or_default(),
        uid_base: row.get(4)?,
        boss: row.get(5)?,
        error: row.get(6)?,
        created_at: parse_stamp(&row.get::<_, String>(7)?),
    })
}

/// Writes the whole row.
///
/// # Errors
/// SQLite's, a taken name among them.
pub fn save_workspace(tx: &Tx<'_>, row: &WorkspaceRow) -> Result<(), StoreError> {
    tx.execute(
        &format!(
            "INSERT INTO workspaces ({COLUMNS}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8) ON CONFLICT (id) DO UPDATE SET \
             name = excluded.name, spec = excluded.spec, uid_base = excluded.uid_base, boss = excluded.boss, \
             error = excluded.error"
        ),
        params![
            row.id.to_string(),
            row.name,
            if row.kind == WorkspaceKind::Host { "host" } else { "container" },
            serde_json::to_string(&row.spec)?,
            row.uid_base,
            row.boss,
            row.error,
            stamp(row.created_at)
        ],
    )?;
    Ok(())
}

/// By id or by name.
///
/// # Errors
/// SQLite's.
pub fn find_workspace(connection: &Connection, id_or_name: &str) -> Result<Option<WorkspaceRow>, StoreError> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM workspaces WHERE id = ?1 OR name = ?1"))?
        .query_row([id_or_name], read)
        .optional()?)
}

/// The one made for an outside boss.
///
/// # Errors
/// SQLite's.
pub fn workspace_of_boss(connection: &Connection, boss: &str) -> Result<Option<WorkspaceRow>, StoreError> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM workspaces WHERE boss = ?1"))?
        .query_row([boss], read)
        .optional()?)
}

/// All, oldest first.
///
/// # Errors
/// SQLite's.
pub fn list_workspaces(connection: &Connection) -> Result<Vec<WorkspaceRow>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM workspaces ORDER BY created_at, id"))?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Uid ranges in use.
///
/// # Errors
/// SQLite's.
pub fn uid_bases(connection: &Connection) -> Result<Vec<u32>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT uid_base FROM workspaces WHERE uid_base IS NOT NULL")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many missions of a workspace have not ended.
///
/// # Errors
/// SQLite's.
pub fn open_missions(connection: &Connection, workspace: Uuid) -> Result<u32, StoreError> {
    Ok(connection.query_row(
        "SELECT count(*) FROM missions WHERE workspace_id = ?1 AND ended_at IS NULL",
        [workspace.to_string()],
        |row| row.get(0),
    )?)
}

/// Removes a workspace that no mission refers to any more.
///
/// # Errors
/// SQLite's.
pub fn delete_workspace(tx: &Tx<'_>, id: Uuid) -> Result<(), StoreError> {
    tx.execute("DELETE FROM workspaces WHERE id = ?1", [id.to_string()])?;
    Ok(())
}
