//! What differs in a working directory: `git status` over untrusted files.
//!
//! libgit2's own scan would open a named pipe called `.gitignore` and never return, and maps files into memory; this
//! one uses [`Workdir`] and asks libgit2 only for the ignore rules and the staged difference.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use git2::{DiffOptions, IndexEntry, ObjectType, Oid};
use nix::sys::stat::FileStat;

use super::checkout::{Checkout, Head};
use super::error::{GitError, Result};
use super::workdir::{Content, Workdir, stat_in};

/// Counting stops here; a worker that makes more untracked files than this has made "many".
pub(super) const MAX_COUNTED: usize = 100_000;
/// Directory entries looked at before giving up on a tree.
const MAX_VISITED: usize = 2_000_000;
/// A changed file bigger than this is taken as changed without hashing it.
const MAX_HASHED: u64 = 64 * 1024 * 1024;

/// Bit of an index entry whose file a sparse checkout leaves out.
const SKIP_WORKTREE: u16 = 1 << 14;

/// How a file differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// Content or mode is another.
    Modified,
    /// It is gone.
    Deleted,
    /// It became a link, or a link became a file.
    TypeChanged,
    /// A merge left it undecided.
    Conflicted,
}

impl ChangeKind {
    /// The letter that `git status --short` has for it.
    pub const fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Modified => 'M',
            Self::Deleted => 'D',
            Self::TypeChanged => 'T',
            Self::Conflicted => 'U',
        }
    }

    fn of(delta: git2::Delta) -> Self {
        match delta {
            git2::Delta::Added | git2::Delta::Copied => Self::Added,
            git2::Delta::Deleted => Self::Deleted,
            git2::Delta::Typechange => Self::TypeChanged,
            git2::Delta::Conflicted => Self::Conflicted,
            _ => Self::Modified,
        }
    }
}

/// Paths that differ.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// What the index has and HEAD has otherwise.
    pub staged: BTreeMap<Vec<u8>, ChangeKind>,
    /// What the files have and the index has otherwise.
    pub unstaged: BTreeMap<Vec<u8>, ChangeKind>,
    /// Tracked files that are changed, staged, deleted or in conflict.
    pub dirty: HashSet<Vec<u8>>,
    /// Files (and nested repositories, each as one) that git neither knows nor ignores.
    pub untracked: Vec<Vec<u8>>,
    /// Whether something was not looked at because there was too much.
    pub incomplete: bool,
}

struct Scan<'a> {
    checkout: &'a Checkout,
    workdir: Workdir,
    tracked: BTreeMap<Vec<u8>, IndexEntry>,
    index_time: i64,
    trust_mode: bool,
    visited: usize,
    status: Status,
}

/// Reads the status of a checkout.
pub(super) fn status(checkout: &Checkout, head: &Head) -> Result<Status> {
    let fail = |e| GitError::git("reading the status", &checkout.workdir, e);
    let index = checkout.repo.index().map_err(fail)?;
    let mut status = Status::default();
    let tree = head
        .oid
        .map(|oid| checkout.repo.find_commit(oid).and_then(|c| c.tree()))
        .transpose()
        .map_err(fail)?;
    let mut options = DiffOptions::new();
    options.ignore_submodules(true).skip_binary_check(true);
    let staged =
        checkout.repo.diff_tree_to_index(tree.as_ref(), Some(&index), Some(&mut options)).map_err(fail)?;
    for delta in staged.deltas() {
        let files = [delta.old_file(), delta.new_file()];
        let paths = files.iter().filter_map(|f| f.path_bytes()).map(<[u8]>::to_vec);
        status.staged.extend(paths.map(|path| (path, ChangeKind::of(delta.status()))));
    }
    status.dirty.extend(status.staged.keys().cloned());
    let index_time = index.path().and_then(|p| fs::metadata(p).ok()).map_or(0, |m| m.mtime());
    let tracked = index.iter().map(|e| (e.path.clone(), e)).collect();
    let workdir = Workdir::open(&checkout.workdir)?;
    let trust_mode = checkout.repo.config().and_then(|c| c.get_bool("core.filemode")).unwrap_or(true);
    let mut scan = Scan { checkout, workdir, tracked, index_time, trust_mode, visited: 0, status };
    scan.run()?;
    Ok(scan.status)
}

