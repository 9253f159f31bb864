//! What a run's inbox means for it: warnings on the way up, and the end of a run that fills it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sandboxed_domain::api::{EventBody, StorageFolder, StorageUse};
use sandboxed_domain::mission::TerminalReason;
use sandboxed_domain::policy::storage_level;
use tokio::sync::watch;

use super::inbox::{Inbox, Look};
use crate::sandbox::disk::Disk;
use crate::store::{self, MissionRow, StoreError, Tx};
use crate::workspace::{Live, Workspaces};

/// How often a disk is looked at while its run lives.
const DISK_PAUSE: Duration = Duration::from_secs(1);

/// One run's view of its workspace's own disk. The kernel bounds that one; here it is only told.
pub(super) struct DiskGuard {
    disk: Option<Disk>,
    looked: Option<Instant>,
    told: u8,
}

impl DiskGuard {
    pub fn new(disk: Option<Disk>) -> Self {
        Self { disk, looked: None, told: 0 }
    }

    /// A warning that is due; a look costs one call of the kernel, and is not made with every line of output.
    pub fn look(&mut self) -> Option<EventBody> {
        if self.looked.is_some_and(|at| at.elapsed() < DISK_PAUSE) {
            return None;
        }
        self.last_look().0
    }

    /// The same now, and whether the disk is full.
    pub fn last_look(&mut self) -> (Option<EventBody>, bool) {
        let Some(fill) = self.disk.as_ref().and_then(Disk::fill) else { return (None, false) };
        self.looked = Some(Instant::now());
        let level = storage_level(fill);
        let fresh = level.filter(|level| *level > self.told);
        self.told = fresh.unwrap_or(self.told);
        (fresh.map(|percent| warning(StorageFolder::Workspace, percent, fill)), level == Some(100))
    }
}

/// One run's view of the inbox.
pub(super) struct InboxGuard {
    inbox: Arc<Inbox>,
    looks: watch::Receiver<Look>,
    /// The highest level that was told of.
    told: u8,
}

/// Something about the inbox that the mission has to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filled {
    fill: StorageUse,
    /// A level that was not told of yet.
    level: Option<u8>,
    /// The run ends for it.
    pub fills: bool,
}

impl InboxGuard {
    pub fn new(inbox: Arc<Inbox>) -> Self {
        Self { looks: inbox.looks(), inbox, told: 0 }
    }

    /// Completes when the inbox was looked at since; never when nobody looks any more.
    pub async fn changed(&mut self) {
        if self.looks.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.looks.mark_changed();
    }

    /// What a new look means for the run; none when nothing.
    pub fn look(&mut self, run: &str, live: &Live) -> Option<Filled> {
        if !self.looks.has_changed().unwrap_or(false) {
            return None;
        }
        let seen = self.looks.borrow_and_update().clone()?;
        self.judge(seen.fill, live.has_one_of(run, &seen.writers))
    }

    /// The same at the end of the run, counted now: nothing is left to be stopped.
    pub async fn last_look(&mut self, workspaces: &Workspaces) -> Option<Filled> {
        let fill = workspaces.inbox_use(self.inbox.workspace).await;
        self.judge(fill, false)
    }

    fn judge(&mut self, fill: StorageUse, fills: bool) -> Option<Filled> {
        let level = storage_level(fill).filter(|level| *level > self.told);
        self.told = level.unwrap_or(self.told);
        (fills || level.is_some()).then_some(Filled { fill, level, fills })
    }
}

impl Filled {
    /// Writes it into the mission's log and row.
    pub fn write(&self, tx: &mut Tx<'_>, row: &mut MissionRow) -> Result<(), StoreError> {
        if let Some(percent) = self.level {
            store::append_event(tx, row.id, &warning(StorageFolder::Inbox, percent, self.fill))?;
        }
        if self.fills && row.stop_reason.is_none() {
            let StorageUse { used_bytes, quota_bytes } = self.fill;
            let message = format!(
                "it filled its workspace's inbox: {used_bytes} bytes of {quota_bytes}; what it wrote is there still"
            );
            row.stop_reason = Some(TerminalReason::DiskExceeded.as_str());
            row.error = Some(message.clone());
            store::append_event(tx, row.id, &EventBody::Error { code: "disk_exceeded".to_owned(), message })?;
        }
        Ok(())
    }
}

/// The event of a place that has become full.
pub(super) fn warning(folder: StorageFolder, percent: u8, fill: StorageUse) -> EventBody {
    let StorageUse { used_bytes, quota_bytes } = fill;
    EventBody::StorageWarning { folder, percent, used_bytes, quota_bytes }
}
