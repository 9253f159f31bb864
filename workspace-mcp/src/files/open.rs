//! Opening a regular file, and nothing else: a pipe would wait for its other end, a device may do anything.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, OFlags, Stat, fstat};
use rustix::io::Errno;

use crate::error::{Code, Problem, Result};
use crate::root::{RelPath, Root};

/// The regular file at `path`, and its state when it was opened.
///
/// # Errors
/// `not_found`, `not_a_file`, `path_outside_workspace` and what else the system says.
pub fn open_file(root: &Root, path: &RelPath) -> Result<(File, Stat)> {
    let fail = |errno| Problem::system("open", path, errno).field("path");
    // Without waiting: a pipe without a writer would.
    let fd = match root.open(path, OFlags::RDONLY | OFlags::NONBLOCK) {
        // A socket.
        Err(Errno::NXIO) => return Err(not_a_file(path, "a socket or a pipe")),
        result => result.map_err(fail)?,
    };
    let stat = fstat(&fd).map_err(fail)?;
    regular(path, fd, stat)
}

fn regular(path: &RelPath, fd: OwnedFd, stat: Stat) -> Result<(File, Stat)> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok((fd.into(), stat)),
        FileType::Directory => Err(not_a_file(path, "a directory")),
        FileType::Fifo => Err(not_a_file(path, "a pipe")),
        _ => Err(not_a_file(path, "a device")),
    }
}

fn not_a_file(path: &RelPath, kind: &str) -> Problem {
    Problem::new(Code::NotAFile, format!("{path} is {kind}")).field("path")
}

/// Bytes of a file's state.
pub fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}
