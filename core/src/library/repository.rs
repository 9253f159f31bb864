//! The repository of the Library's folder: opened, or made at the first start.

use std::path::Path;

use git2::{Repository, RepositoryInitOptions, Signature};
use sandboxed_domain::api::ApiError;

use super::error::git_error;
use crate::store::make_private;

/// Branch of a new one.
pub(super) const FIRST_BRANCH: &str = "main";
/// Author where git's own settings name none.
const AUTHOR: (&str, &str) = ("sandboxed-sh", "sandboxed-sh@localhost");

/// What keeps the host's git from doing more in this folder than it is asked to, and links out of it.
const SETTINGS: [(&str, &str); 6] = [
    ("core.symlinks", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.autocrlf", "false"),
    ("core.protectNTFS", "true"),
    ("submodule.recurse", "false"),
];

/// Opens the repository, or makes one of the folder. The second value: whether it was made.
///
/// # Errors
/// It cannot be read or written.
pub(super) fn open_or_make(root: &Path) -> Result<(Repository, bool), ApiError> {
    make_private(root)?;
    if root.join(".git").exists() {
        return Ok((open(root)?, false));
    }
    let make = || -> Result<Repository, git2::Error> {
        // The user's template may hold hooks.
        let mut options = RepositoryInitOptions::new();
        options.initial_head(FIRST_BRANCH).external_template(false).no_reinit(true);
        let repo = Repository::init_opts(root, &options)?;
        let mut config = repo.config()?;
        for (name, value) in SETTINGS {
            config.set_str(name, value)?;
        }
        Ok(repo)
    };
    make().map(|repo| (repo, true)).map_err(|error| git_error("making the repository", root, &error))
}

/// Opens the repository, and no other above it.
pub(super) fn open(root: &Path) -> Result<Repository, ApiError> {
    crate::store::make_private(root)?;
    let none: [&Path; 0] = [];
    Repository::open_ext(root, git2::RepositoryOpenFlags::NO_SEARCH, none)
        .map_err(|error| git_error("opening the repository", root, &error))
}

/// Who commits: the user of git's own settings.
pub(super) fn author(repo: &Repository) -> Result<Signature<'static>, git2::Error> {
    match repo.signature() {
        Ok(signature) => Ok(signature.to_owned()),
        Err(_) => Signature::now(AUTHOR.0, AUTHOR.1),
    }
}

/// The last commit; none where there is none yet.
pub(super) fn head(repo: &Repository) -> Option<git2::Commit<'_>> {
    repo.head().ok()?.peel_to_commit().ok()
}
