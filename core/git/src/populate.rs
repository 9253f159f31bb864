//! Filling a directory with the files of a tree, fast.
//!
//! Creating files is the cost, so a few threads share it. A file's bytes come from the main checkout where stat data
//! proves that the file there is clean (a plain copy beats inflating a blob; on file systems that can, big files share
//! their blocks), else from the object database. No hard links: an edit in place would reach the other tree. A tree
//! whose files are not simply its blobs goes through libgit2's checkout.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use git2::build::CheckoutBuilder;
use git2::{Index, IndexEntry, Oid, Repository, TreeWalkMode, TreeWalkResult};

use super::attributes;
use super::error::{GitError, Result};
use super::repository;
use super::write::{self, Stamp};

/// Beyond this many threads the file system's own locks are the limit.
const MAX_THREADS: usize = 8;
/// Files that a thread takes at a time: mostly one directory's, so that threads seldom meet in one.
const CHUNK: usize = 64;

/// One file, link or submodule of a tree.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Path from the top, as in the index.
    pub path: Vec<u8>,
    pub oid: Oid,
    pub mode: u32,
}

impl Item {
    /// Whether it is another repository's commit.
    pub(super) fn is_submodule(&self) -> bool {
        self.mode == 0o160_000
    }

    /// Last component of the path.
    pub(super) fn file_name(&self) -> &[u8] {
        self.path.rsplit(|b| *b == b'/').next().unwrap_or(&self.path)
    }

    fn is_link(&self) -> bool {
        self.mode == 0o120_000
    }

    fn under(&self, root: &Path) -> PathBuf {
        root.join(std::ffi::OsStr::from_bytes(&self.path))
    }
}

/// Where the files come from and whom they belong to.
pub(super) struct Source<'a> {
    /// Top directory of the checkout that `repo_root` names.
    pub root: &'a Path,
    pub repo: &'a Repository,
    pub commit: Oid,
    pub stamp: Stamp,
}

/// Fills the existing, empty directory `into` and writes the matching index to `index_path`.
pub(super) fn populate(source: &Source<'_>, into: &Path, index_path: &Path) -> Result<()> {
    let fail = |e| GitError::git("reading the commit's files", source.root, e);
    let tree = source.repo.find_commit(source.commit).and_then(|c| c.tree()).map_err(fail)?;
    let items = list(&tree).map_err(fail)?;
    if !legal(&items) || attributes::needs_checkout(source.repo, &items) {
        return plain_checkout(source, into, index_path);
    }
    make_directories(&items, into, &source.stamp)?;
    let clean = clean_entries(source.repo);
    let entries = write_files(source, &items, &clean, into)?;
    write_index(entries, index_path).map_err(|e| GitError::git("writing the index", index_path, e))?;
    own(&source.stamp, index_path)
}

fn own(stamp: &Stamp, path: &Path) -> Result<()> {
    stamp.own(path).map_err(|e| GitError::io("giving to the repository's owner", path, e))
}

fn list(tree: &git2::Tree<'_>) -> std::result::Result<Vec<Item>, git2::Error> {
    let mut items = Vec::new();
    tree.walk(TreeWalkMode::PreOrder, |dir, entry| {
        if entry.kind() != Some(git2::ObjectType::Tree) {
            let mut path = dir.as_bytes().to_vec();
            path.extend_from_slice(entry.name_bytes());
            items.push(Item { path, oid: entry.id(), mode: normal_mode(entry.filemode()) });
        }
        TreeWalkResult::Ok
    })?;
    Ok(items)
}

/// Old trees hold modes such as 100664; the index knows only these.
fn normal_mode(mode: i32) -> u32 {
    match mode {
        0o120_000 => 0o120_000,
        0o160_000 => 0o160_000,
        mode if mode & 0o100 != 0 => 0o100_755,
        _ => 0o100_644,
    }
}

/// Names that could leave the directory or reach a `.git`. libgit2's checkout knows how to refuse each.
fn legal(items: &[Item]) -> bool {
    let plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.eq_ignore_ascii_case(b".git");
    items.iter().all(|item| item.path.split(|b| *b == b'/').all(plain))
}

fn make_directories(items: &[Item], into: &Path, stamp: &Stamp) -> Result<()> {
    let mut made: HashSet<&[u8]> = HashSet::new();
    for item in items {
        for (at, _) in item.path.iter().enumerate().filter(|(_, b)| **b == b'/') {
            if made.insert(&item.path[..at]) {
                let dir = into.join(std::ffi::OsStr::from_bytes(&item.path[..at]));
                fs::create_dir(&dir)
                    .and_then(|()| stamp.own(&dir))
                    .map_err(|e| GitError::io("creating", &dir, e))?;
            }
        }
    }
    Ok(())
}

