//! What can go wrong with the Library's repository, as the API's errors.

use std::path::Path;

use sandboxed_domain::api::{ApiError, ErrorCode};

/// A failure of libgit2 in the Library.
pub(super) fn git_error(doing: &str, root: &Path, source: &git2::Error) -> ApiError {
    let text = source.message();
    let code = match text.contains("No space left on device") || text.contains("Disk quota exceeded") {
        true => ErrorCode::DiskFull,
        false => ErrorCode::GitFailed,
    };
    ApiError::new(code, format!("{doing} in {}: {text}", root.display()))
        .hint("`git status` and `git fsck` in that folder show its state")
}

/// Files stand against each other: they are shown, and nothing was changed.
pub(super) fn conflict(what: &str, paths: &[String], root: &Path) -> ApiError {
    const SHOWN: usize = 20;
    let mut names = paths.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if paths.len() > SHOWN {
        names.push_str(&format!(" and {} more", paths.len() - SHOWN));
    }
    ApiError::new(ErrorCode::Conflict, format!("{what}: {names}")).field("paths").hint(format!(
        "nothing was changed; commit or revert what is yours, or settle it with git in {}",
        root.display()
    ))
}
