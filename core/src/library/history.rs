//! The Library's commits, and files as they were.

use std::path::Path;

use chrono::DateTime;
use git2::{DiffOptions, Repository, Sort};
use sandboxed_domain::api::{ApiError, ErrorCode, LibraryCommit, LibraryHistory, LibraryHistoryParams};
use sandboxed_domain::library::{LARGEST_LIBRARY_FILE, check_library_path};

use super::change::find_commit;
use super::error::git_error;
use super::repository::head;

/// Commits of a page unless told, and at most.
const PAGE: (u32, u32) = (50, 200);
/// Most commits that are looked at for one page.
const MOST_LOOKED_AT: usize = 5000;
/// Most files of a commit that are named.
const MOST_PATHS: usize = 50;

/// A page of commits.
///
/// # Errors
/// A limit, path or cursor that is none.
pub(super) fn history(
    repo: &Repository,
    root: &Path,
    params: &LibraryHistoryParams,
) -> Result<LibraryHistory, ApiError> {
    let limit = params.limit.unwrap_or(PAGE.0);
    if !(1..=PAGE.1).contains(&limit) {
        return Err(ApiError::invalid("limit", format!("{limit} is out of bounds")).hint("1 to 200"));
    }
    if let Some(path) = &params.path {
        check_library_path(path)?;
    }
    let start = match &params.cursor {
        Some(cursor) => Some(find_commit(repo, cursor).map_err(|error| error.field("cursor"))?.id()),
        None => head(repo).map(|commit| commit.id()),
    };
    let Some(start) = start else { return Ok(LibraryHistory { commits: Vec::new(), next_cursor: None }) };
    let look = || -> Result<LibraryHistory, git2::Error> {
        let mut walk = repo.revwalk()?;
        walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME)?;
        walk.push(start)?;
        let mut commits = Vec::new();
        for (looked_at, oid) in walk.enumerate() {
            let oid = oid?;
            // The first that is not shown: the next page begins with it.
            if commits.len() == limit as usize || looked_at == MOST_LOOKED_AT {
                return Ok(LibraryHistory { commits, next_cursor: Some(oid.to_string()) });
            }
            let commit = repo.find_commit(oid)?;
            let paths = paths_of(repo, &commit, params.path.as_deref())?;
            if params.path.is_none() || !paths.is_empty() {
                commits.push(view(&commit, paths));
            }
        }
        Ok(LibraryHistory { commits, next_cursor: None })
    };
    look().map_err(|error| git_error("reading the history", root, &error))
}

/// Files that a commit changes against its first parent.
fn paths_of(
    repo: &Repository,
    commit: &git2::Commit<'_>,
    only: Option<&str>,
) -> Result<Vec<String>, git2::Error> {
    let before = commit.parents().next().map(|parent| parent.tree()).transpose()?;
    let mut options = DiffOptions::new();
    if let Some(path) = only {
        options.pathspec(path).disable_pathspec_match(true);
    }
    let diff = repo.diff_tree_to_tree(before.as_ref(), Some(&commit.tree()?), Some(&mut options))?;
    let paths = diff.deltas().filter_map(|delta| delta.new_file().path_bytes());
    Ok(paths.take(MOST_PATHS).map(|path| String::from_utf8_lossy(path).into_owned()).collect())
}

pub(super) fn view(commit: &git2::Commit<'_>, paths: Vec<String>) -> LibraryCommit {
    LibraryCommit {
        id: commit.id().to_string(),
        author: String::from_utf8_lossy(commit.author().name_bytes()).into_owned(),
        message: String::from_utf8_lossy(commit.message_bytes()).trim().to_owned(),
        committed_at: DateTime::from_timestamp(commit.time().seconds(), 0).unwrap_or_default(),
        paths,
    }
}

/// The commit with this id, as the API shows it.
///
/// # Errors
/// It cannot be read.
pub(super) fn show(repo: &Repository, root: &Path, oid: git2::Oid) -> Result<LibraryCommit, ApiError> {
    let look = || -> Result<LibraryCommit, git2::Error> {
        let commit = repo.find_commit(oid)?;
        Ok(view(&commit, paths_of(repo, &commit, None)?))
    };
    look().map_err(|error| git_error("reading a commit", root, &error))
}

/// A file as a commit has it: its text, and whether it is a program.
///
/// # Errors
/// `not_found`, or it is no text.
pub(super) fn file_at(repo: &Repository, wanted: &str, path: &str) -> Result<(String, bool), ApiError> {
    let commit = find_commit(repo, wanted)?;
    let missing = || {
        ApiError::new(ErrorCode::NotFound, format!("that commit has no file {path:?}"))
            .field("path")
            .hint("the history tells which commits change it")
    };
    let tree = commit.tree().map_err(|_| missing())?;
    let entry = tree.get_path(Path::new(path)).map_err(|_| missing())?;
    let blob = entry.to_object(repo).ok().and_then(|object| object.into_blob().ok()).ok_or_else(missing)?;
    if blob.size() as u64 > LARGEST_LIBRARY_FILE {
        return Err(ApiError::new(ErrorCode::TooLarge, format!("{path} is larger than 1 MiB")).field("path"));
    }
    let text = String::from_utf8(blob.content().to_vec());
    let text = text
        .map_err(|_| ApiError::invalid("path", format!("{path} is not text")).hint("look at it with git"))?;
    Ok((text, entry.filemode() == 0o100_755))
}
