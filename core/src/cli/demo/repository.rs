//! What the workers work on: a new sample, or the user's own repository.

use std::path::{Path, PathBuf};

use sandboxed_domain::api::{ApiError, ErrorCode};

use crate::cli::args::DemoArgs;
use crate::git;

const AUTHOR: (&str, &str) = ("sandboxed-sh demo", "demo@sandboxed-sh.invalid");

/// The repository's top. `name` makes a new sample's directory unique.
///
/// # Errors
/// `--repo` names none, or the sample cannot be written.
pub(super) fn prepare(args: &DemoArgs, name: &str) -> Result<PathBuf, ApiError> {
    if let Some(path) = &args.repo {
        return Ok(git::discover(path).map_err(|e| ApiError::from(e).field("--repo"))?.root);
    }
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let home =
        home.ok_or_else(|| ApiError::invalid("HOME", "not set").hint("name a repository with --repo"))?;
    let path = home.join(format!("sandboxed-sh-{name}"));
    git::init_sample(&path, AUTHOR)?;
    Ok(path)
}

/// Merges a verified branch; says how it went in a word or two.
///
/// # Errors
/// The merge cannot be done, or conflicts; the repository is then as before.
pub(super) async fn merge(repo: &Path, branch: &str) -> Result<&'static str, ApiError> {
    let (repo, branch) = (repo.to_owned(), branch.to_owned());
    let merged = tokio::task::spawn_blocking(move || {
        let message = format!("Merge branch '{branch}'");
        git::merge_branch(&repo, &branch, &message)
    });
    let merged = merged.await.map_err(|e| ApiError::new(ErrorCode::Internal, e.to_string()))?;
    match merged? {
        git::Merged::Done { kind: git::MergeKind::FastForward, .. } => Ok("fast-forward"),
        git::Merged::Done { kind: git::MergeKind::Merge, .. } => Ok("merged"),
        git::Merged::Done { kind: git::MergeKind::UpToDate, .. } => Ok("up to date"),
        git::Merged::Conflict { paths } => {
            Err(ApiError::new(ErrorCode::Conflict, format!("conflicts in {}", paths.join(", "))))
        }
    }
}
