//! Commits and their undoing. Nothing is forced: what would be lost is told instead.

use std::path::Path;

use git2::build::CheckoutBuilder;
use git2::{IndexAddOption, Oid, Repository};
use sandboxed_domain::api::{ApiError, ErrorCode, LibraryCommitParams};
use sandboxed_domain::library::check_library_path;

use super::bring::check_out;
use super::error::{conflict, git_error};
use super::repository::{author, head};
use super::status::{changes, conflicted, touched};
use crate::store::io_error;

/// Longest message.
const LONGEST_MESSAGE: usize = 4096;
/// Modes of entries that are no files: a link, another repository.
const NO_FILES: [u32; 2] = [0o120_000, 0o160_000];

/// Commits what is named, or all changes. The new commit.
///
/// # Errors
/// No message, nothing to commit, or something that is no file.
pub(super) fn commit(repo: &Repository, root: &Path, params: &LibraryCommitParams) -> Result<Oid, ApiError> {
    let message = params.message.trim();
    if message.is_empty() || message.len() > LONGEST_MESSAGE {
        return Err(ApiError::invalid("message", "a message of 1 to 4096 bytes is needed")
            .hint("say why the Library changes"));
    }
    for path in &params.paths {
        check_library_path(path)?;
    }
    let failed = |error: git2::Error| git_error("committing", root, &error);
    stage(repo, &params.paths).map_err(failed)?;
    let write = || -> Result<(Oid, Vec<String>), git2::Error> {
        let mut index = repo.index()?;
        let before = head(repo).map(|commit| commit.tree()).transpose()?;
        let odd = odd_entries(&index, before.as_ref());
        Ok((index.write_tree()?, odd))
    };
    let (tree, odd) = write().map_err(failed)?;
    if !odd.is_empty() {
        unstage(repo).map_err(failed)?;
        return Err(conflict("links and repositories cannot be a part of the Library", &odd, root));
    }
    let parent = head(repo);
    if parent.as_ref().is_some_and(|commit| commit.tree_id() == tree) {
        return Err(nothing("nothing to commit"));
    }
    let write = || -> Result<Oid, git2::Error> {
        let (author, tree) = (author(repo)?, repo.find_tree(tree)?);
        let parents: Vec<_> = parent.iter().collect();
        repo.commit(Some("HEAD"), &author, &author, message, &tree, &parents)
    };
    write().map_err(failed)
}

fn nothing(message: &str) -> ApiError {
    ApiError::new(ErrorCode::WrongState, message).hint("`sandboxed-sh library status` shows what is changed")
}

/// Puts the wanted changes, and no others, into the index.
fn stage(repo: &Repository, paths: &[String]) -> Result<(), git2::Error> {
    unstage(repo)?;
    let mut index = repo.index()?;
    let all = ["*".to_owned()];
    let paths = if paths.is_empty() { &all[..] } else { paths };
    index.add_all(paths, IndexAddOption::DEFAULT, None)?;
    index.update_all(paths, None)?;
    index.write()
}

/// The index as the last commit has it; the files stay as they are.
fn unstage(repo: &Repository) -> Result<(), git2::Error> {
    let mut index = repo.index()?;
    match head(repo) {
        Some(commit) => index.read_tree(&commit.tree()?)?,
        None => index.clear()?,
    }
    index.write()
}

/// New entries that are no files.
fn odd_entries(index: &git2::Index, before: Option<&git2::Tree<'_>>) -> Vec<String> {
    let odd = index.iter().filter(|entry| NO_FILES.contains(&entry.mode));
    let paths = odd.map(|entry| (entry.mode, String::from_utf8_lossy(&entry.path).into_owned()));
    let known = |(mode, path): &(u32, String)| {
        let entry = before.and_then(|tree| tree.get_path(Path::new(path)).ok());
        entry.is_some_and(|entry| u32::try_from(entry.filemode()) == Ok(*mode))
    };
    paths.filter(|entry| !known(entry)).map(|(_, path)| path).collect()
}

