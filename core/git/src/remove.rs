//! Taking a worktree away, if and only if nothing would be lost with it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use git2::{Index, ObjectType, Oid, Repository, TreeWalkMode, TreeWalkResult};

use super::admin::remove_dir;
use super::checkout::{Checkout, Head};
use super::error::{GitError, Result};
use super::lock::RepoLock;
use super::refs;
use super::repository::confined;
use super::status::status;
use super::worktree::move_into_place;

/// Mode of a submodule in trees and indexes.
const GITLINK: u32 = 0o160_000;

/// Why a worktree was left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptBecause {
    /// So many tracked files have changes that are not committed.
    Dirty(usize),
    /// So many files are neither tracked nor ignored.
    Untracked(usize),
    /// So many commits are on no other branch, tag or remote-tracking branch.
    Unmerged(usize),
    /// A merge, rebase or the like is under way.
    InProgress(&'static str),
    /// Somebody locked it (`git worktree lock`), or a git is at work in it.
    Locked,
    /// It has something in submodules, or changed them: what lies there cannot be judged from here.
    Submodules,
    /// It could not be read well enough to be sure; the reason.
    Unsure(String),
}

/// What became of a worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// Directory, entry and branch are gone. `branch_kept` when the branch had moved meanwhile and stays.
    Removed {
        /// Whether the branch stays.
        branch_kept: bool,
    },
    /// Nothing was touched.
    Kept {
        /// Why.
        why: KeptBecause,
        /// Where the work is.
        path: PathBuf,
    },
}

/// Why [`remove`] would leave a worktree alone; none: it would go. Touches nothing.
///
/// # Errors
/// As [`remove`].
pub fn why_kept(worktree: &Path, repo_root: &Path, branch: &str) -> Result<Option<KeptBecause>> {
    let checkout = Checkout::open(worktree, repo_root)?;
    if !checkout.linked {
        return Ok(Some(KeptBecause::Unsure("it is not a linked worktree".into())));
    }
    if checkout.gitdir.join("index.lock").exists() {
        return Ok(Some(KeptBecause::Locked));
    }
    judge(&checkout, branch).map(|(why, _)| why)
}

/// Removes a worktree made by [`super::create`] and its branch. Ignored files go with it.
///
/// # Errors
/// [`GitError::NotARepository`] and the like when it is not a linked worktree of this repository; a failure to delete.
/// Failing to read it is [`Removal::Kept`].
pub fn remove(worktree: &Path, repo_root: &Path, branch: &str) -> Result<Removal> {
    let kept = |why| Ok(Removal::Kept { why, path: worktree.to_owned() });
    let checkout = match Checkout::open(worktree, repo_root) {
        Ok(checkout) if checkout.linked => checkout,
        Ok(_) => return kept(KeptBecause::Unsure("it is not a linked worktree".into())),
        Err(e @ (GitError::Git { .. } | GitError::Redirected { .. } | GitError::SpecialFile { .. })) => {
            return kept(KeptBecause::Unsure(e.to_string()));
        }
        Err(e) => return Err(e),
    };
    let parent = checkout.workdir.parent().unwrap_or(Path::new("/")).to_owned();
    let places = [checkout.common.clone(), parent];
    drop(checkout);
    confined(&places, || remove_here(worktree, repo_root, branch))
}

/// Removes a worktree with whatever is in it. Its branch stays, with all that was committed.
///
/// # Errors
/// It is no linked worktree of this repository; a failure to delete.
pub fn discard(worktree: &Path, repo_root: &Path, branch: &str) -> Result<()> {
    let checkout = Checkout::open(worktree, repo_root)?;
    if !checkout.linked {
        return Err(GitError::NotARepository { path: worktree.to_owned() });
    }
    let parent = checkout.workdir.parent().unwrap_or(Path::new("/")).to_owned();
    let places = [checkout.common.clone(), parent];
    drop(checkout);
    confined(&places, || {
        let checkout = Checkout::open(worktree, repo_root)?;
        let lock = RepoLock::of(&checkout.common);
        let _guard = lock.acquire()?;
        delete(&checkout, branch, None).map(drop)
    })
}

fn remove_here(worktree: &Path, repo_root: &Path, branch: &str) -> Result<Removal> {
    let kept = |why| Ok(Removal::Kept { why, path: worktree.to_owned() });
    let checkout = Checkout::open(worktree, repo_root)?;
    let lock = RepoLock::of(&checkout.common);
    let _guard = lock.acquire()?;
    // Taken for as long as it is looked at and deleted: a git in the worktree would wait or fail, not interfere.
    let index_lock = checkout.gitdir.join("index.lock");
    if fs::File::create_new(&index_lock).is_err() {
        return kept(KeptBecause::Locked);
    }
    let outcome = match judge(&checkout, branch) {
        Ok((None, oid)) => delete(&checkout, branch, oid),
        Ok((Some(why), _)) => kept(why),
        Err(e) => kept(KeptBecause::Unsure(e.to_string())),
    };
    if !matches!(outcome, Ok(Removal::Removed { .. })) {
        let _ = fs::remove_file(&index_lock);
    }
    outcome
}

