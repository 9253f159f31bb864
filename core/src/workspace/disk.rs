//! What a workspace takes of the disk, and disks of their own for those that may only take so much.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sandboxed_domain::api::{ApiError, ErrorCode, Limits, StorageUse, WorkspaceKind};
use uuid::Uuid;

use super::paths::short;
use super::records::Workspaces;
use crate::sandbox::disk::{Disk, missing};
use crate::sandbox::disk_bytes;
use crate::store::{self, WorkspaceRow, blocking, make_private};

/// What can be asked for: 64 MiB, in which a sandbox can begin, to 16 TiB.
const BOUNDS: std::ops::RangeInclusive<u64> = (64 << 20)..=(16 << 40);
const FIELD: &str = "limits.disk_bytes";
/// How old a figure in a list may be.
const AGE: Duration = Duration::from_secs(60);
/// How many times longer than counting took its figure counts.
const SHARE: u32 = 50;

/// The last figures, when they were taken and how long that took.
#[derive(Default)]
pub(super) struct Figures(Mutex<HashMap<Uuid, (Instant, Duration, u64)>>);

impl Figures {
    fn fresh(&self, id: Uuid) -> Option<u64> {
        let figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, cost, bytes) = figures.get(&id)?;
        (at.elapsed() < AGE.max(*cost * SHARE)).then_some(*bytes)
    }

    fn note(&self, id: Uuid, begun: Instant, bytes: u64) {
        let seen = (Instant::now(), begun.elapsed(), bytes);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, seen);
    }

    fn forget(&self, id: Uuid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

impl Workspaces {
    /// Whether a limit of the disk can be had.
    ///
    /// # Errors
    /// `invalid_argument`: it is out of bounds; `sandbox_unavailable`: this machine cannot.
    pub fn check_disk(&self, limits: &Limits) -> Result<(), ApiError> {
        let Some(bytes) = wanted(limits) else { return Ok(()) };
        if !BOUNDS.contains(&bytes) {
            return Err(ApiError::invalid(FIELD, format!("a disk of {bytes} bytes cannot be made"))
                .hint(format!("{} to {}", BOUNDS.start(), BOUNDS.end())));
        }
        match missing() {
            None => Ok(()),
            Some((what, mend)) => {
                let text = format!("a workspace cannot have a limit of its disk here: {what}");
                Err(ApiError::new(ErrorCode::SandboxUnavailable, text)
                    .field(FIELD)
                    .hint(format!("`{mend}`, or leave the limit out")))
            }
        }
    }

    /// The disk of a workspace's own; none where it has no limit.
    pub fn disk(&self, row: &WorkspaceRow) -> Option<Disk> {
        wanted(&row.spec.limits).filter(|_| row.kind == WorkspaceKind::Container)?;
        let home = self.data.join("disks").join(short(row.id));
        Some(Disk { home, at: self.paths(row.id).root })
    }

    /// Mounts the workspace's disk, if it has one. Everything of the workspace lies on it, so this comes first.
    pub(super) async fn mount_disk(&self, row: &WorkspaceRow) -> Result<(), ApiError> {
        let (Some(disk), Some(bytes)) = (self.disk(row), wanted(&row.spec.limits)) else { return Ok(()) };
        make_private(&self.data.join("disks"))?;
        // One at a time: two would make two images.
        let _alone = self.mounting.lock().await;
        blocking(move || disk.ensure(bytes)).await?.map_err(|error| ApiError::from(error).field(FIELD))
    }

    /// Mounts all disks that are not mounted, as after a restart of the machine.
    pub(super) async fn mount_disks(&self) -> Result<(), ApiError> {
        for row in self.store.read(store::list_workspaces).await? {
            if let Err(error) = self.mount_disk(&row).await {
                tracing::warn!(workspace = row.name, %error, "its disk is not there");
                self.note_error(row.id, Some(error.to_string())).await?;
            }
        }
        Ok(())
    }

    /// Takes the workspace's disk away with everything on it.
    pub(super) async fn remove_disk(&self, row: &WorkspaceRow) -> Result<(), ApiError> {
        self.figures.forget(row.id);
        let Some(disk) = self.disk(row) else { return Ok(()) };
        let _alone = self.mounting.lock().await;
        Ok(blocking(move || disk.remove()).await??)
    }

    /// Bytes on disk of a workspace now; none when they cannot be counted.
    pub async fn disk_now(&self, row: &WorkspaceRow) -> Option<u64> {
        let begun = Instant::now();
        let bytes = match self.disk(row) {
            Some(disk) => disk.fill()?.used_bytes,
            None => {
                let root = self.paths(row.id).root;
                blocking(move || disk_bytes(&root)).await.ok()?.ok()?
            }
        };
        self.figures.note(row.id, begun, bytes);
        Some(bytes)
    }

    /// The same as it was lately, for lists.
    pub async fn disk_lately(&self, row: &WorkspaceRow) -> Option<u64> {
        match self.figures.fresh(row.id) {
            Some(bytes) => Some(bytes),
            None => self.disk_now(row).await,
        }
    }

    /// How full the disk of a workspace's own is; none where it has none.
    pub fn disk_fill(&self, row: &WorkspaceRow) -> Option<StorageUse> {
        self.disk(row)?.fill()
    }
}

fn wanted(limits: &Limits) -> Option<u64> {
    limits.disk_bytes.filter(|bytes| *bytes > 0)
}