/// Undoes a commit by a new one.
///
/// # Errors
/// No such commit, a merge, or later changes stand against it.
pub(super) fn revert_commit(repo: &Repository, root: &Path, wanted: &str) -> Result<Oid, ApiError> {
    let failed = |error: git2::Error| git_error("undoing a commit", root, &error);
    let commit = find_commit(repo, wanted)?;
    let Some(ours) = head(repo) else { return Err(nothing("there is no commit yet")) };
    if commit.parent_count() > 1 {
        return Err(ApiError::invalid("commit", format!("{wanted} is a merge"))
            .hint("undo the commits that it brought in, one by one"));
    }
    let mut index = repo.revert_commit(&commit, &ours, 0, None).map_err(failed)?;
    if index.has_conflicts() {
        return Err(conflict("changed since that commit", &conflicted(&index).map_err(failed)?, root));
    }
    let tree = index.write_tree_to(repo).map_err(failed)?;
    if tree == ours.tree_id() {
        return Err(nothing("that commit is undone already"));
    }
    let after = repo.find_tree(tree).map_err(failed)?;
    let touched = ours.tree().and_then(|before| touched(repo, Some(&before), &after)).map_err(failed)?;
    let changed = changes(repo).map_err(failed)?.into_iter().map(|change| change.path);
    let lost: Vec<_> = changed.filter(|path| touched.contains(path)).collect();
    if !lost.is_empty() {
        return Err(conflict("changed here and not committed", &lost, root));
    }
    check_out(repo, root, tree)?;
    let write = || -> Result<Oid, git2::Error> {
        let author = author(repo)?;
        let title = commit.summary().unwrap_or_default().to_owned();
        let message = format!("Revert \"{title}\"\n\nThis undoes {}.\n", commit.id());
        repo.commit(Some("HEAD"), &author, &author, &message, &after, &[&ours])
    };
    write().map_err(failed)
}

/// A commit by its id or the beginning of one, among those that the branch has.
///
/// # Errors
/// `not_found`.
pub(super) fn find_commit<'a>(repo: &'a Repository, wanted: &str) -> Result<git2::Commit<'a>, ApiError> {
    let plain = (4..=40).contains(&wanted.len()) && wanted.chars().all(|c| c.is_ascii_hexdigit());
    let found = plain.then(|| repo.find_commit_by_prefix(wanted).ok()).flatten();
    let ours = head(repo).map(|commit| commit.id());
    let in_history = |commit: &git2::Commit<'_>| {
        ours.is_some_and(|ours| {
            ours == commit.id() || repo.graph_descendant_of(ours, commit.id()).unwrap_or(false)
        })
    };
    found.filter(in_history).ok_or_else(|| {
        ApiError::new(ErrorCode::NotFound, format!("the Library's history has no commit {wanted:?}"))
            .field("commit")
            .hint("`sandboxed-sh library history` lists them")
    })
}

/// Puts files back to the last commit; those that it does not have are removed.
///
/// # Errors
/// A path that is none, or that is not changed.
pub(super) fn revert_paths(repo: &Repository, root: &Path, paths: &[String]) -> Result<(), ApiError> {
    let failed = |error: git2::Error| git_error("dropping changes", root, &error);
    for path in paths {
        check_library_path(path)?;
    }
    let changed = changes(repo).map_err(failed)?;
    if let Some(path) = paths.iter().find(|path| !changed.iter().any(|change| change.path == **path)) {
        return Err(nothing(&format!("{path} is not changed")));
    }
    let tree = head(repo).map(|commit| commit.tree()).transpose().map_err(failed)?;
    let known =
        |path: &&String| tree.as_ref().is_some_and(|tree| tree.get_path(Path::new(path.as_str())).is_ok());
    let (known, new): (Vec<_>, Vec<_>) = paths.iter().partition(known);
    for path in new {
        super::edit::remove(root, path).map_err(|error| io_error(&root.join(path), &error))?;
    }
    unstage(repo).map_err(failed)?;
    if known.is_empty() {
        return Ok(());
    }
    let mut options = CheckoutBuilder::new();
    options.force().disable_pathspec_match(true);
    for path in known {
        options.path(path);
    }
    repo.checkout_head(Some(&mut options)).map_err(failed)
}
