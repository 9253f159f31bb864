//! Branches: creating and deleting them beside a committing human and a running `git gc`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use git2::{ErrorCode, Oid, Repository};

use super::error::{GitError, Result};

/// How often an operation that met one of git's own lock files is tried again. git holds them for milliseconds and
/// offers nothing to wait on.
const ATTEMPTS: u32 = 200;
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(5);

/// The full name of a branch.
pub(super) fn full_name(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

/// Whether git accepts this as a branch name.
pub(super) fn is_legal_branch(branch: &str) -> bool {
    git2::Branch::name_is_valid(branch).unwrap_or(false) && branch != "HEAD"
}

/// The commit of a branch; none when it does not exist.
pub(super) fn branch_oid(repo: &Repository, branch: &str) -> Option<Oid> {
    repo.refname_to_id(&full_name(branch)).ok()
}

/// Creates a branch without upstream; [`GitError::BranchExists`] when it is there.
pub(super) fn create_branch(repo: &Repository, root: &Path, branch: &str, at: Oid) -> Result<()> {
    let name = full_name(branch);
    let message = format!("branch: Created from {at}");
    let made = patiently(|| repo.reference(&name, at, false, &message).map(|_| ()));
    made.map_err(|e| match e.code() {
        ErrorCode::Exists => GitError::BranchExists { repo: root.to_owned(), branch: branch.to_owned() },
        _ => GitError::git("creating the branch", root, e),
    })
}

/// Deletes a branch if it still points to `at`; says whether it is gone.
pub(super) fn delete_branch_at(repo: &Repository, root: &Path, branch: &str, at: Oid) -> Result<bool> {
    let name = full_name(branch);
    let gone = patiently(|| match repo.find_reference(&name) {
        Ok(mut reference) if reference.target() == Some(at) => reference.delete().map(|()| true),
        Ok(_) => Ok(false),
        Err(e) if e.code() == ErrorCode::NotFound => Ok(true),
        Err(e) => Err(e),
    });
    gone.map_err(|e| GitError::git("deleting the branch", root, e))
}

/// Tries again while another git holds a lock file, or while `git pack-refs` removes the empty directory in which the
/// lock file would be.
pub(super) fn patiently<T>(
    mut operation: impl FnMut() -> std::result::Result<T, git2::Error>,
) -> std::result::Result<T, git2::Error> {
    let mut attempt = 0;
    loop {
        match operation() {
            Err(e) if attempt < ATTEMPTS && is_passing(&e) => {
                attempt += 1;
                std::thread::sleep(PAUSE);
            }
            other => return other,
        }
    }
}

fn is_passing(e: &git2::Error) -> bool {
    let text = e.message();
    e.code() == ErrorCode::Locked
        || text.contains("failed to lock file")
        || text.contains("No such file or directory")
}

/// Refuses a `refs` directory that holds anything but plain files and directories: reading a named pipe never ends.
pub(super) fn require_plain_refs(common: &Path) -> Result<()> {
    let mut pending = vec![common.join("refs")];
    while let Some(dir) = pending.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(GitError::io("reading", &dir, e)),
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => pending.push(entry.path()),
                Ok(kind) if kind.is_file() => {}
                Ok(_) => return Err(GitError::SpecialFile { path: entry.path() }),
                Err(_) => {} // deleted meanwhile
            }
        }
    }
    Ok(())
}
