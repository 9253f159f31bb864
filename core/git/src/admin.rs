//! A worktree's entry in the repository: `<common dir>/worktrees/<name>`.
//!
//! An entry is put together in a private directory and renamed into place whole, already `locked`, because `git gc`
//! removes at once any entry that lacks its `gitdir` file. While it is being made its marker file is locked (flock),
//! so that a half-made entry whose maker died can be told from one whose maker lives.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::error::{GitError, Result};
use super::lock::private_dir;
use super::refs;
use super::write::Stamp;

/// Marks an entry as made here; the name of the marker file.
const MARKER: &str = "sandboxed-sh.json";
/// Reason in git's own `locked` file while an entry is being made.
const MAKING: &str = "sandboxed-sh is making this worktree\n";
/// Files of an entry are small; a bigger one is not read.
const MAX_FILE: u64 = 64 * 1024;

/// What the marker records: enough to undo a creation that was cut short.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Marker {
    /// Final path of the worktree.
    pub path: PathBuf,
    /// Where the files are put together.
    pub staging: PathBuf,
    pub branch: String,
    pub base: String,
}

/// An entry being made; undo with [`undo`], or let stand with [`Entry::finish`].
pub(super) struct Entry {
    pub dir: PathBuf,
    _alive: Flock<File>,
}

/// The directory of the entry with this name.
pub(super) fn dir_of(common: &Path, name: &str) -> PathBuf {
    common.join("worktrees").join(name)
}

/// The file that links a worktree to its entry, as text.
pub(super) fn link_text(entry: &Path) -> Vec<u8> {
    [b"gitdir: ", entry.as_os_str().as_bytes(), b"\n"].concat()
}

impl Entry {
    /// Makes the entry of a worktree, not yet finished. The caller holds the repository's lock.
    pub(super) fn begin(repo: &Repository, name: &str, marker: &Marker, stamp: &Stamp) -> Result<Self> {
        let common = super::repository::trimmed(repo.commondir());
        for dir in ["objects", "refs/heads", "logs/refs/heads", "worktrees"] {
            let dir = common.join(dir);
            if !dir.is_dir() {
                fs::create_dir_all(&dir)
                    .and_then(|()| stamp.own(&dir))
                    .map_err(|e| GitError::io("creating", &dir, e))?;
            }
        }
        let staged = private_dir(&common)?.join(format!("new-{name}"));
        let dir = dir_of(&common, name);
        remove_dir(&staged)?;
        let alive =
            Self::write_files(repo, &staged, marker, stamp).map_err(|e| GitError::io("writing", &staged, e));
        let placed = alive.and_then(|alive| {
            fs::rename(&staged, &dir).map_err(|e| GitError::io("creating", &dir, e))?;
            Ok(alive)
        });
        match placed {
            Ok(alive) => Ok(Self { dir, _alive: alive }),
            Err(e) => {
                remove_dir(&staged)?;
                Err(e)
            }
        }
    }

    fn write_files(repo: &Repository, dir: &Path, marker: &Marker, stamp: &Stamp) -> io::Result<Flock<File>> {
        fs::create_dir_all(dir.join("logs"))?;
        let who = repo
            .signature()
            .map_or_else(|_| "sandboxed-sh <sandboxed-sh@localhost>".into(), |s| s.to_string());
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
        let log = format!("{} {} {who} {now} +0000\t\n", Oid::zero(), marker.base);
        let gitdir = [marker.path.as_os_str().as_bytes(), b"/.git\n"].concat();
        let head = format!("ref: {}\n", refs::full_name(&marker.branch));
        let base = format!("{}\n", marker.base);
        let files: [(&str, &[u8]); 6] = [
            ("locked", MAKING.as_bytes()),
            ("gitdir", &gitdir),
            ("commondir", b"../..\n"),
            ("HEAD", head.as_bytes()),
            ("ORIG_HEAD", base.as_bytes()),
            ("logs/HEAD", log.as_bytes()),
        ];
        for (name, content) in files {
            fs::write(dir.join(name), content)?;
            stamp.own(&dir.join(name))?;
        }
        let path = dir.join(MARKER);
        let mut file = File::create_new(&path)?;
        file.write_all(&serde_json::to_vec(marker)?)?;
        for path in [dir.to_owned(), dir.join("logs"), path] {
            stamp.own(&path)?;
        }
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno.into())
    }

    /// The worktree is whole: from here on git sees an ordinary one.
    pub(super) fn finish(self) -> Result<()> {
        let locked = self.dir.join("locked");
        fs::remove_file(&locked).map_err(|e| GitError::io("unlocking", &locked, e))
    }
}

/// The state of an entry that may have been left half-made.
pub(super) enum Found {
    /// There is no such entry.
    Absent,
    /// Not ours, or finished.
    Standing,
    /// Being made by a live process.
    InTheMaking,
    /// Its maker died before it was finished.
    HalfMade(Box<Marker>),
}

/// Looks at the entry `name` without changing it.
pub(super) fn look(common: &Path, name: &str) -> Found {
    let dir = dir_of(common, name);
    if fs::symlink_metadata(&dir).is_err() {
        return Found::Absent;
    }
    let making = read_small(&dir.join("locked")).is_ok_and(|text| text == MAKING.as_bytes());
    let marker =
        read_small(&dir.join(MARKER)).ok().and_then(|text| serde_json::from_slice::<Marker>(&text).ok());
    let (true, Some(marker)) = (making, marker) else { return Found::Standing };
    let Ok(file) = File::open(dir.join(MARKER)) else { return Found::Standing };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_) => Found::HalfMade(Box::new(marker)),
        Err(_) => Found::InTheMaking,
    }
}

/// Undoes a creation: files, branch, entry. Only what the creation made; the caller holds the repository's lock.
pub(super) fn undo(repo: &Repository, root: &Path, name: &str, marker: &Marker) -> Result<()> {
    let dir = dir_of(&super::repository::trimmed(repo.commondir()), name);
    let link = link_text(&dir);
    for path in [&marker.staging, &marker.path] {
        // Either never handed to anybody: `locked` goes away before a worktree is.
        let ours = read_small(&path.join(".git")).is_ok_and(|text| text == link);
        if ours || (path == &marker.staging && path.exists()) {
            remove_dir(path)?;
        }
    }
    if let Ok(base) = Oid::from_str(&marker.base) {
        refs::delete_branch_at(repo, root, &marker.branch, base)?;
    }
    remove_dir(&dir)
}

/// Removes a directory tree that may not be there.
pub(super) fn remove_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(GitError::io("removing", dir, e)),
        _ => Ok(()),
    }
}

/// Reads a small plain file; anything else (a link, a pipe, something huge) is an error.
pub(super) fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    let file =
        fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a plain file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too large"));
    }
    Ok(bytes)
}