/// Why it must stay, if it must, and the commit of its branch.
fn judge(checkout: &Checkout, branch: &str) -> Result<(Option<KeptBecause>, Option<Oid>)> {
    let oid = refs::branch_oid(&checkout.repo, branch);
    let stay = |why| Ok((Some(why), oid));
    if fs::symlink_metadata(checkout.gitdir.join("locked")).is_ok() {
        return stay(KeptBecause::Locked);
    }
    if let Some(what) = checkout.in_progress() {
        return stay(KeptBecause::InProgress(what));
    }
    let fail = |e| GitError::git("reading the worktree", &checkout.workdir, e);
    let index = checkout.repo.index().map_err(fail)?;
    let head = checkout.head()?;
    if checkout.gitdir.join("modules").exists()
        || !submodules_untouched(checkout, &index, &head).map_err(fail)?
    {
        return stay(KeptBecause::Submodules);
    }
    let status = status(checkout, &head)?;
    if !status.dirty.is_empty() {
        return stay(KeptBecause::Dirty(status.dirty.len()));
    }
    if !status.untracked.is_empty() {
        return stay(KeptBecause::Untracked(status.untracked.len()));
    }
    if status.incomplete {
        return stay(KeptBecause::Unsure("a part of it could not be read".into()));
    }
    match unmerged(&checkout.repo, &head, branch, oid).map_err(fail)? {
        0 => Ok((None, oid)),
        commits => stay(KeptBecause::Unmerged(commits)),
    }
}

/// Whether the index has the submodules of HEAD and no others, and their directories are empty, as they were made.
fn submodules_untouched(
    checkout: &Checkout,
    index: &Index,
    head: &Head,
) -> std::result::Result<bool, git2::Error> {
    let staged: BTreeMap<Vec<u8>, Oid> =
        index.iter().filter(|e| e.mode == GITLINK).map(|e| (e.path, e.id)).collect();
    let mut committed = BTreeMap::new();
    if let Some(oid) = head.oid {
        let tree = checkout.repo.find_commit(oid)?.tree()?;
        if staged.is_empty() && tree.get_name(".gitmodules").is_none() {
            return Ok(true);
        }
        tree.walk(TreeWalkMode::PreOrder, |directory, entry| {
            if entry.kind() == Some(ObjectType::Commit) {
                committed.insert([directory.as_bytes(), entry.name_bytes()].concat(), entry.id());
            }
            TreeWalkResult::Ok
        })?;
    }
    let empty = |path: &Vec<u8>| {
        let path = checkout.workdir.join(OsStr::from_bytes(path));
        match fs::symlink_metadata(&path) {
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
            Ok(found) => {
                found.is_dir() && fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_none())
            }
        }
    };
    Ok(staged == committed && staged.keys().all(empty))
}

/// How many commits of the branch and of HEAD no other reference has.
fn unmerged(
    repo: &Repository,
    head: &Head,
    branch: &str,
    branch_oid: Option<Oid>,
) -> std::result::Result<usize, git2::Error> {
    let own = refs::full_name(branch);
    let mut walk = repo.revwalk()?;
    for oid in [head.oid, branch_oid].into_iter().flatten() {
        walk.push(oid)?;
    }
    for reference in repo.references()? {
        let reference = reference?;
        let name = reference.name_bytes();
        let counts =
            [&b"refs/heads/"[..], b"refs/tags/", b"refs/remotes/"].iter().any(|p| name.starts_with(p));
        if counts && name != own.as_bytes() && reference.peel_to_commit().is_ok() {
            walk.hide(reference.peel_to_commit()?.id())?;
        }
    }
    walk.try_fold(0, |n, oid| oid.map(|_| n + 1))
}

/// The directory first moves aside in one step, so that no half-deleted worktree is ever at its path.
fn delete(checkout: &Checkout, branch: &str, oid: Option<Oid>) -> Result<Removal> {
    let name = checkout.gitdir.file_name().unwrap_or_default().to_string_lossy();
    let aside = checkout.workdir.with_file_name(format!(".{name}.removed"));
    remove_dir(&aside)?;
    move_into_place(&checkout.workdir, &aside)?;
    remove_dir(&aside)?;
    remove_dir(&checkout.gitdir)?;
    let gone =
        oid.map_or(Ok(true), |oid| refs::delete_branch_at(&checkout.repo, &checkout.workdir, branch, oid))?;
    Ok(Removal::Removed { branch_kept: !gone })
}
