//! Bringing the remote's commits in: forward, or by a merge that nobody has to decide. What is in conflict is told, and
//! everything stays as it was.

use std::cell::RefCell;
use std::path::Path;

use git2::build::CheckoutBuilder;
use git2::{CheckoutNotificationType, Oid, Repository};
use sandboxed_domain::api::ApiError;

use super::error::{conflict, git_error};
use super::repository::{author, head};
use super::status::{conflicted, remote_head};

/// Whether a merge of our own commits with the remote's may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merging {
    /// Somebody asked for it.
    Allowed,
    /// A mission starts: only forward.
    ForwardOnly,
}

/// Brings in what was last fetched. Whether there was anything.
///
/// # Errors
/// `conflict`, with the files.
pub(super) fn bring_in(repo: &Repository, root: &Path, merging: Merging) -> Result<bool, ApiError> {
    let failed = |error: git2::Error| git_error("bringing in the remote's commits", root, &error);
    let Some(theirs) = remote_head(repo) else { return Ok(false) };
    let Some(ours) = head(repo).map(|commit| commit.id()) else {
        forward(repo, root, theirs)?;
        return Ok(true);
    };
    let base = repo.merge_base(ours, theirs).ok();
    if base == Some(theirs) {
        return Ok(false);
    }
    if base == Some(ours) {
        forward(repo, root, theirs)?;
        return Ok(true);
    }
    if merging == Merging::ForwardOnly {
        return Err(conflict(
            "there are commits here and at the remote",
            &["(sync merges them)".to_owned()],
            root,
        ));
    }
    if base.is_none() {
        let paths = ["their histories have nothing in common".to_owned()];
        return Err(conflict("the remote is another Library", &paths, root));
    }
    let (our_commit, their_commit) =
        (repo.find_commit(ours).map_err(failed)?, repo.find_commit(theirs).map_err(failed)?);
    let mut index = repo.merge_commits(&our_commit, &their_commit, None).map_err(failed)?;
    if index.has_conflicts() {
        return Err(conflict("changed here and at the remote", &conflicted(&index).map_err(failed)?, root));
    }
    let tree = index.write_tree_to(repo).map_err(failed)?;
    check_out(repo, root, tree)?;
    let commit = || -> Result<Oid, git2::Error> {
        let author = author(repo)?;
        let tree = repo.find_tree(tree)?;
        repo.commit(
            Some("HEAD"),
            &author,
            &author,
            "Merge the remote's changes",
            &tree,
            &[&our_commit, &their_commit],
        )
    };
    commit().map_err(failed)?;
    Ok(true)
}

fn forward(repo: &Repository, root: &Path, target: Oid) -> Result<(), ApiError> {
    let failed = |error: git2::Error| git_error("bringing in the remote's commits", root, &error);
    let tree = repo.find_commit(target).and_then(|commit| commit.tree()).map_err(failed)?;
    check_out(repo, root, tree.id())?;
    let advance = || -> Result<(), git2::Error> {
        let name = repo.find_reference("HEAD")?.symbolic_target().unwrap_or("HEAD").to_owned();
        repo.reference(&name, target, true, "the remote's commits")?;
        Ok(())
    };
    advance().map_err(failed)
}

/// Puts a tree into the folder, unless something there would be lost.
///
/// # Errors
/// `conflict`: files that are changed and not committed.
pub(super) fn check_out(repo: &Repository, root: &Path, tree: Oid) -> Result<(), ApiError> {
    let lost = RefCell::new(Vec::new());
    let outcome = {
        let mut options = CheckoutBuilder::new();
        options.safe().notify_on(CheckoutNotificationType::CONFLICT).notify(|_, path, _, _, _| {
            lost.borrow_mut().extend(path.map(|path| path.display().to_string()));
            true
        });
        let tree = repo.find_object(tree, None);
        tree.and_then(|tree| repo.checkout_tree(&tree, Some(&mut options)))
    };
    let lost = lost.into_inner();
    match outcome {
        Ok(()) => Ok(()),
        Err(_) if !lost.is_empty() => Err(conflict("changed here and not committed", &lost, root)),
        Err(error) => Err(git_error("writing the files", root, &error)),
    }
}
