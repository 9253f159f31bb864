//! Being told that a limit was hit. The kernel wakes whoever polls an events file; v1 tells of memory through an eventfd
//! and, since Linux 6.11, of refused forks not at all, so that there alone a count is read once a second.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::CgroupError;
use super::group::Group;
use super::hierarchy::{Controller, Version};
use crate::sandbox::watched::watched;

/// Which limit was hit. The counts are in [`Group::refused_forks`] and [`Group::oom_kills`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitEvent {
    /// A fork was refused.
    ForkRefused,
    /// Memory ran out; the kernel kills something in the group now.
    OutOfMemory,
}

/// Tells of one group until dropped.
#[derive(Debug)]
pub struct LimitWatch {
    pids: PidsWatch,
    memory: MemoryWatch,
}

/// How often v1's count of refused forks is read.
const V1_PIDS_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum PidsWatch {
    V2(AsyncFd<File>),
    /// The file, with the last count.
    V1(File, u64),
}

#[derive(Debug)]
enum MemoryWatch {
    /// `memory.events`, with the last count of kills.
    V2(AsyncFd<File>, u64),
    V1(AsyncFd<File>),
}

impl LimitWatch {
    /// Starts watching; must be called within a tokio runtime.
    pub(super) fn new(group: &Group) -> Result<Self, CgroupError> {
        let pids = match group.version(Controller::Pids)? {
            Version::V2 => PidsWatch::V2(events_file(group, Controller::Pids, "pids.events")?),
            Version::V1 => {
                let refused = group.refused_forks()?;
                let path = group.path(Controller::Pids)?.join("pids.events");
                PidsWatch::V1(File::open(&path).map_err(CgroupError::io("watch", &path))?, refused)
            }
        };
        let memory = match group.version(Controller::Memory)? {
            Version::V2 => {
                let kills = group.oom_kills()?;
                MemoryWatch::V2(events_file(group, Controller::Memory, "memory.events")?, kills)
            }
            Version::V1 => MemoryWatch::V1(oom_eventfd(group)?),
        };
        Ok(Self { pids, memory })
    }

    /// Waits for the next event; several of a kind in a row may be told as one.
    ///
    /// # Errors
    /// When the group is gone.
    pub async fn next(&mut self) -> io::Result<LimitEvent> {
        tokio::select! {
            pids = self.pids.next() => pids.map(|()| LimitEvent::ForkRefused),
            memory = self.memory.next() => memory.map(|()| LimitEvent::OutOfMemory),
        }
    }
}

impl PidsWatch {
    async fn next(&mut self) -> io::Result<()> {
        match self {
            Self::V2(file) => changed(file).await.map(drop),
            Self::V1(file, refused) => loop {
                tokio::time::sleep(V1_PIDS_INTERVAL).await;
                let now = super::group::field(&read_again(file)?, "max").unwrap_or(*refused);
                if now != std::mem::replace(refused, now) {
                    return Ok(());
                }
            },
        }
    }
}

impl MemoryWatch {
    async fn next(&mut self) -> io::Result<()> {
        match self {
            Self::V1(eventfd) => loop {
                let mut guard = eventfd.readable().await?;
                let mut count = [0; 8];
                match guard.try_io(|fd| fd.get_ref().read_exact(&mut count)) {
                    Ok(read) => return read,
                    Err(_would_block) => {}
                }
            },
            // memory.events also tells of reclaim; only kills count.
            Self::V2(file, kills) => loop {
                let text = changed(file).await?;
                let now = super::group::field(&text, "oom_kill").unwrap_or(*kills);
                if now != std::mem::replace(kills, now) {
                    return Ok(());
                }
            },
        }
    }
}

/// Waits for a change of an events file; reading it is what makes the next change count.
async fn changed(file: &AsyncFd<File>) -> io::Result<String> {
    let mut guard = file.ready(Interest::PRIORITY).await?;
    guard.clear_ready();
    read_again(file.get_ref())
}

fn read_again(mut file: &File) -> io::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

fn events_file(group: &Group, controller: Controller, name: &str) -> Result<AsyncFd<File>, CgroupError> {
    let path = group.path(controller)?.join(name);
    let open = || {
        let file = File::open(&path)?;
        read_again(&file)?;
        watched(file, Interest::PRIORITY)
    };
    open().map_err(CgroupError::io("watch", &path))
}

/// v1: an eventfd registered for `memory.oom_control`.
fn oom_eventfd(group: &Group) -> Result<AsyncFd<File>, CgroupError> {
    let path = group.path(Controller::Memory)?.join("memory.oom_control");
    let register = || {
        // SAFETY: no pointers; the result is checked before it is used.
        let raw = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nobody else owns.
        let eventfd = unsafe { OwnedFd::from_raw_fd(raw) };
        let control = File::open(&path)?;
        let line = format!("{} {}", eventfd.as_raw_fd(), control.as_raw_fd());
        std::fs::write(path.with_file_name("cgroup.event_control"), line)?;
        watched(File::from(eventfd), Interest::READABLE)
    };
    register().map_err(CgroupError::io("watch", &path))
}
