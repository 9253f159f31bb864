//! What is kept of jobs: a directory for each, written by the runner. Of ended ones the newest stay, within a number and
//! a size.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use sandbox_runner::protocol::{EXIT_FILE, ExitRecord, METADATA_FILE, RUNS_DIR, RunMetadata};
use serde::de::DeserializeOwned;

/// Output of a job, both streams.
pub const OUTPUT_FILE: &str = "stdout.log";
/// Ended jobs that are kept.
const KEPT: usize = 200;
/// Bytes of output that ended jobs may keep together.
const KEPT_BYTES: u64 = 2 << 30;
/// A longer record was not written by a runner.
const MAX_RECORD: u64 = 4 << 20;

/// The directory of one job.
#[derive(Debug, Clone)]
pub struct JobDir {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub path: PathBuf,
}

/// What the files tell of a job.
#[derive(Debug, Clone)]
pub struct Record {
    /// Written before it started.
    pub metadata: RunMetadata,
    /// Written after its end.
    pub exit: Option<ExitRecord>,
    /// Bytes of output so far.
    pub output_bytes: u64,
}

impl JobDir {
    /// The directory that a job has, whether it is there or not.
    pub fn of(control: &Path, id: &str) -> Self {
        Self { id: id.to_owned(), path: control.join(RUNS_DIR).join(id) }
    }

    /// A new directory with a new id.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(control: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let mut private = fs::DirBuilder::new();
        private.mode(0o700);
        match private.create(control.join(RUNS_DIR)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        loop {
            let mut bits = [0; 4];
            rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty())?;
            let dir = Self::of(control, &format!("j{:08x}", u32::from_le_bytes(bits)));
            match private.create(&dir.path) {
                Ok(()) => return Ok(dir),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Its output.
    pub fn output(&self) -> PathBuf {
        self.path.join(OUTPUT_FILE)
    }

    /// How it ended; none while that is not recorded.
    pub fn exit(&self) -> Option<ExitRecord> {
        read(&self.path.join(EXIT_FILE))
    }

    /// Everything that is known of it; none for a directory that is no job's.
    pub fn record(&self) -> Option<Record> {
        let metadata = read(&self.path.join(METADATA_FILE))?;
        // First: output does not grow after the end is recorded.
        let exit = self.exit();
        let output_bytes = fs::metadata(self.output()).map_or(0, |meta| meta.len());
        Some(Record { metadata, exit, output_bytes })
    }

    /// Removes it.
    pub fn remove(&self) {
        // What cannot be removed now is tried again with the next job.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// All jobs, newest first.
pub fn all(control: &Path) -> Vec<(JobDir, Record)> {
    let Ok(entries) = fs::read_dir(control.join(RUNS_DIR)) else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let dirs = ids.map(|id| JobDir::of(control, &id));
    let mut found: Vec<_> = dirs.filter_map(|dir| Some((dir.clone(), dir.record()?))).collect();
    found.sort_by(|(a, one), (b, other)| {
        (other.metadata.started_at_ms, &b.id).cmp(&(one.metadata.started_at_ms, &a.id))
    });
    found
}

/// Removes the oldest of the ended jobs that are too many or too large. `jobs` are newest first; those in `live` have not
/// ended.
pub fn prune(jobs: &[(JobDir, Record)], live: &HashSet<String>) {
    let (mut count, mut bytes) = (0, 0);
    for (dir, record) in jobs {
        if record.exit.is_none() && live.contains(&dir.id) {
            continue;
        }
        count += 1;
        bytes += record.output_bytes;
        if count > KEPT || bytes > KEPT_BYTES {
            dir.remove();
        }
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(MAX_RECORD).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Unix time in milliseconds.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
