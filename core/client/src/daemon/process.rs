//! A process by pid and start time, and ending it without ever touching another that got the same pid.

use std::{fs, io, time::Duration};

use rustix::{
    fd::OwnedFd,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use tokio::io::unix::AsyncFd;

/// A process's identity for as long as the machine is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessId {
    /// Its pid.
    pub pid: u32,
    /// When it started, in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub start_time: u64,
}

impl ProcessId {
    /// This process.
    ///
    /// # Errors
    /// When `/proc` is not mounted.
    pub fn own() -> io::Result<Self> {
        let pid = std::process::id();
        match read_stat(pid) {
            Some((_, start_time)) => Ok(Self { pid, start_time }),
            None => Err(io::Error::other("cannot read /proc/self/stat")),
        }
    }

    /// Whether exactly this process lives. A zombie is dead: it serves nobody.
    pub fn is_alive(&self) -> bool {
        read_stat(self.pid)
            .is_some_and(|(state, start)| start == self.start_time && !matches!(state, 'Z' | 'X'))
    }

    /// Opens a handle that can only ever mean this process; `None` when it is gone.
    pub(super) fn open(&self) -> io::Result<Option<ProcessHandle>> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let fd = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        // Checked after opening: from here on the pid cannot change its meaning.
        if !self.is_alive() {
            return Ok(None);
        }
        // SAFETY: an `OwnedFd` gives the same descriptor, open, until it is dropped with the `AsyncFd`.
        let fd = unsafe { AsyncFd::register(fd) }?;
        Ok(Some(ProcessHandle { fd }))
    }
}

/// A pidfd.
pub(super) struct ProcessHandle {
    fd: AsyncFd<OwnedFd>,
}

impl ProcessHandle {
    /// Sends a signal; a process that has already gone is no error.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(self.fd.get_ref(), signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Waits for the end, at most `limit`. Returns whether it has ended.
    pub(super) async fn ended_within(&self, limit: Duration) -> io::Result<bool> {
        match tokio::time::timeout(limit, self.fd.readable()).await {
            Ok(ready) => ready.map(|_| true),
            Err(_) => Ok(false),
        }
    }
}

/// State letter and start time. The name in parentheses may itself hold spaces and parentheses.
fn read_stat(pid: u32) -> Option<(char, u64)> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<(char, u64)> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    // Field 22; `state` was field 3.
    Some((state, fields.nth(22 - 4)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let text = "12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        assert_eq!(parse_stat(text), Some(('S', 4711)));
        assert_eq!(parse_stat("12 (x) S 1"), None);
    }

    #[test]
    fn a_pid_with_another_start_time_is_not_the_process() {
        let own = ProcessId::own().unwrap();
        assert!(own.is_alive());
        assert!(!ProcessId { start_time: own.start_time + 1, ..own }.is_alive());
    }

    #[test]
    fn a_zombie_is_dead() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let (_, start_time) = read_stat(child.id()).unwrap();
        let id = ProcessId { pid: child.id(), start_time };
        assert!(id.is_alive());
        let pid = Pid::from_raw(id.pid.cast_signed()).unwrap();
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        drop(child.stdin.take());
        let mut wait = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut wait, None).unwrap();
        assert!(!id.is_alive(), "ended but not yet reaped");
        child.wait().unwrap();
    }
}
