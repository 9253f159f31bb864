//! The control group of a run, as far as the daemon's descriptors reach: list its processes, stop it from growing.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// A list longer than this is read in part; the rest comes in the next round.
const MAX_LIST: u64 = 1 << 20;

/// Descriptors of the run's control group.
#[derive(Debug, Default)]
pub struct Cgroup {
    procs: Option<File>,
    stop: Option<(File, String)>,
}

impl Cgroup {
    /// Takes the descriptors that follow the joined groups.
    pub fn new(procs: Option<OwnedFd>, stop: Option<(OwnedFd, String)>) -> Self {
        Self { procs: procs.map(File::from), stop: stop.map(|(fd, payload)| (fd.into(), payload)) }
    }

    /// Its processes in the runner's pid namespace; none when there is no list.
    pub fn processes(&self) -> Option<Vec<i32>> {
        let procs = self.procs.as_ref()?;
        let text = fresh(procs).or_else(|_| stale(procs)).unwrap_or_default();
        let own = std::process::id();
        let pids = text.lines().filter_map(|line| line.trim().parse::<i32>().ok());
        // Zero is a process that this namespace cannot see.
        Some(pids.filter(|pid| *pid > 1 && u32::try_from(*pid) != Ok(own)).collect())
    }

    /// Makes the kernel refuse new processes, or kill them all, once.
    pub fn stop(&mut self) {
        if let Some((file, payload)) = self.stop.take() {
            // Killing goes on without it; it only ends sooner with it.
            let _ = file.write_at(payload.as_bytes(), 0);
        }
    }
}

/// On cgroup v1 one open file shows the same list for a second, so each look opens it anew.
fn fresh(procs: &File) -> io::Result<String> {
    let mut text = String::new();
    let again = File::open(format!("/proc/self/fd/{}", procs.as_raw_fd()))?;
    again.take(MAX_LIST).read_to_string(&mut text)?;
    Ok(text)
}

fn stale(procs: &File) -> io::Result<String> {
    let mut bytes = vec![0; 64 << 10];
    let read = procs.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
}