impl Scan<'_> {
    fn run(&mut self) -> Result<()> {
        let mut seen = HashSet::with_capacity(self.tracked.len());
        let mut pending = vec![Vec::new()];
        while let Some(directory) = pending.pop() {
            let Ok(mut dir) = self.workdir.dir(&directory) else {
                self.status.incomplete = true;
                continue;
            };
            let names: Vec<Vec<u8>> =
                dir.iter().flatten().map(|e| e.file_name().to_bytes().to_vec()).collect();
            self.require_readable_rules(&directory, &names)?;
            for name in names.iter().filter(|name| !matches!(name.as_slice(), b"." | b".." | b".git")) {
                let path = join(&directory, name);
                self.visited += 1;
                if self.visited > MAX_VISITED {
                    self.status.incomplete = true;
                    return Ok(());
                }
                let stat =
                    stat_in(&dir, name).map_err(|e| GitError::io("reading", &self.workdir.full(&path), e))?;
                let Some(stat) = stat else { continue };
                if self.tracked.contains_key(&path) {
                    self.compare(&path, &stat);
                    seen.insert(path);
                } else if is_dir(&stat) {
                    self.enter(path, &mut pending);
                } else {
                    self.untracked(path);
                }
            }
        }
        // A file left out by a sparse checkout is not a deleted one.
        let expected = |e: &IndexEntry| e.mode != 0o160_000 && e.flags_extended & SKIP_WORKTREE == 0;
        let missing = self.tracked.iter().filter(|(path, e)| !seen.contains(*path) && expected(e));
        let missing: Vec<_> = missing.map(|(path, _)| path.clone()).collect();
        self.status.unstaged.extend(missing.iter().map(|path| (path.clone(), ChangeKind::Deleted)));
        self.status.dirty.extend(missing);
        Ok(())
    }

    /// libgit2 opens these files itself and would wait for ever on a pipe.
    fn require_readable_rules(&self, directory: &[u8], names: &[Vec<u8>]) -> Result<()> {
        for name in names.iter().filter(|n| matches!(n.as_slice(), b".gitignore" | b".gitattributes")) {
            let path = self.workdir.full(&join(directory, name));
            if fs::metadata(&path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
                return Err(GitError::SpecialFile { path });
            }
        }
        Ok(())
    }

    fn enter(&mut self, path: Vec<u8>, pending: &mut Vec<Vec<u8>>) {
        let prefix = join(&path, b"");
        let holds_tracked =
            self.tracked.range(prefix.clone()..).next().is_some_and(|(p, _)| p.starts_with(&prefix));
        if holds_tracked {
            return pending.push(path);
        }
        if self.is_ignored(&prefix) {
            return;
        }
        if matches!(self.workdir.content(&join(&path, b".git"), 0), Content::Missing) {
            pending.push(path);
        } else {
            self.status.untracked.push(path);
        }
    }

    fn untracked(&mut self, path: Vec<u8>) {
        if self.status.untracked.len() >= MAX_COUNTED {
            self.status.incomplete = true;
        } else if !self.is_ignored(&path) {
            self.status.untracked.push(path);
        }
    }

    fn is_ignored(&self, path: &[u8]) -> bool {
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        self.checkout.repo.is_path_ignored(path).unwrap_or(false)
    }

    fn compare(&mut self, path: &[u8], stat: &FileStat) {
        let Some(entry) = self.tracked.get(path) else { return };
        if entry.mode == 0o160_000 {
            return; // another repository's business
        }
        let unchanged = i64::from(entry.mtime.seconds()) < self.index_time
            && entry.file_size == stat.st_size as u32
            && entry.mtime.seconds() == stat.st_mtime as i32
            && entry.ctime.seconds() == stat.st_ctime as i32
            && (entry.mtime.nanoseconds() == 0 || i64::from(entry.mtime.nanoseconds()) == stat.st_mtime_nsec)
            && entry.ino == stat.st_ino as u32;
        if !same_mode(stat, entry.mode, self.trust_mode) || (!unchanged && !self.same_content(path, entry)) {
            let kind = |mode: u32| mode & libc::S_IFMT;
            let other_kind = mode_of(stat).is_none_or(|found| kind(found) != kind(entry.mode));
            let change = if other_kind { ChangeKind::TypeChanged } else { ChangeKind::Modified };
            self.status.unstaged.insert(path.to_vec(), change);
            self.status.dirty.insert(path.to_vec());
        }
    }

    fn same_content(&self, path: &[u8], entry: &IndexEntry) -> bool {
        let Content::Bytes(bytes) = self.workdir.content(path, MAX_HASHED) else { return false };
        let is = |bytes: &[u8]| Oid::hash_object(ObjectType::Blob, bytes).is_ok_and(|oid| oid == entry.id);
        is(&bytes) || (converts_lines(self.checkout, path) && is(&without_carriage_returns(&bytes)))
    }
}

/// Whether git would store this file with other line ends than it has on disk.
fn converts_lines(checkout: &Checkout, path: &[u8]) -> bool {
    let configured = checkout
        .repo
        .config()
        .and_then(|c| c.get_string("core.autocrlf"))
        .is_ok_and(|v| v.eq_ignore_ascii_case("true") || v.eq_ignore_ascii_case("input"));
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    let has = |name| {
        checkout.repo.get_attr(path, name, git2::AttrCheckFlags::FILE_THEN_INDEX).ok().flatten().is_some()
    };
    configured || has("text") || has("eol")
}

fn without_carriage_returns(bytes: &[u8]) -> Vec<u8> {
    let kept =
        |(at, byte): (usize, &u8)| (*byte != b'\r' || bytes.get(at + 1) != Some(&b'\n')).then_some(*byte);
    bytes.iter().enumerate().filter_map(kept).collect()
}

/// Without `core.fileMode` the executable bit on disk means nothing.
fn same_mode(stat: &FileStat, mode: u32, trust_mode: bool) -> bool {
    let plain = |mode: u32| if mode == 0o100_755 { 0o100_644 } else { mode };
    mode_of(stat).is_some_and(|found| found == mode || (!trust_mode && plain(found) == plain(mode)))
}

fn mode_of(stat: &FileStat) -> Option<u32> {
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFLNK => Some(0o120_000),
        libc::S_IFREG if stat.st_mode & 0o100 != 0 => Some(0o100_755),
        libc::S_IFREG => Some(0o100_644),
        _ => None,
    }
}

fn is_dir(stat: &FileStat) -> bool {
    stat.st_mode & libc::S_IFMT == libc::S_IFDIR
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}
