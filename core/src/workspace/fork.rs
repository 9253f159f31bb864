//! A fork: a workspace of one worker's own that begins with what another one has, and shares nothing of it afterwards
//! but the git data of its repositories.
//!
//! The image and the layers above it are shared; of the other workspace's own layer a frozen copy is, which is taken at
//! the fork's first start, so it is the other's state when the worker begins. Copies live in `<data>/layers/<id>/` as
//! `tree`, `marks` and `boot`, for as long as a workspace's record names them.
//!
//! Neither copies nor the names of a fork's layers are synced for themselves. After a power cut a fork in which nothing
//! has run takes its layers anew, and nothing is taken from a copy of an earlier start of the machine, which may be the
//! half of one.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::Utc;
use sandboxed_domain::api::{ApiError, ErrorCode, WorkspaceKind};
use sandboxed_domain::sandbox::{Bind, MOST_LOWERS, next_uid_base};
use tokio::sync::RwLock;
use tokio::time::Instant;
use uuid::Uuid;

use super::paths::short;
use super::records::Workspaces;
use crate::sandbox::layer::{Marks, freeze};
use crate::store::{self, StoreError, Tx, WorkspaceRow, WorkspaceSpec, blocking, io_error};

/// How often a copy is begun anew when the layer is being turned over under it.
const TRIES: u32 = 3;
/// The copy itself, and what it was made of.
const TREE: &str = "tree";
const MARKS: &str = "marks";
/// The start of the machine in which the copy was made.
const BOOT: &str = "boot";