/// Entries of the main checkout's index whose stat data proves something: written before the index was, so that a
/// later change cannot have the same time.
fn clean_entries(repo: &Repository) -> HashMap<Vec<u8>, IndexEntry> {
    const ASSUME_VALID: u16 = 0x8000;
    let Ok(index) = repo.index() else { return HashMap::new() };
    let written = index.path().and_then(|p| fs::metadata(p).ok()).map_or(0, |m| {
        use std::os::unix::fs::MetadataExt;
        m.mtime()
    });
    index
        .iter()
        .filter(|e| i64::from(e.mtime.seconds()) < written && i64::from(e.ctime.seconds()) < written)
        .filter(|e| e.flags & ASSUME_VALID == 0 && e.flags_extended == 0 && e.file_size > 0)
        .map(|e| (e.path.clone(), e))
        .collect()
}

fn write_files(
    source: &Source<'_>,
    items: &[Item],
    clean: &HashMap<Vec<u8>, IndexEntry>,
    into: &Path,
) -> Result<Vec<IndexEntry>> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let (root, stamp) = (source.root, source.stamp);
    let job = || Job { root, stamp, clean, into, repo: None, buffer: Vec::new() }.run(items, &next);
    let parts: Vec<Result<Vec<(usize, IndexEntry)>>> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(job)).collect();
        let mut parts = vec![job()];
        parts.extend(others.into_iter().map(|handle| match handle.join() {
            Ok(part) => part,
            Err(panic) => std::panic::resume_unwind(panic),
        }));
        parts
    });
    let mut entries = Vec::with_capacity(items.len());
    for part in parts {
        entries.extend(part?);
    }
    entries.sort_unstable_by_key(|(at, _)| *at);
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

/// One thread's share of the work. libgit2's handles stay in their thread.
struct Job<'a> {
    root: &'a Path,
    stamp: Stamp,
    clean: &'a HashMap<Vec<u8>, IndexEntry>,
    into: &'a Path,
    repo: Option<Repository>,
    buffer: Vec<u8>,
}

impl Job<'_> {
    fn run(mut self, items: &[Item], next: &AtomicUsize) -> Result<Vec<(usize, IndexEntry)>> {
        let mut entries = Vec::new();
        loop {
            let start = next.fetch_add(CHUNK, Ordering::Relaxed);
            if start >= items.len() {
                return Ok(entries);
            }
            for (at, item) in items.iter().enumerate().skip(start).take(CHUNK) {
                match self.write(item) {
                    Ok(entry) => entries.push((at, entry)),
                    Err(e) => {
                        next.store(items.len(), Ordering::Relaxed);
                        return Err(e);
                    }
                }
            }
        }
    }

    fn write(&mut self, item: &Item) -> Result<IndexEntry> {
        let path = item.under(self.into);
        let failed = |e| GitError::io("writing", &path, e);
        let known =
            self.clean.get(&item.path).filter(|e| e.id == item.oid && e.mode == item.mode && !item.is_link());
        if let Some(known) = known {
            let from = item.under(self.root);
            let copied =
                write::copy_if_same(&from, known, &path, &mut self.buffer, &self.stamp).map_err(failed)?;
            if let Some(meta) = copied {
                return Ok(write::entry(item.path.clone(), item.oid, item.mode, &meta));
            }
        }
        let repo = match &mut self.repo {
            Some(repo) => repo,
            none => none.insert(repository::open(self.root)?),
        };
        let blob =
            repo.find_blob(item.oid).map_err(|e| GitError::git("reading a file's blob", self.root, e))?;
        let meta = if item.is_link() {
            write::write_link(&path, blob.content(), &self.stamp)
        } else {
            write::write_new(&path, item.mode, blob.content(), &self.stamp)
        };
        Ok(write::entry(item.path.clone(), item.oid, item.mode, &meta.map_err(failed)?))
    }
}

fn write_index(entries: Vec<IndexEntry>, path: &Path) -> std::result::Result<(), git2::Error> {
    let mut index = Index::open(path)?;
    for entry in &entries {
        index.add(entry)?;
    }
    index.write()
}

fn plain_checkout(source: &Source<'_>, into: &Path, index_path: &Path) -> Result<()> {
    let run = || {
        // A handle of its own: the working directory and the index are swapped in memory only.
        let repo = Repository::open(source.repo.commondir())?;
        repo.set_workdir(into, false)?;
        let mut index = Index::open(index_path)?;
        repo.set_index(&mut index)?;
        let object = repo.find_object(source.commit, None)?;
        repo.checkout_tree(&object, Some(CheckoutBuilder::new().force()))?;
        index.write()
    };
    run().map_err(|e| GitError::git("checking out", into, e))?;
    own_all(&source.stamp, into)?;
    own(&source.stamp, index_path)
}

fn own_all(stamp: &Stamp, dir: &Path) -> Result<()> {
    let failed = |e| GitError::io("reading", dir, e);
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        own(stamp, &entry.path())?;
        if entry.file_type().map_err(failed)?.is_dir() {
            own_all(stamp, &entry.path())?;
        }
    }
    Ok(())
}
