//! The directory of one run: metadata, outputs and the exit record. Everything is named relative to the open control
//! directory, so it works after that directory was hidden from the workload.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use serde::Serialize;

use crate::protocol::{EXIT_FILE, ExitRecord, METADATA_FILE, RUNS_DIR, RunMetadata, STDERR_FILE};

const PRIVATE_DIR: Mode = Mode::S_IRWXU;
const EXIT_TMP: &str = "exit.json.tmp";
/// An exit record longer than this was not written by a runner.
const MAX_RECORD: u64 = 1 << 20;

/// The open directory of a run.
#[derive(Debug)]
pub struct RunDir(OwnedFd);

impl RunDir {
    /// The directory of `run_id`, made when missing.
    pub fn create(control: BorrowedFd<'_>, run_id: &str) -> io::Result<Self> {
        for path in [RUNS_DIR.to_owned(), format!("{RUNS_DIR}/{run_id}")] {
            match mkdirat(control, path.as_str(), PRIVATE_DIR) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Self::open(control, run_id)
    }

    /// The directory of `run_id` when it is there.
    pub fn open(control: BorrowedFd<'_>, run_id: &str) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Self(openat(control, format!("{RUNS_DIR}/{run_id}").as_str(), flags, Mode::empty())?))
    }

    /// Claims the run: fails with `AlreadyExists` when it was started before, by whomever.
    pub fn write_metadata(&self, metadata: &RunMetadata) -> io::Result<()> {
        let file = self.file(METADATA_FILE, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL)?;
        write_json(&file, metadata).inspect_err(|_| self.remove(METADATA_FILE))
    }

    /// Takes the claim back of a run that has not started and whose end cannot be written either, on a full disk for
    /// instance: it may be started again. The claim goes last.
    pub fn abandon(&self, stdout_name: &str) {
        for name in [EXIT_TMP, STDERR_FILE, stdout_name, METADATA_FILE] {
            self.remove(name);
        }
    }

    fn remove(&self, name: &str) {
        // What is not there need not go; a claim that cannot go stays one.
        let _ = unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir);
    }

    /// A new file for output; it only grows.
    pub fn new_output(&self, name: &str) -> io::Result<File> {
        self.file(name, OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_EXCL)
    }

    /// Writes the exit record so that it is there whole or not at all, whatever is killed. Nothing is synced: a power cut
    /// ends the sandbox as well, and a run without a record, or with an empty one, then counts as lost. Whoever read it
    /// before has written down himself what it says.
    pub fn write_exit(&self, record: &ExitRecord) -> io::Result<()> {
        let file = self.file(EXIT_TMP, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC)?;
        write_json(&file, record)?;
        renameat(&self.0, EXIT_TMP, &self.0, EXIT_FILE)?;
        Ok(())
    }

    /// The exit record; `NotFound` while there is none.
    pub fn read_exit(&self) -> io::Result<ExitRecord> {
        let mut text = Vec::new();
        self.file(EXIT_FILE, OFlag::O_RDONLY)?.take(MAX_RECORD).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Whether somebody removed the directory, so that nothing can be written into it any more.
    pub fn is_removed(&self) -> bool {
        fstat(&self.0).is_ok_and(|stat| stat.st_nlink == 0)
    }

    fn file(&self, name: &str, flags: OFlag) -> io::Result<File> {
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(openat(&self.0, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?.into())
    }
}

fn write_json(mut file: &File, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    file.write_all(&text)
}

/// Bytes in an open file; zero when it cannot be told.
pub fn length(file: &impl AsFd) -> u64 {
    fstat(file).ok().and_then(|stat| u64::try_from(stat.st_size).ok()).unwrap_or(0)
}

/// Unix time in milliseconds.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
