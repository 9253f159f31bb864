//! Names of the state files, and reading and writing them.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use sandboxed_domain::api::{ApiError, ErrorCode};

use super::process::ProcessId;
use crate::settings::Settings;

/// Where the daemon of one data directory and address keeps its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFiles {
    /// `<data dir>/daemon`.
    pub dir: PathBuf,
    /// Held by the daemon while it lives.
    pub lock: PathBuf,
    /// Held by whoever starts, stops or replaces it.
    pub start_lock: PathBuf,
    /// Pid and start time.
    pub pid: PathBuf,
    /// Build id.
    pub version: PathBuf,
    /// Log; `.1` to `.3` are older ones.
    pub log: PathBuf,
}

impl StateFiles {
    /// The names for `settings`.
    pub fn new(settings: &Settings) -> Self {
        let dir = settings.data_dir.join("daemon");
        let host: String = settings
            .host
            .to_string()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let of = |suffix: &str| dir.join(format!("daemon-{host}-{}.{suffix}", settings.port));
        Self {
            lock: dir.join("lock"),
            start_lock: dir.join("start.lock"),
            pid: of("pid"),
            version: of("version"),
            log: of("log"),
            dir,
        }
    }

    /// Makes the directory, readable by its owner only.
    pub(super) fn create_dir(&self) -> Result<(), ApiError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(|e| file_error(&self.dir, &e))
    }

    /// The process the pid file names, whether or not it lives; `None` without a readable pid file.
    pub fn recorded(&self) -> Option<ProcessId> {
        let text = fs::read_to_string(&self.pid).ok()?;
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        let start_time = lines.next()?.trim().parse().ok()?;
        Some(ProcessId { pid, start_time })
    }

    /// The living daemon.
    pub fn running(&self) -> Option<ProcessId> {
        self.recorded().filter(ProcessId::is_alive)
    }

    /// The build id the running daemon wrote.
    pub fn recorded_build(&self) -> Option<String> {
        fs::read_to_string(&self.version).ok().map(|text| text.trim().to_owned())
    }

    /// Removes pid and version file if they name `process`.
    pub(super) fn forget(&self, process: ProcessId) {
        if self.recorded() == Some(process) {
            // Nothing is lost when this fails: a dead process's file counts for nothing.
            let _ = fs::remove_file(&self.version);
            let _ = fs::remove_file(&self.pid);
        }
    }
}

/// Writes by rename, so that a reader sees the old text or the new one.
pub(super) fn write_whole(path: &Path, text: &str) -> Result<(), ApiError> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, path)).map_err(|e| file_error(path, &e))
}

/// Opens a lock file, making it when needed.
pub(super) fn open_lock(path: &Path) -> Result<fs::File, ApiError> {
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|e| file_error(path, &e))
}

/// A typed error for a file that cannot be used.
pub(super) fn file_error(path: &Path, error: &io::Error) -> ApiError {
    let (code, hint) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorCode::DiskFull, "free some space there")
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            (ErrorCode::ReadOnly, "make the data directory writable, or set SANDBOXED_SH_DATA_DIR to another")
        }
        _ => (ErrorCode::Internal, "check the data directory (SANDBOXED_SH_DATA_DIR)"),
    };
    ApiError::new(code, format!("{}: {error}", path.display())).field(path.display().to_string()).hint(hint)
}
