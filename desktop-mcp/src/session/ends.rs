//! How a keeper and its guard end what is below them.

use std::collections::BTreeSet;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

/// How long programs have to end after TERM.
const GRACE: Duration = Duration::from_secs(2);
/// How long the kernel has to end what was killed.
const KILLED: Duration = Duration::from_secs(5);

/// Numbers of processes.
pub type Children = BTreeSet<i32>;

/// All descendants of this process, apart from those of `spared` and what is below them. This process is the reaper of
/// them all, so nobody's number is used again before it has been taken in here, unless its parent is alive.
pub fn descendants(spared: &[i32]) -> Children {
    let mut found = Children::new();
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let mut open = vec![own];
    while let Some(pid) = open.pop() {
        for child in children(pid) {
            if !spared.contains(&child) && found.insert(child) {
                open.push(child);
            }
        }
    }
    found
}

fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// CHLD, and what asks a process to end, as a descriptor. Who reads it gets the signals of its own process.
#[derive(Debug, Clone)]
pub struct Signals(pub Arc<OwnedFd>);

impl Signals {
    /// Blocks them, so that they come here only.
    ///
    /// # Errors
    /// The kernel has no descriptor.
    pub fn new() -> io::Result<Self> {
        // SAFETY: the set is initialised by sigemptyset before it is used, and all pointers are to live locals.
        let fd = unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
                libc::sigaddset(&raw mut set, signal);
            }
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: signalfd has just made it, and nobody else owns it.
        Ok(Self(Arc::new(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    /// Takes them in; whether one asked this process to end.
    pub fn asked(&self) -> bool {
        let mut asked = false;
        let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
        while let Ok(length) = rustix::io::read(&self.0, &mut info) {
            let signal = u32::from_ne_bytes([info[0], info[1], info[2], info[3]]);
            asked |= length > 0 && signal != libc::SIGCHLD.unsigned_abs();
        }
        asked
    }

    /// Waits for one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn wait(&self, longest: Option<Duration>) -> io::Result<()> {
        let longest = longest.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], longest.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Ends all that `living` names: asks, and kills what does not obey. `reap` takes in signals and what has ended.
pub fn end_all(signals: &Signals, living: &dyn Fn() -> Children, reap: &mut dyn FnMut()) {
    for (signal, time) in [(Signal::TERM, GRACE), (Signal::KILL, KILLED)] {
        let end = Instant::now() + time;
        let mut told = Children::new();
        loop {
            reap();
            let now = living();
            if now.is_empty() {
                return;
            }
            for pid in now.difference(&told).copied().filter_map(Pid::from_raw) {
                let _ = kill_process(pid, signal);
            }
            told.extend(&now);
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || signals.wait(Some(left)).is_err() {
                break;
            }
        }
    }
}
