//! Processes by identity: a number may be given to another process, a descriptor or a start time may not.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;

use super::watched::watched;

/// Name and state letter of a process, from `/proc`; none when it is gone.
pub fn name_and_state(pid: i32) -> Option<(String, char)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold some itself.
    let (before, after) = stat.rsplit_once(") ")?;
    let (_, name) = before.split_once('(')?;
    Some((name.to_owned(), after.chars().next()?))
}

/// A descriptor of one process.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Opens a descriptor of the process that has this number now.
    ///
    /// # Errors
    /// ESRCH when there is none.
    pub fn open(pid: i32) -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked before it is used.
        let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nobody else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(raw as i32) }))
    }

    /// SIGKILL to exactly that process.
    ///
    /// # Errors
    /// ESRCH when it is gone.
    pub fn kill(&self) -> io::Result<()> {
        let (fd, no_info) = (self.0.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
        // SAFETY: a null siginfo is allowed and means a plain signal.
        let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, libc::SIGKILL, no_info, 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Waits in this thread until it ended; false when `patience` was not enough.
    ///
    /// # Errors
    /// Those of poll(2).
    pub fn wait_exit(&self, patience: Duration) -> io::Result<bool> {
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        Ok(poll(&mut fds, timeout)? > 0)
    }

    /// Waits until it ended.
    ///
    /// # Errors
    /// When the descriptor cannot be watched.
    pub async fn ended(&self) -> io::Result<()> {
        let watched = watched(self.0.try_clone()?.into(), Interest::READABLE)?;
        watched.readable().await.map(drop)
    }
}

impl From<OwnedFd> for PidFd {
    /// Takes over a descriptor that is one.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for PidFd {
    /// Readable once the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A process as it can be written down: the kernel never gives the same pair out twice between two boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
    /// Which boot.
    pub boot_id: String,
}

impl ProcessIdentity {
    /// The identity of a living process; none when there is no such process or it is a zombie.
    pub fn of(pid: i32) -> Option<Self> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        Some(Self { pid, start_ticks: start_ticks(pid)?, boot_id })
    }

    /// A descriptor of exactly this process; none when it ended.
    pub fn open(&self) -> Option<PidFd> {
        let descriptor = PidFd::open(self.pid).ok()?;
        // Looked at after opening: the number cannot change hands while the descriptor is held.
        (Self::of(self.pid).as_ref() == Some(self)).then_some(descriptor)
    }
}

/// Start time of a process; none for a zombie.
fn start_ticks(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

/// The children of a process's main thread.
pub fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_ends_with_its_process() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id() as i32;
        let identity = ProcessIdentity::of(pid).unwrap();
        let descriptor = identity.open().unwrap();
        assert!(!descriptor.wait_exit(Duration::ZERO).unwrap());
        assert!(
            ProcessIdentity { start_ticks: identity.start_ticks + 1, ..identity.clone() }.open().is_none()
        );
        descriptor.kill().unwrap();
        assert!(descriptor.wait_exit(Duration::from_secs(5)).unwrap());
        assert!(identity.open().is_none(), "a zombie is no living process");
        child.wait().unwrap();
    }
}
