//! Opening a worker's worktree from the repository's side.
//!
//! The worktree's `.git` file, and perhaps its entry, can be rewritten by the worker. So the repository is opened at
//! its real common directory, the entry is found there, and both must name each other; then working directory and index
//! are set in memory. Nothing that the worker wrote decides which repository, configuration or objects are read.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use git2::{Index, Oid, Repository};

use super::admin;
use super::error::{GitError, Result};
use super::{refs, repository};

/// An index bigger than this is not loaded: 4 million files.
const MAX_INDEX: u64 = 512 * 1024 * 1024;

/// A checkout whose repository, HEAD and index are known.
pub(super) struct Checkout {
    /// The repository, with `workdir` and the checkout's own index set.
    pub repo: Repository,
    /// Top directory of the files.
    pub workdir: PathBuf,
    /// Where HEAD and the index are: the worktree's entry, or the repository's directory for the main checkout.
    pub gitdir: PathBuf,
    /// The common directory.
    pub common: PathBuf,
    /// Whether it is a linked worktree.
    pub linked: bool,
}

/// Where a HEAD points.
pub(super) struct Head {
    /// The branch, when on one.
    pub branch: Option<String>,
    /// The commit, when there is one.
    pub oid: Option<Oid>,
}

impl Checkout {
    /// Opens `directory`: a linked worktree of the repository at `repo_root`, or a plain directory inside its checkout.
    pub(super) fn open(directory: &Path, repo_root: &Path) -> Result<Self> {
        let (main, root) = repository::locate(repo_root)?;
        let common = repository::trimmed(main.commondir());
        refs::require_plain_refs(&common)?;
        let directory = fs::canonicalize(directory).map_err(|e| GitError::io("opening", directory, e))?;
        match find_entry(&common, &directory)? {
            Some(entry) => Self::linked(&common, entry, directory),
            None if directory == root => Self::plain(main, common, root),
            None if fs::symlink_metadata(directory.join(".git")).is_ok() => {
                Err(redirected(&directory, "no entry of the repository names it"))
            }
            None if directory.starts_with(&root) => Self::plain(main, common, root),
            None => Err(GitError::NotARepository { path: directory }),
        }
    }

    fn linked(common: &Path, gitdir: PathBuf, workdir: PathBuf) -> Result<Self> {
        check_entry(common, &gitdir, &workdir)?;
        let fail = |e| GitError::git("opening the worktree", &workdir, e);
        let repo = Repository::open(common).map_err(fail)?;
        repo.set_workdir(&workdir, false).map_err(fail)?;
        let index = gitdir.join("index");
        require_plain_file(&index, &workdir, MAX_INDEX)?;
        let mut index = Index::open(&index).map_err(|e| GitError::git("reading the index", &workdir, e))?;
        repo.set_index(&mut index).map_err(fail)?;
        Ok(Self { repo, workdir, gitdir, common: common.to_owned(), linked: true })
    }

    fn plain(repo: Repository, common: PathBuf, root: PathBuf) -> Result<Self> {
        let gitdir = repository::trimmed(repo.path());
        require_plain_file(&gitdir.join("index"), &root, MAX_INDEX)?;
        Ok(Self { repo, workdir: root, gitdir, common, linked: false })
    }

    /// HEAD of this checkout.
    pub(super) fn head(&self) -> Result<Head> {
        let path = self.gitdir.join("HEAD");
        let text = admin::read_small(&path).map_err(|e| GitError::io("reading", &path, e))?;
        let text = String::from_utf8_lossy(&text);
        let text = text.trim();
        let Some(name) = text.strip_prefix("ref: ") else {
            return Ok(Head { branch: None, oid: Oid::from_str(text).ok() });
        };
        let oid = self.repo.refname_to_id(name.trim()).ok();
        Ok(Head { branch: name.trim().strip_prefix("refs/heads/").map(str::to_owned), oid })
    }

    /// What multi-step operation is under way, if any, in words.
    pub(super) fn in_progress(&self) -> Option<&'static str> {
        [
            ("MERGE_HEAD", "a merge"),
            ("rebase-merge", "a rebase"),
            ("rebase-apply", "a rebase"),
            ("CHERRY_PICK_HEAD", "a cherry-pick"),
            ("REVERT_HEAD", "a revert"),
            ("BISECT_LOG", "a bisect"),
            ("sequencer", "a sequence of picks"),
        ]
        .into_iter()
        .find(|(file, _)| fs::symlink_metadata(self.gitdir.join(file)).is_ok())
        .map(|(_, what)| what)
    }
}

fn redirected(worktree: &Path, why: impl Into<String>) -> GitError {
    GitError::Redirected { worktree: worktree.to_owned(), why: why.into() }
}

/// The entry whose `gitdir` file names this worktree. Two entries may claim it when a worker forged one: then the one
/// that the worktree's own `.git` file names.
fn find_entry(common: &Path, worktree: &Path) -> Result<Option<PathBuf>> {
    let wanted = [worktree.as_os_str().as_bytes(), b"/.git"].concat();
    let Ok(entries) = fs::read_dir(common.join("worktrees")) else { return Ok(None) };
    let claims = |entry: &PathBuf| {
        admin::read_small(&entry.join("gitdir")).is_ok_and(|text| {
            let text = text.trim_ascii_end();
            text == wanted || canonical_link(text).is_some_and(|path| path.as_os_str().as_bytes() == wanted)
        })
    };
    let claimants: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(claims).collect();
    let link = admin::read_small(&worktree.join(".git")).unwrap_or_default();
    let agreed = claimants.iter().find(|entry| link_leads_to(worktree, &link, entry));
    match (agreed, claimants.first()) {
        (Some(entry), _) => Ok(Some(entry.clone())),
        (None, Some(_)) => Err(redirected(worktree, "its .git file is missing or points elsewhere")),
        (None, None) => Ok(None),
    }
}

/// A `gitdir` text whose directory part is spelled through links.
fn canonical_link(text: &[u8]) -> Option<PathBuf> {
    let path = Path::new(std::ffi::OsStr::from_bytes(text));
    Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?))
}

fn link_leads_to(worktree: &Path, link: &[u8], entry: &Path) -> bool {
    let Some(target) = link.strip_prefix(b"gitdir: ") else { return false };
    let target = worktree.join(std::ffi::OsStr::from_bytes(target.trim_ascii_end()));
    matches!((fs::canonicalize(target), fs::canonicalize(entry)), (Ok(a), Ok(b)) if a == b)
}

/// The entry must be a real directory of this repository, with plain files that lead back to it.
fn check_entry(common: &Path, entry: &Path, worktree: &Path) -> Result<()> {
    let real = fs::symlink_metadata(entry).is_ok_and(|m| m.is_dir());
    if !real {
        return Err(redirected(worktree, "its entry is not a directory"));
    }
    let text = admin::read_small(&entry.join("commondir")).unwrap_or_default();
    let target = entry.join(std::ffi::OsStr::from_bytes(text.trim_ascii_end()));
    match (fs::canonicalize(target), fs::canonicalize(common)) {
        (Ok(a), Ok(b)) if a == b => Ok(()),
        _ => Err(redirected(worktree, "its entry names another repository")),
    }
}

fn require_plain_file(path: &Path, worktree: &Path, max: u64) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.is_file() => Err(GitError::SpecialFile { path: path.to_owned() }),
        Ok(meta) if meta.len() > max => Err(redirected(worktree, "its index is too large to be one")),
        _ => Ok(()),
    }
}
