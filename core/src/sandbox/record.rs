//! What a daemon writes down about a sandbox, so that the next daemon finds it by identity, and where its files are.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use sandbox_runner::protocol::{RUNS_DIR, SOCKET_FILE};
use sandboxed_domain::sandbox::SandboxSpec;
use serde::{Deserialize, Serialize};

use super::error::SandboxError;
use super::process::ProcessIdentity;

/// Version of [`Record`].
const VERSION: u32 = 1;

/// A sandbox, or the host's runner, as it was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this record.
    pub version: u32,
    /// Machine name.
    pub name: String,
    /// nspawn; for the host's runner that itself.
    pub outer: ProcessIdentity,
    /// The runner.
    pub init: ProcessIdentity,
    /// Unix time of the start in milliseconds.
    pub started_at_ms: u64,
    /// What was asked for; none for the host's runner.
    pub spec: Option<SandboxSpec>,
}

impl Record {
    pub(super) fn new(
        name: &str,
        outer: ProcessIdentity,
        init: ProcessIdentity,
        spec: Option<SandboxSpec>,
    ) -> Self {
        let started_at_ms = u64::try_from(chrono::Utc::now().timestamp_millis()).unwrap_or_default();
        Self { version: VERSION, name: name.to_owned(), outer, init, started_at_ms, spec }
    }
}

/// The files of one runner, all beside or in its control directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerFiles {
    control: PathBuf,
}

impl RunnerFiles {
    /// Of a control directory, which must have a parent directory of its own.
    pub fn new(control: impl Into<PathBuf>) -> Self {
        Self { control: control.into() }
    }

    /// The control directory.
    pub fn control(&self) -> &Path {
        &self.control
    }

    /// The runner's socket.
    pub fn socket(&self) -> PathBuf {
        self.control.join(SOCKET_FILE)
    }

    /// Directory of a run.
    pub fn run_dir(&self, run_id: &str) -> PathBuf {
        self.control.join(RUNS_DIR).join(run_id)
    }

    /// The record.
    pub fn record(&self) -> PathBuf {
        self.control.with_file_name("machine.json")
    }

    /// What nspawn and the runner print.
    pub fn log(&self) -> PathBuf {
        self.control.with_file_name("machine.log")
    }

    /// Makes the directories, puts the log of the last start aside and opens a new one.
    pub(super) fn prepare(&self) -> Result<fs::File, SandboxError> {
        let runs = self.control.join(RUNS_DIR);
        make_private_dir(&runs)?;
        let (socket, log) = (self.socket(), self.log());
        remove_if_there(&socket)?;
        match fs::rename(&log, log.with_extension("log.1")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(SandboxError::io("rotate", &log)(error));
            }
            _ => {}
        }
        fs::File::options().create(true).append(true).open(&log).map_err(SandboxError::io("create", &log))
    }

    /// The record, when there is one.
    pub(super) fn load(&self) -> Result<Option<Record>, SandboxError> {
        let path = self.record();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SandboxError::io("read", &path)(error)),
        };
        let record: Record = serde_json::from_str(&text)
            .map_err(|e| SandboxError::Record { path: path.clone(), reason: e.to_string() })?;
        if record.version == VERSION {
            return Ok(Some(record));
        }
        Err(SandboxError::Record { path, reason: format!("version {}", record.version) })
    }

    /// Writes the record, wholly or not at all.
    pub(super) fn save(&self, record: &Record) -> Result<(), SandboxError> {
        let path = self.record();
        let partial = path.with_extension("json.tmp");
        let write = || {
            let mut file = fs::File::create(&partial)?;
            file.write_all(&serde_json::to_vec_pretty(record)?)?;
            fs::rename(&partial, &path)
        };
        write().map_err(SandboxError::io("write", &path))
    }

    /// Forgets a sandbox that is gone; runs and the log stay.
    pub(super) fn forget(&self) -> Result<(), SandboxError> {
        remove_if_there(&self.socket())?;
        remove_if_there(&self.record())
    }

    /// The end of the log, without nspawn's remark about a directory that it does not remove.
    pub(super) fn log_tail(&self) -> String {
        const MOST: usize = 2048;
        let text = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(MOST)..]).into_owned();
        let lines =
            text.lines().filter(|line| !line.starts_with("Attempted to remove disk file system under"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn remove_if_there(path: &Path) -> Result<(), SandboxError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(SandboxError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Makes a directory that only root enters: prompts and answers pass through its files.
pub(super) fn make_private_dir(path: &Path) -> Result<(), SandboxError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(SandboxError::io("create", path))
}
