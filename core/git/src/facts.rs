//! What a worker did, in numbers, computed here and not asked of the worker.

use std::path::Path;

use git2::{DiffOptions, Oid, Repository};
use sandboxed_domain::api::GitFacts;

use super::checkout::Checkout;
use super::error::{GitError, Result};
use super::status::{MAX_COUNTED, status};

/// Blobs bigger than this count as a changed file without lines.
pub(super) const MAX_TEXT: u64 = 1024 * 1024;

/// The facts of `worktree`: a linked worktree of the repository at `repo_root`, or a plain directory inside its
/// checkout (then they are the checkout's). `base_oid` is where the work started; without a usable one, HEAD is. The
/// branch is reported as it is now; `branch`, the one the worker was given, stands in where HEAD cannot be read.
/// Counts stop at 100,000.
///
/// # Errors
/// [`GitError::Redirected`] when the worker changed where the worktree leads; [`GitError::SpecialFile`] when it left a
/// pipe where git would read; or a failure to read.
pub fn facts(
    worktree: &Path,
    repo_root: &Path,
    base_oid: Option<&str>,
    branch: Option<&str>,
) -> Result<GitFacts> {
    let checkout = Checkout::open(worktree, repo_root)?;
    let fail = |e| GitError::git("reading the facts", &checkout.workdir, e);
    let head = checkout.head()?;
    let status = status(&checkout, &head)?;
    let base = base_oid
        .and_then(|text| Oid::from_str(text).ok())
        .filter(|oid| checkout.repo.find_commit(*oid).is_ok());
    let mut facts = GitFacts {
        branch: head
            .branch
            .clone()
            .or_else(|| head.oid.is_none().then(|| branch.map(str::to_owned)).flatten()),
        base: base.map(|oid| oid.to_string()),
        head: head.oid.map(|oid| oid.to_string()).unwrap_or_default(),
        commits_ahead: 0,
        files_changed: 0,
        insertions: 0,
        deletions: 0,
        dirty: count(status.dirty.len()),
        untracked: count(status.untracked.len()),
        pushed: None,
    };
    let Some(head) = head.oid else { return Ok(facts) };
    if let Some(base) = base {
        let (ahead, _) = checkout.repo.graph_ahead_behind(head, base).map_err(fail)?;
        facts.commits_ahead = count(ahead);
        (facts.files_changed, facts.insertions, facts.deletions) =
            difference(&checkout.repo, base, head).map_err(fail)?;
    }
    facts.pushed = pushed(&checkout.repo, head).map_err(fail)?;
    Ok(facts)
}

fn count(n: usize) -> u32 {
    n.min(MAX_COUNTED) as u32
}

/// Files, insertions and deletions between two commits.
fn difference(repo: &Repository, base: Oid, head: Oid) -> std::result::Result<(u32, u32, u32), git2::Error> {
    let (old, new) = (repo.find_commit(base)?.tree()?, repo.find_commit(head)?.tree()?);
    let mut options = DiffOptions::new();
    options.ignore_submodules(true).max_size(MAX_TEXT as i64);
    let stats = repo.diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options))?.stats()?;
    Ok((count(stats.files_changed()), stats.insertions() as u32, stats.deletions() as u32))
}

/// Whether a remote-tracking branch has the commit; none without remotes.
fn pushed(repo: &Repository, head: Oid) -> std::result::Result<Option<bool>, git2::Error> {
    if repo.remotes()?.is_empty() {
        return Ok(None);
    }
    let mut walk = repo.revwalk()?;
    walk.push(head)?;
    walk.hide_glob("refs/remotes/*")?;
    Ok(Some(walk.next().is_none()))
}
