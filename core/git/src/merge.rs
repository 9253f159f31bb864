//! Merging a worker's branch into the main checkout's current branch: wholly, or not at all.

use std::path::Path;

use git2::build::CheckoutBuilder;
use git2::{CheckoutNotificationType, Commit, ErrorCode, Oid, Repository, Signature};

use super::checkout::Checkout;
use super::error::{GitError, Result};
use super::lock::RepoLock;
use super::owner::AsOwner;
use super::refs;
use super::repository::{self, confined};
use super::status::status;

/// How a branch came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeKind {
    /// The current branch only moved forward.
    FastForward,
    /// A merge commit was made.
    Merge,
    /// There was nothing to merge.
    UpToDate,
}

/// What came of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// The current branch has the work.
    Done {
        /// The commit that the current branch is now at.
        oid: String,
        /// How.
        kind: MergeKind,
    },
    /// Nothing was changed: these paths conflict, or hold untracked files that the merge would overwrite.
    Conflict {
        /// Relative to the top, sorted.
        paths: Vec<String>,
    },
}

/// Merges `branch` into the branch that the checkout at `repo_root` is on. `message` is the merge commit's.
///
/// # Errors
/// The checkout has uncommitted changes, is on no branch, or is in the middle of something; the branch is unknown; a
/// failure to write, after which the branch and the files are as before.
pub fn merge_branch(repo_root: &Path, branch: &str, message: &str) -> Result<Merged> {
    let (repo, root) = repository::locate(repo_root)?;
    let places = [repository::trimmed(repo.commondir()), root.clone()];
    drop(repo);
    confined(&places, || merge_here(&root, branch, message))
}

fn merge_here(root: &Path, branch: &str, message: &str) -> Result<Merged> {
    let (repo, root) = repository::locate(root)?;
    let checkout = Checkout::open(&root, &root)?;
    let lock = RepoLock::of(&checkout.common);
    let _guard = lock.acquire()?;
    let _owner = AsOwner::of(&checkout.common);
    let (current, ours) = require_ready(&checkout)?;
    let fail = |e| GitError::git("merging", &root, e);
    let unknown = || GitError::UnknownBranch { repo: root.clone(), branch: branch.to_owned() };
    let theirs = refs::branch_oid(&repo, branch).ok_or_else(unknown)?;
    let done = |oid: Oid, kind| Ok(Merged::Done { oid: oid.to_string(), kind });
    if ours == theirs || repo.graph_descendant_of(ours, theirs).map_err(fail)? {
        return done(ours, MergeKind::UpToDate);
    }
    let (target, kind) = if repo.graph_descendant_of(theirs, ours).map_err(fail)? {
        (theirs, MergeKind::FastForward)
    } else {
        match merge_commit(&repo, ours, theirs, message).map_err(fail)? {
            Ok(oid) => (oid, MergeKind::Merge),
            Err(paths) => return Ok(Merged::Conflict { paths }),
        }
    };
    match advance(&repo, &current, ours, target, message).map_err(fail)? {
        None => done(target, kind),
        Some(paths) => Ok(Merged::Conflict { paths }),
    }
}

/// The current branch's full name and commit, when a merge may start.
fn require_ready(checkout: &Checkout) -> Result<(String, Oid)> {
    let root = checkout.workdir.clone();
    if let Some(what) = checkout.in_progress() {
        return Err(GitError::InProgress { root, what: what.to_owned() });
    }
    let head = checkout.head()?;
    let (Some(branch), Some(oid)) = (&head.branch, head.oid) else {
        return Err(GitError::DetachedHead { root });
    };
    let dirty = status(checkout, &head)?.dirty.len();
    if dirty > 0 {
        return Err(GitError::MainDirty { root, files: dirty });
    }
    Ok((refs::full_name(branch), oid))
}

/// A merge commit that no branch points to yet, or the conflicting paths.
fn merge_commit(
    repo: &Repository,
    ours: Oid,
    theirs: Oid,
    message: &str,
) -> std::result::Result<std::result::Result<Oid, Vec<String>>, git2::Error> {
    let (ours, theirs) = (repo.find_commit(ours)?, repo.find_commit(theirs)?);
    let mut index = repo.merge_commits(&ours, &theirs, None)?;
    if index.has_conflicts() {
        let mut paths = Vec::new();
        for conflict in index.conflicts()? {
            let conflict = conflict?;
            let side = conflict.our.or(conflict.their).or(conflict.ancestor);
            paths.extend(side.map(|entry| String::from_utf8_lossy(&entry.path).into_owned()));
        }
        paths.sort_unstable();
        paths.dedup();
        return Ok(Err(paths));
    }
    let tree = repo.find_tree(index.write_tree_to(repo)?)?;
    let who = repo.signature().or_else(|_| Signature::now("sandboxed-sh", "sandboxed-sh@localhost"))?;
    let parents: [&Commit<'_>; 2] = [&ours, &theirs];
    repo.commit(None, &who, &who, message, &tree, &parents).map(Ok)
}

/// Moves files and branch from `from` to `to`; the paths in the way when the files cannot. The branch is locked first,
/// so that a commit that a human makes meanwhile is refused rather than overwritten.
fn advance(
    repo: &Repository,
    branch: &str,
    from: Oid,
    to: Oid,
    message: &str,
) -> std::result::Result<Option<Vec<String>>, git2::Error> {
    let target = repo.find_object(to, None)?;
    let mut transaction = repo.transaction()?;
    refs::patiently(|| transaction.lock_ref(branch))?;
    if repo.refname_to_id(branch)? != from {
        return Err(git2::Error::from_str("the current branch moved meanwhile"));
    }
    let mut in_the_way = Vec::new();
    let written = {
        let mut builder = CheckoutBuilder::new();
        builder.safe().notify_on(CheckoutNotificationType::CONFLICT).notify(|_, path, _, _, _| {
            in_the_way.extend(path.map(|p| p.to_string_lossy().into_owned()));
            true
        });
        repo.checkout_tree(&target, Some(&mut builder))
    };
    // libgit2 looks at every file before it writes the first.
    if written.as_ref().is_err_and(|e| e.code() == ErrorCode::Conflict) {
        in_the_way.sort_unstable();
        return Ok(Some(in_the_way));
    }
    let log = format!("merge: {}", message.lines().next().unwrap_or_default());
    let moved = written.and_then(|()| {
        transaction.set_target(branch, to, None, &log)?;
        transaction.commit()
    });
    if let Err(e) = moved {
        put_back(repo, from, to)?;
        return Err(e);
    }
    Ok(None)
}

/// Makes the files those of `from` again. What only `to` has was not there before, or the merge would not have begun.
fn put_back(repo: &Repository, from: Oid, to: Oid) -> std::result::Result<(), git2::Error> {
    let (old, new) = (repo.find_commit(from)?.tree()?, repo.find_commit(to)?.tree()?);
    let top = repo.workdir().map(Path::to_owned).unwrap_or_default();
    for delta in repo.diff_tree_to_tree(Some(&old), Some(&new), None)?.deltas() {
        if let (git2::Delta::Added, Some(path)) = (delta.status(), delta.new_file().path()) {
            let _ = std::fs::remove_file(top.join(path));
        }
    }
    repo.checkout_tree(&repo.find_object(from, None)?, Some(CheckoutBuilder::new().force()))
}
