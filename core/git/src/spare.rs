//! Trees made ready in advance. Creating thousands of files takes tens of milliseconds on any ordinary file system;
//! moving a directory takes microseconds. A spare is a directory with a commit's files and the index that fits them
//! (a directory's rename leaves its files' stat data alone), used once: it becomes the worktree.
//!
//! A spare lives under a directory that only the daemon can reach, keyed by repository and tree. Layout:
//! `<dir>/<key>/<id>/` for the files and `<dir>/<key>/<id>.index`, which is written last: no index, no spare.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use git2::Oid;
use sha2::{Digest, Sha256};

use super::admin::remove_dir;
use super::error::{GitError, Result};
use super::populate::{Source, populate};
use super::write::Stamp;
use super::{repository, worktree};

/// Makes names of spares unique within a process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A store of spares under one directory, on the file system where worktrees are made.
#[derive(Debug, Clone)]
pub struct Spares {
    dir: PathBuf,
}

impl Spares {
    /// Spares under `dir`, which only the daemon's user may enter.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where they are.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Brings the number of spares for `base` (HEAD when absent) to `count`; returns how many were made. Spares of this
    /// repository's other trees are removed: they fit nothing any more once the base has moved.
    ///
    /// # Errors
    /// The base is unknown, or a tree cannot be written; then nothing half-made is left.
    pub fn prepare(&self, repo_root: &Path, base: Option<&str>, count: usize) -> Result<usize> {
        let (repo, root) = repository::locate(repo_root)?;
        let commit = worktree::resolve_base(&repo, &root, base)?;
        let common = repository::trimmed(repo.commondir());
        let stamp = Stamp::for_repository(&common).map_err(|e| GitError::io("reading", &common, e))?;
        let source = Source { root: &root, repo: &repo, commit, stamp };
        let Some(home) = self.home(&source) else { return Ok(0) };
        self.make_private(&home)?;
        self.remove_others(&home)?;
        let missing = count.saturating_sub(ready(&home).len());
        for _ in 0..missing {
            make_one(&source, &home)?;
        }
        Ok(missing)
    }

    /// How many spares there are for a commit.
    pub fn ready(&self, repo_root: &Path, base: Option<&str>) -> Result<usize> {
        let (repo, root) = repository::locate(repo_root)?;
        let commit = worktree::resolve_base(&repo, &root, base)?;
        let common = repository::trimmed(repo.commondir());
        let stamp = Stamp::for_repository(&common).map_err(|e| GitError::io("reading", &common, e))?;
        Ok(self
            .home(&Source { root: &root, repo: &repo, commit, stamp })
            .map_or(0, |home| ready(&home).len()))
    }

    /// Removes all spares and whatever a crash left half-made.
    ///
    /// # Errors
    /// The directory cannot be removed.
    pub fn clear(&self) -> Result<()> {
        remove_dir(&self.dir)
    }

    /// Moves a spare to `into` and copies its index to `index`; says whether there was one. Whoever renames the index
    /// has the spare, so two takers never meet.
    pub(super) fn take(&self, source: &Source<'_>, into: &Path, index: &Path) -> bool {
        let Some(home) = self.home(source) else { return false };
        for found in ready(&home) {
            let taken = found.with_extension("taken");
            if fs::rename(&found, &taken).is_err() {
                continue;
            }
            let tree = found.with_extension("");
            let moved = fs::copy(&taken, index)
                .and_then(|_| source.stamp.own(index))
                .and_then(|()| fs::rename(&tree, into));
            let _ = fs::remove_file(&taken);
            if moved.is_ok() {
                return true;
            }
            let _ = fs::remove_file(index);
            let _ = fs::remove_dir_all(&tree);
        }
        false
    }

    /// The directory for this repository and tree.
    fn home(&self, source: &Source<'_>) -> Option<PathBuf> {
        let tree: Oid = source.repo.find_commit(source.commit).ok()?.tree_id();
        let repo = Sha256::digest(source.repo.commondir().as_os_str().as_encoded_bytes());
        let repo: String = repo.iter().take(8).map(|b| format!("{b:02x}")).collect();
        Some(self.dir.join(format!("{repo}-{tree}")))
    }

    /// A taker that loses a spare here has none, and writes its files itself.
    fn remove_others(&self, home: &Path) -> Result<()> {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(own) = name(home) else { return Ok(()) };
        let Some((repository, _)) = own.split_once('-') else { return Ok(()) };
        let entries = fs::read_dir(&self.dir).map_err(|e| GitError::io("reading", &self.dir, e))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            let same = name(&path).is_some_and(|other| {
                other != own && other.split_once('-').is_some_and(|(repo, _)| repo == repository)
            });
            if same {
                remove_dir(&path)?;
            }
        }
        Ok(())
    }

    fn make_private(&self, home: &Path) -> Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(home)
            .map_err(|e| GitError::io("creating", home, e))
    }
}

fn ready(home: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(home) else { return Vec::new() };
    entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "index")).collect()
}

fn make_one(source: &Source<'_>, home: &Path) -> Result<()> {
    let id = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let tree = home.join(&id);
    let made = fs::create_dir(&tree).map_err(|e| GitError::io("creating", &tree, e)).and_then(|()| {
        let index = home.join(format!("{id}.making"));
        populate(source, &tree, &index)?;
        let done = home.join(format!("{id}.index"));
        fs::rename(&index, &done).map_err(|e| GitError::io("writing", &done, e))
    });
    if made.is_err() {
        let _ = fs::remove_file(home.join(format!("{id}.making")));
        remove_dir(&tree)?;
    }
    made
}
