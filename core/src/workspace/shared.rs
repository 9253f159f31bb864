//! Folders that sandboxes share with people: `global`, which all of them read, and each workspace's own `inbox`.
//!
//! They are plain directories of the data directory, so that people use them with their own tools. Nothing of the file
//! system bounds them; what lies in them is counted instead: while runs are followed whenever something in an inbox
//! changes, and whenever somebody asks.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sandboxed_domain::api::{ApiError, SharedFolders, StorageUse, WorkspaceKind};
use sandboxed_domain::policy::{GLOBAL_DIR, INBOX_DIR};
use sandboxed_domain::sandbox::{Bind, IdMap};
use uuid::Uuid;

use super::records::Workspaces;
use crate::sandbox::fill::{Contents, contents};
use crate::store::{WorkspaceRow, blocking, io_error};

/// Bytes of an inbox when nobody says: 1 GiB.
const INBOX_QUOTA: u64 = 1 << 30;
/// Bytes of the global folder when nobody says: 10 GiB.
const GLOBAL_QUOTA: u64 = 10 << 30;
/// What can be asked for: 1 MiB to 1 PiB.
const QUOTAS: std::ops::RangeInclusive<u64> = (1 << 20)..=(1 << 50);
/// How old a look at the global folder may be: nobody but people writes there.
const GLOBAL_AGE: Duration = Duration::from_secs(60);

/// How much the shared folders may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Each workspace's inbox.
    pub inbox: u64,
    /// The folder for all.
    pub global: u64,
}

impl Quotas {
    /// `SANDBOXED_SH_INBOX_QUOTA_BYTES` and `SANDBOXED_SH_GLOBAL_QUOTA_BYTES`, or the defaults.
    ///
    /// # Errors
    /// `invalid_argument`: one of them is not a number of bytes.
    pub fn from_env() -> Result<Self, ApiError> {
        Self::parse(|name| std::env::var(name).ok())
    }

    fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Self, ApiError> {
        let number = |name: &str, default: u64| match get(name).filter(|text| !text.is_empty()) {
            None => Ok(default),
            Some(text) => text.parse().ok().filter(|bytes| QUOTAS.contains(bytes)).ok_or_else(|| {
                ApiError::invalid(name, format!("{text:?} is not a number of bytes that this can be"))
                    .hint(format!("{} to {}", QUOTAS.start(), QUOTAS.end()))
            }),
        };
        Ok(Self {
            inbox: number("SANDBOXED_SH_INBOX_QUOTA_BYTES", INBOX_QUOTA)?,
            global: number("SANDBOXED_SH_GLOBAL_QUOTA_BYTES", GLOBAL_QUOTA)?,
        })
    }
}

/// The quotas, and the last look at the global folder.
pub(super) struct Shared {
    quotas: Quotas,
    global: Mutex<Option<(Instant, u64)>>,
}

impl Shared {
    pub(super) fn new(quotas: Quotas) -> Self {
        Self { quotas, global: Mutex::default() }
    }
}

impl Workspaces {
    /// The folder that all workspaces read.
    pub fn global(&self) -> PathBuf {
        self.data.join("global")
    }

    /// Both folders as a process of the workspace sees them.
    pub fn shared_folders(&self, id: Uuid, kind: WorkspaceKind) -> SharedFolders {
        let (global, inbox) = match kind {
            WorkspaceKind::Container => (GLOBAL_DIR.into(), INBOX_DIR.into()),
            WorkspaceKind::Host => (self.global(), self.paths(id).inbox),
        };
        SharedFolders { global: global.display().to_string(), inbox: inbox.display().to_string() }
    }

    /// Variables by which programs of the workspace find them.
    pub fn shared_env(&self, row: &WorkspaceRow) -> [(String, String); 2] {
        let folders = self.shared_folders(row.id, row.kind);
        [("SANDBOXED_SH_GLOBAL_DIR", folders.global), ("SANDBOXED_SH_INBOX_DIR", folders.inbox)]
            .map(|(name, path)| (name.to_owned(), path))
    }

    /// What is in a workspace's inbox now, and how full that is. Counting stops at twice the quota.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub async fn inbox_contents(&self, id: Uuid) -> Result<(Contents, StorageUse), ApiError> {
        let (inbox, quota) = (self.paths(id).inbox, self.shared.quotas.inbox);
        let found = blocking(move || {
            let found = contents(&inbox, quota.saturating_mul(2));
            found.map_err(|error| io_error(&inbox, &error))
        })
        .await??;
        let fill = StorageUse { used_bytes: found.bytes, quota_bytes: quota };
        Ok((found, fill))
    }

    /// How full a workspace's inbox is; one that is not there is empty.
    pub async fn inbox_use(&self, id: Uuid) -> StorageUse {
        let empty = StorageUse { used_bytes: 0, quota_bytes: self.shared.quotas.inbox };
        self.inbox_contents(id).await.map_or(empty, |(_, fill)| fill)
    }

    /// How full the global folder is, or was within the last minute.
    pub async fn global_use(&self) -> StorageUse {
        let quota_bytes = self.shared.quotas.global;
        let last = *self.shared.global.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, used_bytes)) = last.filter(|(at, _)| at.elapsed() < GLOBAL_AGE) {
            return StorageUse { used_bytes, quota_bytes };
        }
        let (global, enough) = (self.global(), quota_bytes.saturating_mul(2));
        let found = blocking(move || contents(&global, enough).map_or(0, |found| found.bytes)).await;
        let used_bytes = found.unwrap_or_default();
        let seen = Some((Instant::now(), used_bytes));
        *self.shared.global.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        StorageUse { used_bytes, quota_bytes }
    }

    /// The binds of both.
    pub(super) fn shared_binds(&self, id: Uuid) -> [Bind; 2] {
        let bind = |source, target: &str, read_only| Bind {
            source,
            target: target.into(),
            read_only,
            idmap: IdMap::RootIdmap,
        };
        [bind(self.global(), GLOBAL_DIR, true), bind(self.paths(id).inbox, INBOX_DIR, false)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_have_defaults_and_bounds_and_are_refused_by_name() {
        let parse = |name: &str, value: &str| {
            Quotas::parse(|asked| (asked == name).then(|| value.to_owned())).map_err(|e| e.field.unwrap())
        };
        let (inbox, global) = ("SANDBOXED_SH_INBOX_QUOTA_BYTES", "SANDBOXED_SH_GLOBAL_QUOTA_BYTES");
        assert_eq!(parse(inbox, ""), Ok(Quotas { inbox: 1 << 30, global: 10 << 30 }));
        assert_eq!(parse(inbox, "2000000").unwrap().inbox, 2_000_000);
        assert_eq!(parse(global, "2000000").unwrap().global, 2_000_000);
        for (name, value) in [(inbox, "1G"), (global, "0"), (inbox, "99999999999999999")] {
            assert_eq!(parse(name, value), Err(name.to_owned()), "{value}");
        }
    }
}
