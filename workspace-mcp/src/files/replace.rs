//! Replacing a file whole: readers see the old content or the new one, never a part, and a failure leaves the old one.
//!
//! Nothing is forced to disk: this guards against readers and crashes of programs, not against a power cut.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fchmod, fchown, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use crate::error::{Code, Problem, Result};
use crate::root::{RelPath, Root};

/// What a replaced file was, or that there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// There was none; one that has appeared since is not replaced.
    Missing,
    /// Whatever there is.
    Anything,
    /// The file of this state; another one is not replaced.
    Known(Version),
}

/// By what a change of a file shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    inode: u64,
    size: i64,
    modified: (i64, i64),
}

impl Version {
    /// Of a file's state.
    pub fn of(stat: &Stat) -> Self {
        let modified = (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or_default());
        Self { inode: stat.st_ino, size: stat.st_size, modified }
    }
}

/// Puts `content` at `path`, with mode and owner of the file that was there. Whether there was one.
///
/// # Errors
/// `already_exists`, `changed_meanwhile`, `not_a_file` and what the system says; the old content is then untouched.
pub fn replace(root: &Root, path: &RelPath, content: &[u8], before: Before) -> Result<bool> {
    let path = root.follow(path)?;
    let fail = |errno: Errno| Problem::system("write", &path, errno).field("path");
    if let Some(parent) = path.parent() {
        root.make_dirs(&parent).map_err(fail)?;
    }
    let (parent, name) = root.parent(&path).map_err(fail)?;
    let old = existing(parent.as_fd(), name).map_err(fail)?;
    if let Some(stat) = &old
        && FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
    {
        return Err(Problem::new(Code::NotAFile, format!("{path} is no regular file")).field("path"));
    }
    let temporary = temporary_name(name);
    let written = write_temporary(parent.as_fd(), &temporary, content, old.as_ref());
    let put = written.map_err(|error| Problem::system("write", &path, error).field("path")).and_then(|()| {
        check(parent.as_fd(), name, &path, before)?;
        renameat(&parent, &temporary, &parent, name).map_err(fail)
    });
    if let Err(problem) = put {
        let _ = unlinkat(&parent, &temporary, AtFlags::empty());
        return Err(problem);
    }
    Ok(old.is_some())
}

/// The state of what has this name; none when nothing has.
pub fn existing(parent: BorrowedFd<'_>, name: &OsStr) -> Result<Option<Stat>, Errno> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Looks again just before the renaming. What changes after this look is lost; no call of the kernel compares and
/// renames.
fn check(parent: BorrowedFd<'_>, name: &OsStr, path: &RelPath, before: Before) -> Result<()> {
    let now = existing(parent, name).map_err(|errno| Problem::system("look at", path, errno))?;
    match before {
        Before::Anything => Ok(()),
        Before::Missing if now.is_none() => Ok(()),
        Before::Missing => Err(already_there(path)),
        Before::Known(version) if now.as_ref().map(Version::of) == Some(version) => Ok(()),
        Before::Known(_) => {
            let message = format!("{path} was changed by somebody else in this moment");
            Err(Problem::new(Code::ChangedMeanwhile, message).field("path"))
        }
    }
}

/// Something is at a path at which nothing may be.
pub fn already_there(path: &RelPath) -> Problem {
    let problem = Problem::new(Code::AlreadyExists, format!("{path} is there already"));
    problem.field("path").hint("choose another path; write_file without mode replaces what is there")
}

/// Beside the file, so that the renaming stays in one file system. Unique by random bits.
fn temporary_name(name: &OsStr) -> OsString {
    let mut bits = [0; 8];
    // Without randomness the process's number still keeps two servers apart; the file is made exclusively.
    let _ = rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::NONBLOCK);
    let mut short: Vec<u8> = name.as_encoded_bytes().iter().copied().take(100).collect();
    // A cut in the middle of a character makes no name that some file systems take.
    while std::str::from_utf8(&short).is_err() && !short.is_empty() {
        short.pop();
    }
    let short = String::from_utf8_lossy(&short).into_owned();
    format!(".{short}.{:016x}.{}.new", u64::from_le_bytes(bits), std::process::id()).into()
}

fn write_temporary(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    content: &[u8],
    old: Option<&Stat>,
) -> std::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(if old.is_some() { 0o600 } else { 0o666 });
    let mut file = File::from(openat(parent, name, flags, mode)?);
    file.write_all(content)?;
    if let Some(old) = old {
        // Another's file stays the other's where this user may give it back; else it becomes this user's own.
        let _ = fchown(&file, Some(Uid::from_raw(old.st_uid)), Some(Gid::from_raw(old.st_gid)));
        fchmod(&file, Mode::from_raw_mode(old.st_mode & 0o7777))?;
    }
    Ok(())
}
