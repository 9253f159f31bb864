//! A fork: a workspace of one worker's own that begins with what another one has, and shares nothing of it afterwards
//! but the git data of its repositories.
//!
//! The image is shared as always; the layer above it is copied, sharing blocks where the file system can. The copy is
//! made at the fork's first start, so it is the other workspace's state when the worker begins.

use std::path::Path;
use std::process::Command;

use chrono::Utc;
use sandboxed_domain::api::{ApiError, ErrorCode, WorkspaceKind};
use sandboxed_domain::sandbox::{Bind, next_uid_base};
use uuid::Uuid;

use super::paths::short;
use super::records::Workspaces;
use crate::store::{self, StoreError, Tx, WorkspaceRow, WorkspaceSpec, blocking, io_error};

/// How often a copy is begun anew when files vanish under it.
const TRIES: u32 = 3;

/// The record of a fork; it has no user ids before [`save_fork`].
///
/// # Errors
/// `invalid_argument`: the host has no layer that could be copied.
pub fn fork_of(parent: &WorkspaceRow) -> Result<WorkspaceRow, ApiError> {
    if parent.kind == WorkspaceKind::Host {
        return Err(ApiError::invalid("isolation", "the host workspace cannot be forked")
            .hint("leave isolation out, or name a container in workspace_id"));
    }
    let id = Uuid::now_v7();
    Ok(WorkspaceRow {
        id,
        name: format!("fork-{}", short(id)),
        kind: WorkspaceKind::Container,
        spec: WorkspaceSpec { forked_from: Some(parent.id), ..parent.spec.clone() },
        uid_base: None,
        boss: None,
        error: None,
        created_at: Utc::now(),
    })
}

/// Writes a fork's record with a range of user ids of its own.
///
/// # Errors
/// All ranges are in use; SQLite's.
pub fn save_fork(tx: &Tx<'_>, mut fork: WorkspaceRow) -> Result<(), StoreError> {
    fork.uid_base = Some(next_uid_base(store::uid_bases(tx)?).ok_or_else(|| {
        ApiError::new(ErrorCode::Conflict, "all user id ranges are in use")
            .hint("delete missions with forks that are not needed any more")
    })?);
    store::save_workspace(tx, &fork)
}

/// The repositories of a fork are for reading; what a worker commits goes through their git data as everywhere.
pub(super) fn read_only_trees(row: &WorkspaceRow, binds: &mut [Bind]) {
    if row.spec.forked_from.is_none() {
        return;
    }
    for bind in binds.iter_mut().filter(|bind| row.spec.binds.iter().any(|top| bind.target == Path::new(top)))
    {
        bind.read_only = true;
    }
}

impl Workspaces {
    /// Copies the layer that a fork begins with, once.
    pub(super) async fn take_layer(&self, row: &WorkspaceRow) -> Result<(), ApiError> {
        let Some(parent) = row.spec.forked_from else { return Ok(()) };
        let (from, to) = (self.paths(parent).layer.join("upper"), self.paths(row.id).layer);
        blocking(move || copy_once(&from, &to)).await?
    }

    /// Stops a fork's sandbox, whose only worker has ended. Its files stay for a resume.
    pub async fn leave_fork(&self, row: &WorkspaceRow) {
        if row.spec.forked_from.is_some() {
            self.stop_if_idle(row.id).await;
        }
    }
}

/// `<layer>/upper` is there wholly or not at all.
fn copy_once(from: &Path, layer: &Path) -> Result<(), ApiError> {
    let whole = layer.join("upper");
    if whole.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(layer).map_err(|e| io_error(layer, &e))?;
    if from.exists() {
        let part = layer.join("upper.new");
        copy(from, &part)?;
        return std::fs::rename(&part, &whole).map_err(|e| io_error(&whole, &e));
    }
    // The other one has never been started: the image is all there is.
    std::fs::create_dir(&whole).map_err(|e| io_error(&whole, &e))
}

fn copy(from: &Path, to: &Path) -> Result<(), ApiError> {
    let mut why = String::new();
    for _ in 0..TRIES {
        match std::fs::remove_dir_all(to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io_error(to, &error)),
            _ => {}
        }
        // Owners, modes, links, times, the layer's own marks in extended attributes and devices: cp does it all.
        let output = Command::new("cp").args(["-a", "--reflink=auto", "--"]).arg(from).arg(to).output();
        let output = output.map_err(|e| io_error(Path::new("cp"), &e))?;
        if output.status.success() {
            return Ok(());
        }
        why = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
    }
    Err(ApiError::new(ErrorCode::SandboxFailed, format!("the workspace's layer cannot be copied: {why}"))
        .field(to.display().to_string())
        .hint("see that the disk has room, and that nothing is being removed in the workspace meanwhile"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_copied_once_and_is_the_forks_own_then() {
        let dir = tempfile::tempdir().unwrap();
        let (from, layer) = (dir.path().join("upper"), dir.path().join("fork"));
        std::fs::create_dir_all(from.join("etc")).unwrap();
        std::fs::write(from.join("etc/a"), "one").unwrap();
        copy_once(&from, &layer).unwrap();
        std::fs::write(from.join("etc/a"), "two").unwrap();
        copy_once(&from, &layer).unwrap();
        assert_eq!(std::fs::read_to_string(layer.join("upper/etc/a")).unwrap(), "one");
        assert!(!layer.join("upper.new").exists());
    }

    #[test]
    fn a_workspace_that_never_ran_is_forked_as_its_image() {
        let dir = tempfile::tempdir().unwrap();
        copy_once(&dir.path().join("none"), &dir.path().join("fork")).unwrap();
        assert!(dir.path().join("fork/upper").is_dir());
    }
}
