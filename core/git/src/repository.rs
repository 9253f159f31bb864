//! Which repository holds a path, and opening it.

use std::path::{Path, PathBuf};
use std::sync::Once;

use git2::{DiffOptions, ErrorCode, Repository, RepositoryOpenFlags};

use super::confine::write_only_below;
use super::error::{GitError, Result};

/// A repository as a boss sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoInfo {
    /// The checkout's top directory.
    pub root: PathBuf,
    /// The shared `.git` directory (of the main checkout, even when `root` is a linked worktree).
    pub common_dir: PathBuf,
    /// Current branch; none when detached. Set, too, when the branch has no commit yet.
    pub branch: Option<String>,
    /// Commit of HEAD; none in an empty repository.
    pub head: Option<String>,
    /// Whether a tracked file is changed or staged. Untracked files are not looked for.
    pub dirty: bool,
}

/// The repository that holds `path` (a file or directory).
///
/// # Errors
/// [`GitError::NotARepository`], [`GitError::Bare`], or a failure to read it.
pub fn discover(path: &Path) -> Result<RepoInfo> {
    let (repo, root) = locate(path)?;
    let head = match repo.head() {
        Ok(head) => head.target().map(|oid| oid.to_string()),
        Err(e) if matches!(e.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => None,
        Err(e) => return Err(GitError::git("reading HEAD", &root, e)),
    };
    Ok(RepoInfo {
        common_dir: trimmed(repo.commondir()),
        branch: current_branch(&repo),
        dirty: head.is_some()
            && is_dirty(&repo).map_err(|e| GitError::git("reading the status", &root, e))?,
        head,
        root,
    })
}

/// Opens the repository that holds `path`; the second value is its checkout's top directory.
pub(super) fn locate(path: &Path) -> Result<(Repository, PathBuf)> {
    prepare_library();
    let repo = Repository::discover(path).map_err(|e| match e.code() {
        ErrorCode::NotFound => GitError::NotARepository { path: path.to_owned() },
        _ if !path.exists() => GitError::NotARepository { path: path.to_owned() },
        _ => GitError::git("opening the repository", path, e),
    })?;
    let root = repo.workdir().map(trimmed).ok_or_else(|| GitError::Bare { path: trimmed(repo.path()) })?;
    Ok((repo, root))
}

/// The repositories of a working directory: the one that holds it, if any.
///
/// # Errors
/// As [`discover`], except that no repository is an empty list.
pub fn find_repositories(root: &Path) -> Result<Vec<RepoInfo>> {
    match discover(root) {
        Ok(info) => Ok(vec![info]),
        Err(GitError::NotARepository { .. }) => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

/// Opens the repository whose top directory is `root`, without searching upwards.
pub(super) fn open(root: &Path) -> Result<Repository> {
    prepare_library();
    let none: [&Path; 0] = [];
    Repository::open_ext(root, RepositoryOpenFlags::NO_SEARCH, none).map_err(|e| match e.code() {
        ErrorCode::NotFound => GitError::NotARepository { path: root.to_owned() },
        _ => GitError::git("opening the repository", root, e),
    })
}

/// Writing among files that workers can change: only below `places`, wherever links lead.
pub(super) fn confined<T: Send>(places: &[PathBuf], work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let paths: Vec<&Path> = places.iter().map(PathBuf::as_path).collect();
    let first = places.first().map_or(Path::new("/"), PathBuf::as_path);
    write_only_below(&paths, work).map_err(|e| GitError::io("working in", first, e))?
}

/// libgit2 refuses repositories of other users because *git* would run their hooks. Nothing here runs anything, and
/// the daemon serves repositories that its user owns through a user namespace: the check is switched off once.
fn prepare_library() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: changes a process-wide flag of libgit2 before this module opens its first repository; every opening
        // goes through this function first, and `Once` orders the write before any reader here.
        let _ = unsafe { git2::opts::set_verify_owner_validation(false) };
    });
}

/// The branch HEAD names, born or not.
pub(super) fn current_branch(repo: &Repository) -> Option<String> {
    let head = repo.find_reference("HEAD").ok()?;
    head.symbolic_target()?.strip_prefix("refs/heads/").map(str::to_owned)
}

fn is_dirty(repo: &Repository) -> std::result::Result<bool, git2::Error> {
    let mut options = DiffOptions::new();
    options.ignore_submodules(true).skip_binary_check(true);
    let tree = repo.head()?.peel_to_tree()?;
    if repo.diff_tree_to_index(Some(&tree), None, Some(&mut options))?.deltas().len() > 0 {
        return Ok(true);
    }
    Ok(repo.diff_index_to_workdir(None, Some(&mut options))?.deltas().len() > 0)
}

/// libgit2 ends directories with a slash; a path for people does not.
pub(super) fn trimmed(path: &Path) -> PathBuf {
    path.components().collect()
}
