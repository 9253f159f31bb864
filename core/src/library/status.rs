//! How the folder stands: against its last commit, and against the remote.

use std::collections::BTreeSet;
use std::path::Path;

use git2::{Oid, Repository, Status, StatusOptions};
use sandboxed_domain::api::{ApiError, LibraryChange, LibraryChangeKind};

use super::error::git_error;
use super::repository::head;

/// Where the remote's branch is remembered. It has one name, whatever the branch is called there.
pub(super) const REMOTE_REF: &str = "refs/remotes/origin/library";
/// Most changes that are listed.
const MOST_CHANGES: usize = 1000;

/// How the folder stands.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub head: Option<String>,
    pub ahead: u32,
    pub behind: u32,
    pub changes: Vec<LibraryChange>,
    pub conflicts: Vec<String>,
}

/// Looks at everything.
///
/// # Errors
/// The repository cannot be read.
pub(super) fn standing(repo: &Repository, root: &Path) -> Result<Standing, ApiError> {
    let look = || -> Result<Standing, git2::Error> {
        let ours = head(repo).map(|commit| commit.id());
        let theirs = remote_head(repo);
        let changes = changes(repo)?;
        let (ahead, behind) = match (ours, theirs) {
            (Some(ours), Some(theirs)) => repo.graph_ahead_behind(ours, theirs)?,
            (None, Some(theirs)) => (0, count(repo, theirs)?),
            (Some(ours), None) => (count(repo, ours)?, 0),
            (None, None) => (0, 0),
        };
        let conflicts = match (ours, theirs) {
            (ours, Some(theirs)) if behind > 0 => conflicts(repo, ours, theirs, &changes)?,
            _ => Vec::new(),
        };
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let head = ours.map(|oid| oid.to_string());
        Ok(Standing { head, ahead: count(ahead), behind: count(behind), changes, conflicts })
    };
    look().map_err(|error| git_error("reading the state", root, &error))
}

/// The remote's commit as it was last fetched.
pub(super) fn remote_head(repo: &Repository) -> Option<Oid> {
    repo.refname_to_id(REMOTE_REF).ok()
}

fn count(repo: &Repository, from: Oid) -> Result<usize, git2::Error> {
    let mut walk = repo.revwalk()?;
    walk.push(from)?;
    Ok(walk.count())
}

/// What is not committed.
pub(super) fn changes(repo: &Repository) -> Result<Vec<LibraryChange>, git2::Error> {
    let mut options = StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true).exclude_submodules(true);
    let statuses = repo.statuses(Some(&mut options))?;
    let change = |status: Status| {
        let gone = status.intersects(Status::WT_DELETED | Status::INDEX_DELETED);
        match () {
            () if gone && !status.contains(Status::WT_NEW) => LibraryChangeKind::Removed,
            () if status.intersects(Status::WT_NEW | Status::INDEX_NEW) && !gone => LibraryChangeKind::Added,
            () => LibraryChangeKind::Modified,
        }
    };
    let entries = statuses.iter().filter(|entry| entry.status() != Status::IGNORED);
    let listed = entries.map(|entry| LibraryChange {
        path: String::from_utf8_lossy(entry.path_bytes()).into_owned(),
        change: change(entry.status()),
    });
    Ok(listed.take(MOST_CHANGES).collect())
}

/// Files that keep the remote's commits out: changed by commits of both, or here without a commit.
fn conflicts(
    repo: &Repository,
    ours: Option<Oid>,
    theirs: Oid,
    changes: &[LibraryChange],
) -> Result<Vec<String>, git2::Error> {
    let theirs = repo.find_commit(theirs)?;
    let mut found = BTreeSet::new();
    let target = match ours.map(|oid| repo.find_commit(oid)).transpose()? {
        Some(ours) => {
            let mut index = repo.merge_commits(&ours, &theirs, None)?;
            found.extend(conflicted(&index)?);
            match index.has_conflicts() {
                true => None,
                false => Some((Some(ours.tree()?), repo.find_tree(index.write_tree_to(repo)?)?)),
            }
        }
        None => Some((None, theirs.tree()?)),
    };
    if let Some((before, after)) = target {
        let touched = touched(repo, before.as_ref(), &after)?;
        let changed = changes.iter().map(|change| change.path.clone());
        found.extend(changed.filter(|path| touched.contains(path)));
    }
    Ok(found.into_iter().collect())
}

/// Paths that an index has in conflict.
pub(super) fn conflicted(index: &git2::Index) -> Result<Vec<String>, git2::Error> {
    let mut paths = BTreeSet::new();
    for entry in index.conflicts()? {
        let entry = entry?;
        let side = entry.our.or(entry.their).or(entry.ancestor);
        paths.extend(side.map(|side| String::from_utf8_lossy(&side.path).into_owned()));
    }
    Ok(paths.into_iter().collect())
}

/// Paths in which two trees differ.
pub(super) fn touched(
    repo: &Repository,
    before: Option<&git2::Tree<'_>>,
    after: &git2::Tree<'_>,
) -> Result<BTreeSet<String>, git2::Error> {
    let diff = repo.diff_tree_to_tree(before, Some(after), None)?;
    let paths =
        diff.deltas().flat_map(|delta| [delta.old_file().path_bytes(), delta.new_file().path_bytes()]);
    Ok(paths.flatten().map(|path| String::from_utf8_lossy(path).into_owned()).collect())
}
