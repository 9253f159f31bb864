//! Reading a directory tree that somebody else may be changing with ill intent.
//!
//! Every name is resolved beneath the top directory and never through a symbolic link, so that no trick with links
//! shows a file from elsewhere; only plain files are opened, so that a named pipe cannot hold the reader; and bytes are
//! read, never mapped, so that a file cut short meanwhile cannot end the daemon.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat2, readlinkat};
use nix::sys::stat::{FileStat, Mode, fstatat};

use super::error::{GitError, Result};

/// The top directory of a tree.
pub(super) struct Workdir {
    top: OwnedFd,
    path: PathBuf,
}

/// What a name stands for.
pub(super) enum Content {
    Missing,
    /// The bytes of a file, or the target of a symbolic link.
    Bytes(Vec<u8>),
    /// Bigger than asked for.
    TooLarge,
    /// A directory, pipe, socket or device.
    Other,
}

impl Workdir {
    /// Opens the top directory, which must not be a symbolic link itself.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let top = open(path, flags, Mode::empty()).map_err(|e| GitError::io("opening", path, e.into()))?;
        Ok(Self { top, path: path.to_owned() })
    }

    /// A path below the top, for messages.
    pub(super) fn full(&self, relative: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(relative))
    }

    fn open_beneath(&self, relative: &[u8], flags: OFlag) -> nix::Result<OwnedFd> {
        let relative: &[u8] = if relative.is_empty() { b"." } else { relative };
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        loop {
            match openat2(self.top.as_fd(), relative, how) {
                // The kernel asks to try again when something moved while it looked.
                Err(Errno::EAGAIN) => {}
                other => return other,
            }
        }
    }

    /// A directory below the top.
    pub(super) fn dir(&self, relative: &[u8]) -> nix::Result<Dir> {
        Dir::from_fd(self.open_beneath(relative, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?)
    }

    /// The content of a name, at most `max` bytes of it.
    pub(super) fn content(&self, relative: &[u8], max: u64) -> Content {
        let at = relative.iter().rposition(|b| *b == b'/');
        let (parent, name) = at.map_or((&b""[..], relative), |at| (&relative[..at], &relative[at + 1..]));
        let Ok(dir) = self.open_beneath(parent, OFlag::O_RDONLY | OFlag::O_DIRECTORY) else {
            return Content::Missing;
        };
        let Ok(stat) = fstatat(dir.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW) else {
            return Content::Missing;
        };
        match stat.st_mode & libc::S_IFMT {
            libc::S_IFLNK => readlinkat(dir.as_fd(), name)
                .map_or(Content::Missing, |target| Content::Bytes(target.into_vec())),
            libc::S_IFREG if stat.st_size as u64 > max => Content::TooLarge,
            libc::S_IFREG => match self.open_beneath(relative, OFlag::O_RDONLY) {
                Ok(fd) => read_bounded(File::from(fd), max),
                Err(_) => Content::Missing,
            },
            _ => Content::Other,
        }
    }
}

fn read_bounded(file: File, max: u64) -> Content {
    match file.metadata() {
        Ok(meta) if meta.is_file() => {}
        _ => return Content::Other,
    }
    let mut bytes = Vec::new();
    match file.take(max + 1).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 > max => Content::TooLarge,
        Ok(_) => Content::Bytes(bytes),
        Err(_) => Content::Missing,
    }
}

/// Stat of a name in an open directory, links not followed; none when it is gone.
pub(super) fn stat_in(dir: &Dir, name: &[u8]) -> io::Result<Option<FileStat>> {
    match fstatat(dir.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}