/// The record of a fork; it has no user ids before [`save_fork`].
///
/// # Errors
/// `invalid_argument`: the host has no layer that could be frozen; too many forks of forks.
pub fn fork_of(parent: &WorkspaceRow) -> Result<WorkspaceRow, ApiError> {
    if parent.kind == WorkspaceKind::Host {
        return Err(ApiError::invalid("isolation", "the host workspace cannot be forked")
            .hint("leave isolation out, or name a container in workspace_id"));
    }
    if parent.spec.lowers.len() >= MOST_LOWERS {
        return Err(ApiError::invalid("isolation", format!("{} is a fork of forks already", parent.name))
            .hint("fork the workspace that it came from"));
    }
    let id = Uuid::now_v7();
    Ok(WorkspaceRow {
        id,
        name: format!("fork-{}", short(id)),
        kind: WorkspaceKind::Container,
        spec: WorkspaceSpec {
            forked_from: Some(parent.id),
            lowers: Vec::new(),
            frozen: None,
            stands: Some(false),
            failed_build: None,
            ..parent.spec.clone()
        },
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

/// Who freezes what now, and which copies are looked at.
#[derive(Default)]
pub(super) struct Freezer {
    /// One at a time for each workspace; when the last look at its layer began, and the copy that it gave.
    turns: Mutex<HashMap<Uuid, Turn>>,
    /// Held for reading while a copy is made that no record names yet, for writing while unnamed ones are removed.
    naming: RwLock<()>,
}

type Turn = Arc<tokio::sync::Mutex<Option<(Instant, Option<String>)>>>;

impl Freezer {
    fn turn(&self, workspace: Uuid) -> Turn {
        Arc::clone(self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(workspace).or_default())
    }

    pub(super) fn forget(&self, workspace: Uuid) {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).remove(&workspace);
    }
}

impl Workspaces {
    /// Gives a fork the layers that it begins with, at its first start; its record as it is then.
    pub(super) async fn take_layers(&self, row: &WorkspaceRow) -> Result<WorkspaceRow, ApiError> {
        let Some(parent) = row.spec.forked_from else { return Ok(row.clone()) };
        let id = row.id.to_string();
        let row =
            self.store.read(move |c| store::find_workspace(c, &id)).await?.unwrap_or_else(|| row.clone());
        let layer = self.paths(row.id).layer;
        if layer.join("upper").exists() {
            if row.spec.stands != Some(false) {
                return Ok(row);
            }
            // What it stands on was lost in a power cut. Nothing has run in it: that is on the disk before a run begins.
            std::fs::remove_dir_all(&layer).map_err(|e| io_error(&layer, &e))?;
        }
        let wanted = Instant::now();
        let turn = self.freezer.turn(parent);
        let mut last = turn.lock().await;
        let naming = self.freezer.naming.read().await;
        let copy = match last.as_ref() {
            // A look that began after this fork was wanted saw nothing older.
            Some((begun, copy)) if *begun >= wanted => copy.clone(),
            _ => {
                let begun = Instant::now();
                let copy = self.freeze(parent).await?;
                *last = Some((begun, copy.clone()));
                copy
            }
        };
        let taken = self.name_layers(row.id, parent, copy).await;
        drop(naming);
        taken
    }

    /// The frozen copy of a workspace's own layer as it is now, and its name; none when there is nothing in it.
    async fn freeze(&self, workspace: Uuid) -> Result<Option<String>, ApiError> {
        let upper = self.paths(workspace).layer.join("upper");
        if !upper.exists() {
            // It has never been started: what is below is all there is.
            return Ok(None);
        }
        let id = workspace.to_string();
        let row = self.store.read(move |c| store::find_workspace(c, &id)).await?;
        let earlier = row.and_then(|row| row.spec.frozen);
        let layers = self.layers();
        let (name, copied) = {
            let earlier = earlier.clone();
            let boot = store::clocks_now().map(|clocks| clocks.boot);
            blocking(move || freeze_into(&layers, earlier.as_deref(), &upper, boot.as_deref())).await??
        };
        if copied {
            let (id, name) = (workspace.to_string(), name.clone());
            self.store
                .write(move |tx| {
                    let Some(mut row) = store::find_workspace(tx, &id)? else { return Ok(()) };
                    row.spec.frozen = Some(name);
                    store::save_workspace(tx, &row)
                })
                .await?;
        }
        Ok(Some(name))
    }

    /// Writes down what a fork stands on. The image is the parent's own, whatever its template has become. It is on the
    /// disk with the fork's first run.
    async fn name_layers(
        &self,
        fork: Uuid,
        parent: Uuid,
        copy: Option<String>,
    ) -> Result<WorkspaceRow, ApiError> {
        Ok(self
            .store
            .note(move |tx| {
                let gone =
                    || ApiError::new(ErrorCode::UnknownWorkspace, "the workspace of this fork is gone");
                let parent = store::find_workspace(tx, &parent.to_string())?.ok_or_else(gone)?;
                let mut row = store::find_workspace(tx, &fork.to_string())?.ok_or_else(gone)?;
                row.spec.lowers = copy.into_iter().chain(parent.spec.lowers).collect();
                row.spec.image = parent.spec.image;
                row.spec.stands = Some(true);
                store::save_workspace(tx, &row)?;
                Ok(row)
            })
            .await?)
    }

    fn layers(&self) -> PathBuf {
        self.data.join("layers")
    }

    /// The directories of frozen layers.
    pub(super) fn lowers(&self, row: &WorkspaceRow) -> Vec<PathBuf> {
        row.spec.lowers.iter().map(|name| self.layers().join(name).join(TREE)).collect()
    }

    /// The marks of a frozen layer.
    pub(super) fn marks(&self, name: &str) -> PathBuf {
        self.layers().join(name).join(MARKS)
    }

    /// Removes frozen layers that no record names, unless one is being made.
    pub(super) async fn remove_unnamed_layers(&self) {
        let Ok(_alone) = self.freezer.naming.try_write() else { return };
        let rows = match self.store.read(store::list_workspaces).await {
            Ok(rows) => rows,
            Err(error) => return tracing::warn!(%error, "frozen layers that nobody uses stay"),
        };
        let named: BTreeSet<String> =
            rows.into_iter().flat_map(|row| row.spec.lowers.into_iter().chain(row.spec.frozen)).collect();
        let layers = self.layers();
        let removed = blocking(move || remove_others(&layers, &named)).await;
        if let Err(error) = removed.and_then(|removed| removed) {
            tracing::warn!(%error, "a frozen layer that nobody uses stays");
        }
    }

    /// Stops a fork's sandbox, whose only worker has ended. Its files stay for a resume.
    pub async fn leave_fork(&self, row: &WorkspaceRow) {
        if row.spec.forked_from.is_some() {
            self.stop_if_idle(row.id).await;
        }
    }
}

/// The name of a copy of `upper`, and whether it was made now. Of an earlier copy is taken what has not changed, if it was
/// made since the same `boot`.
fn freeze_into(
    layers: &Path,
    earlier: Option<&str>,
    upper: &Path,
    boot: Option<&str>,
) -> Result<(String, bool), ApiError> {
    let of_this_boot = |name: &&str| {
        let made = std::fs::read_to_string(layers.join(name).join(BOOT)).ok();
        boot.is_some() && made.as_deref() == boot
    };
    let earlier = earlier.filter(of_this_boot).and_then(|name| {
        let marks = Marks::load(&layers.join(name).join(MARKS))?;
        Some((name, layers.join(name).join(TREE), marks))
    });
    if let Some((name, _, marks)) = &earlier
        && marks.hold_for(upper).map_err(|e| io_error(upper, &e))?
    {
        return Ok(((*name).to_owned(), false));
    }
    let before = earlier.as_ref().map(|(_, tree, marks)| (tree.as_path(), marks));
    let mut tried = 0;
    loop {
        tried += 1;
        let name = short(Uuid::now_v7());
        let home = layers.join(&name);
        std::fs::create_dir_all(&home).map_err(|e| io_error(&home, &e))?;
        let frozen = std::fs::write(home.join(BOOT), boot.unwrap_or_default())
            .and_then(|()| freeze(upper, before, &home.join(TREE)))
            .and_then(|marks| marks.save(&home.join(MARKS)));
        let Err(error) = frozen else { return Ok((name, true)) };
        std::fs::remove_dir_all(&home).map_err(|e| io_error(&home, &e))?;
        if tried == TRIES {
            return Err(ApiError::new(
                ErrorCode::SandboxFailed,
                format!("the workspace's layer cannot be frozen: {error}"),
            )
            .hint("see that the disk has room, and that the layer is not turned over all the time"));
        }
    }
}

fn remove_others(layers: &Path, named: &BTreeSet<String>) -> Result<(), ApiError> {
    let entries = match std::fs::read_dir(layers) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|e| io_error(layers, &e))?,
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !named.contains(&name) {
            std::fs::remove_dir_all(&path).map_err(|e| io_error(&path, &e))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_made_once_for_one_state_and_unnamed_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let (upper, layers) = (dir.path().join("upper"), dir.path().join("layers"));
        std::fs::create_dir(&upper).unwrap();
        let boot = Some("this");
        let (first, made) = freeze_into(&layers, None, &upper, boot).unwrap();
        assert!(made);
        let (again, made) = freeze_into(&layers, Some(&first), &upper, boot).unwrap();
        assert_eq!((&again, made), (&first, false));
        for later in [Some("next"), None] {
            assert!(
                freeze_into(&layers, Some(&first), &upper, later).unwrap().1,
                "nobody knows if it is whole"
            );
        }
        std::fs::write(upper.join("a"), "one").unwrap();
        let (second, made) = freeze_into(&layers, Some(&first), &upper, boot).unwrap();
        assert!(made && second != first);
        // A name that leads nowhere is as none.
        assert!(freeze_into(&layers, Some("nowhere"), &upper, boot).unwrap().1);
        remove_others(&layers, &BTreeSet::from([second.clone()])).unwrap();
        let left: Vec<_> = std::fs::read_dir(&layers).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, [second.as_str()]);
        remove_others(&dir.path().join("none"), &BTreeSet::new()).unwrap();
    }
}
