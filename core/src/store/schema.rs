//! The schema as an append-only list of migrations, each in one exclusive transaction, counted by `user_version`.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use sandboxed_domain::api::{ApiError, ErrorCode};

use super::StoreError;

/// How long a statement waits for another process (a person's `sqlite3`) to let go.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// Never edit one that was released; append.
const MIGRATIONS: &[&str] = &[
    r#"
CREATE TABLE workspaces (
  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, spec TEXT NOT NULL,
  uid_base INTEGER UNIQUE, boss TEXT UNIQUE, error TEXT, created_at TEXT NOT NULL
) STRICT;

CREATE TABLE missions (
  id TEXT PRIMARY KEY, title TEXT NOT NULL, status TEXT NOT NULL, terminal_reason TEXT,
  backend TEXT NOT NULL, model_override TEXT, model_effort TEXT,
  workspace_id TEXT NOT NULL, parent_mission_id TEXT, boss TEXT, task_key TEXT,
  spec TEXT NOT NULL, working_directory TEXT, session_id TEXT NOT NULL, session_started INTEGER NOT NULL DEFAULT 0,
  repo TEXT, branch TEXT, base_oid TEXT, worktree TEXT,
  turns INTEGER NOT NULL DEFAULT 0, attempt INTEGER NOT NULL DEFAULT 0,
  stop_reason TEXT, codec_state TEXT, last_turn TEXT, reported TEXT, verification TEXT, git TEXT, git_error TEXT,
  input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0, cost_usd REAL,
  last_message TEXT NOT NULL DEFAULT '', error TEXT, last_activity TEXT NOT NULL DEFAULT '',
  created_at TEXT NOT NULL, updated_at TEXT NOT NULL, started_at TEXT, ended_at TEXT
) STRICT;
CREATE UNIQUE INDEX missions_task_key ON missions(boss, task_key) WHERE task_key IS NOT NULL;
CREATE UNIQUE INDEX missions_branch ON missions(repo, branch) WHERE branch IS NOT NULL AND ended_at IS NULL;
CREATE INDEX missions_status ON missions(status, created_at);
CREATE INDEX missions_boss ON missions(boss, created_at);

CREATE TABLE events (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, mission_id TEXT NOT NULL, type TEXT NOT NULL,
  data TEXT NOT NULL, timestamp TEXT NOT NULL
) STRICT;
CREATE INDEX events_mission ON events(mission_id, sequence);

CREATE TABLE runs (
  id TEXT PRIMARY KEY, mission_id TEXT NOT NULL, attempt INTEGER NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
  plan TEXT NOT NULL, offset INTEGER NOT NULL DEFAULT 0, stored_bytes INTEGER NOT NULL DEFAULT 0,
  stdin_planned INTEGER NOT NULL DEFAULT 0, stdin_closed INTEGER NOT NULL DEFAULT 0, idle INTEGER NOT NULL DEFAULT 0,
  exit TEXT, started_at TEXT NOT NULL, ended_at TEXT
) STRICT;
CREATE INDEX runs_mission ON runs(mission_id, attempt);

CREATE TABLE stdin_writes (
  run_id TEXT NOT NULL, offset INTEGER NOT NULL, data TEXT NOT NULL, PRIMARY KEY (run_id, offset)
) STRICT;

CREATE TABLE messages (
  position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, mission_id TEXT NOT NULL,
  content TEXT NOT NULL, state TEXT NOT NULL, queued_at TEXT NOT NULL
) STRICT;
CREATE INDEX messages_mission ON messages(mission_id, state);

CREATE TABLE attention (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, boss TEXT NOT NULL, mission_id TEXT NOT NULL,
  data TEXT NOT NULL, timestamp TEXT NOT NULL
) STRICT;
CREATE INDEX attention_boss ON attention(boss, sequence);
CREATE TABLE acknowledged (boss TEXT PRIMARY KEY, cursor TEXT NOT NULL) STRICT;

CREATE TABLE batches (
  boss TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, response TEXT NOT NULL, created_at TEXT NOT NULL,
  PRIMARY KEY (boss, key)
) STRICT;

CREATE TABLE requests (
  id TEXT PRIMARY KEY, mission_id TEXT NOT NULL, run_id TEXT NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL,
  detail TEXT NOT NULL, decision TEXT, answer TEXT,
  sent INTEGER NOT NULL DEFAULT 0, opened_at TEXT NOT NULL, answered_at TEXT
) STRICT;
CREATE INDEX requests_open ON requests(mission_id) WHERE answered_at IS NULL;

CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"#,
    r#"
ALTER TABLE requests ADD COLUMN harness_id TEXT;
"#,
    r#"
ALTER TABLE requests ADD COLUMN options TEXT;
ALTER TABLE requests ADD COLUMN rule TEXT;
CREATE TABLE rules (
  mission_id TEXT NOT NULL, rule TEXT NOT NULL, request_id TEXT NOT NULL, created_at TEXT NOT NULL,
  PRIMARY KEY (mission_id, rule)
) STRICT;
"#,
    r#"
ALTER TABLE missions ADD COLUMN not_before TEXT;
ALTER TABLE missions ADD COLUMN setbacks TEXT;
CREATE TABLE key_limits (key TEXT PRIMARY KEY, until TEXT NOT NULL) STRICT;
"#,
    r#"
CREATE TABLE written_files (
  mission_id TEXT NOT NULL, path TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (mission_id, path)
) STRICT;
"#,
    r#"
CREATE TABLE mcp_servers (
  mission_id TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, detail TEXT, PRIMARY KEY (mission_id, name)
) STRICT;
"#,
    r#"
ALTER TABLE written_files ADD COLUMN inode INTEGER;
ALTER TABLE written_files ADD COLUMN size INTEGER;
ALTER TABLE written_files ADD COLUMN modified_ns INTEGER;
ALTER TABLE written_files ADD COLUMN changed_ns INTEGER;
"#,
    r#"
ALTER TABLE runs ADD COLUMN clocks TEXT;
"#,
];

/// Checks the file, sets the connection up and migrates.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let file = path.display().to_string();
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Every commit is on the disk before anybody is told of it: an answered call survives a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(ApiError::new(
            ErrorCode::DatabaseDamaged,
            format!("{file} is damaged: {}", last_line(&sound)),
        )
        .field(file)
        .hint("stop the daemon, move the file aside and restore a backup; worktrees and logs are not touched")
        .into());
    }
    migrate(connection, &file)
}

/// SQLite puts a heading before what it found.
fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or(text)
}

fn migrate(connection: &mut Connection, file: &str) -> Result<(), StoreError> {
    let newest = MIGRATIONS.len();
    let tx = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    let version: usize = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > newest {
        return Err(ApiError::new(
            ErrorCode::DatabaseDamaged,
            format!("{file} has schema {version}, this build knows {newest}"),
        )
        .field(file)
        .hint("it was written by a newer sandboxed-sh: run that one")
        .into());
    }
    for step in MIGRATIONS.iter().skip(version) {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "user_version", newest)?;
    tx.commit()?;
    Ok(())
}
