//! The root itself, opening below it, and the parent of an entry.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, mkdirat, open, openat2, readlinkat, statat,
};
use rustix::io::Errno;

use super::RelPath;
use crate::error::{Code, Problem, Result};

/// What this program keeps in the workspace. It ignores itself for git.
pub const STATE_DIR: &str = ".workspace-mcp";
/// Where deleted files go.
pub const TRASH: &str = ".workspace-mcp/trash";
/// What only this program writes.
const JOBS: &str = ".workspace-mcp/jobs";
/// How often a resolution that met somebody's renaming is tried again.
const RETRIES: usize = 100;
/// Symbolic links followed to the file that they mean, as the kernel does.
const MAX_LINKS: usize = 40;
/// Mode of new files and directories before the umask.
pub const FILE_MODE: Mode = Mode::from_raw_mode(0o666);
const DIR_MODE: Mode = Mode::from_raw_mode(0o777);

/// The workspace's directory.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
    path: PathBuf,
    given: PathBuf,
}

impl Root {
    /// Opens a directory as root.
    ///
    /// # Errors
    /// When it is not there, or the kernel does not know `openat2`.
    pub fn new(given: &Path) -> std::io::Result<Self> {
        let given = std::path::absolute(given)?;
        let path = given.canonicalize()?;
        let dir = open(&path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let root = Self { dir, path, given };
        root.open(&RelPath::own(""), OFlags::PATH | OFlags::DIRECTORY)?;
        Ok(root)
    }

    /// Its real path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a path of it is in the whole file system.
    pub fn whole(&self, path: &RelPath) -> PathBuf {
        if path.is_root() { self.path.clone() } else { self.path.join(path.as_path()) }
    }

    /// A client's path; see [`RelPath::parse`].
    pub fn relative(&self, field: &str, text: &str) -> Result<RelPath> {
        RelPath::parse(field, text, &[&self.path, &self.given])
    }

    /// A client's path that is to be changed: not the root, and nothing that this program keeps for itself.
    pub fn changeable(&self, field: &str, text: &str) -> Result<RelPath> {
        let path = self.relative(field, text)?;
        if path.is_root() {
            return Err(Problem::invalid(field, "the workspace's own directory cannot be changed"));
        }
        if path.as_path() == Path::new(STATE_DIR) || path.is_within(JOBS) {
            return Err(Problem::invalid(field, format!("{path} belongs to workspace-mcp"))
                .hint("jobs go by themselves when newer ones need their place"));
        }
        Ok(path)
    }

    /// Opens what is at `path`. Symbolic links are followed as long as they stay below the root.
    pub fn open(&self, path: &RelPath, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.open_with(path, flags, Mode::empty(), ResolveFlags::empty())
    }

    /// Opens what is at `path`, when no part of it is a symbolic link.
    pub fn open_plain(&self, path: &RelPath, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.open_with(path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
    }

    /// Opens or makes a file with the usual mode.
    pub fn create(&self, path: &RelPath, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.open_with(path, flags | OFlags::CREATE, FILE_MODE, ResolveFlags::empty())
    }

    fn open_with(
        &self,
        path: &RelPath,
        flags: OFlags,
        mode: Mode,
        resolve: ResolveFlags,
    ) -> Result<OwnedFd, Errno> {
        let mut flags = flags | OFlags::CLOEXEC;
        // Refused together.
        if !flags.contains(OFlags::PATH) {
            flags |= OFlags::NOCTTY;
        }
        let resolve = resolve | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..RETRIES {
            match openat2(&self.dir, path.as_path(), flags, mode, resolve) {
                // Something on the way was renamed while the kernel walked: it cannot say that it stayed below.
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }

    /// The open directory that holds `path`, and the name in it. Symbolic links before the name are followed, the name
    /// itself is not.
    pub fn parent<'a>(&self, path: &'a RelPath) -> Result<(OwnedFd, &'a OsStr), Errno> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else { return Err(Errno::ISDIR) };
        Ok((self.open(&parent, OFlags::PATH | OFlags::DIRECTORY)?, name))
    }

    /// What is at `path`, a symbolic link itself and not what it means.
    pub fn stat(&self, path: &RelPath) -> Result<Stat, Errno> {
        if path.is_root() {
            return rustix::fs::fstat(&self.dir);
        }
        let (parent, name) = self.parent(path)?;
        statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// The same place without symbolic links, as far as the system tells; for a walk, which follows none.
    pub fn real(&self, path: &RelPath) -> Result<RelPath, Errno> {
        let fd = self.open(path, OFlags::PATH)?;
        let seen = readlinkat(rustix::fs::CWD, format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new());
        let seen = seen.ok().map(|seen| PathBuf::from(OsStr::from_bytes(seen.to_bytes())));
        let below = seen.and_then(|seen| seen.strip_prefix(&self.path).ok().map(RelPath::own));
        Ok(below.unwrap_or_else(|| path.clone()))
    }

    /// Makes the directory `path` and those above it.
    pub fn make_dirs(&self, path: &RelPath) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self.open(path, flags) {
            Err(Errno::NOENT) => {}
            result => return result,
        }
        let mut so_far = RelPath::own("");
        let mut dir = self.open(&so_far, flags)?;
        for name in path.as_path() {
            so_far = so_far.join(name);
            dir = match self.open(&so_far, flags) {
                Err(Errno::NOENT) => {
                    match mkdirat(&dir, name, DIR_MODE) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(error),
                    }
                    self.open(&so_far, flags)?
                }
                result => result?,
            };
        }
        Ok(dir)
    }

    /// Follows symbolic links at the end of `path`, so that the file that they mean is replaced and not the link.
    pub fn follow(&self, path: &RelPath) -> Result<RelPath> {
        let mut path = path.clone();
        for _ in 0..MAX_LINKS {
            match self.stat(&path) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {}
                _ => return Ok(path),
            }
            let fail = |errno| Problem::system("follow", &path, errno);
            let (parent, name) = self.parent(&path).map_err(fail)?;
            let target = readlinkat(parent, name, Vec::new()).map_err(fail)?;
            let target = target.to_string_lossy();
            let outside = Problem::system("follow", &path, Errno::XDEV);
            // The kernel refuses absolute links too, wherever they lead.
            let above = path.parent().filter(|_| !target.starts_with('/')).ok_or_else(|| outside.clone())?;
            path = RelPath::parse("path", &above.join(&*target).to_string(), &[&self.path])
                .map_err(|_| outside)?;
        }
        Err(Problem::new(Code::IoError, format!("{path}: too many symbolic links")))
    }
}
