//! What can go wrong with git, as data: each variant has a stable code and a hint.

use std::io;
use std::path::{Path, PathBuf};

use sandboxed_domain::api::{ApiError, ErrorCode};

/// Result of every function of this module.
pub type Result<T, E = GitError> = std::result::Result<T, E>;

/// An error of the git layer.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the sentence names")]
pub enum GitError {
    #[error("{} is not inside a git repository", path.display())]
    NotARepository { path: PathBuf },
    #[error("{} is a bare repository", path.display())]
    Bare { path: PathBuf },
    #[error("the repository {} has no commit yet", repo.display())]
    NoCommits { repo: PathBuf },
    #[error("base {base:?} names no commit in {}", repo.display())]
    UnknownBase { repo: PathBuf, base: String },
    #[error("{branch:?} is not a legal branch name")]
    BadBranch { branch: String },
    #[error("{name:?} is not a legal worktree name")]
    BadName { name: String },
    #[error("branch {branch:?} already exists in {}", repo.display())]
    BranchExists { repo: PathBuf, branch: String },
    #[error("{} already exists", path.display())]
    PathTaken { path: PathBuf },
    #[error("{} cannot hold a worktree: {why}", path.display())]
    BadPath { path: PathBuf, why: &'static str },
    #[error("{what} in {} is held by somebody else", repo.display())]
    Busy { repo: PathBuf, what: String },
    #[error("{} no longer leads to its own entry in the repository: {why}", worktree.display())]
    Redirected { worktree: PathBuf, why: String },
    #[error("{} is not a plain file or directory", path.display())]
    SpecialFile { path: PathBuf },
    #[error("{} has uncommitted changes in {files} files", root.display())]
    MainDirty { root: PathBuf, files: usize },
    #[error("{} is on no branch", root.display())]
    DetachedHead { root: PathBuf },
    #[error("{} is in the middle of {what}", root.display())]
    InProgress { root: PathBuf, what: String },
    #[error("no branch {branch:?} in {}", repo.display())]
    UnknownBranch { repo: PathBuf, branch: String },
    #[error("{cursor:?} is not a cursor of this diff")]
    BadCursor { cursor: String },
    #[error("no space left while {doing} {}", path.display())]
    DiskFull { doing: &'static str, path: PathBuf },
    #[error("{doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{doing} in {}: {}", repo.display(), source.message())]
    Git { doing: &'static str, repo: PathBuf, source: git2::Error },
}

impl GitError {
    /// An i/o error with what was being done and where; a full disk becomes [`GitError::DiskFull`].
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => Self::DiskFull { doing, path },
            _ => Self::Io { doing, path, source },
        }
    }

    /// A libgit2 error with what was being done and where; a full disk becomes [`GitError::DiskFull`].
    pub(super) fn git(doing: &'static str, repo: &Path, source: git2::Error) -> Self {
        let text = source.message();
        if text.contains("No space left on device") || text.contains("Disk quota exceeded") {
            return Self::DiskFull { doing, path: repo.to_owned() };
        }
        Self::Git { doing, repo: repo.to_owned(), source }
    }

    /// The stable code of this error.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotARepository { .. } | Self::Bare { .. } => ErrorCode::NotARepository,
            Self::NoCommits { .. } | Self::UnknownBase { .. } => ErrorCode::UnknownBaseRef,
            Self::BadBranch { .. } | Self::BadName { .. } | Self::BadCursor { .. } => {
                ErrorCode::InvalidArgument
            }
            Self::BranchExists { .. } => ErrorCode::BranchExists,
            Self::BadPath { .. } => ErrorCode::PathOutsideWorkspace,
            Self::PathTaken { .. } | Self::Busy { .. } => ErrorCode::Conflict,
            Self::UnknownBranch { .. } => ErrorCode::NotFound,
            Self::MainDirty { .. } | Self::DetachedHead { .. } | Self::InProgress { .. } => {
                ErrorCode::WrongState
            }
            Self::DiskFull { .. } => ErrorCode::DiskFull,
            Self::Redirected { .. } | Self::SpecialFile { .. } | Self::Io { .. } | Self::Git { .. } => {
                ErrorCode::GitFailed
            }
        }
    }

    /// What to do about it; never empty.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotARepository { .. } => {
                "name a directory inside a git repository, or run `git init` there"
            }
            Self::Bare { .. } => "use a checkout of the repository",
            Self::NoCommits { .. } => "make a first commit",
            Self::UnknownBase { .. } => {
                "name an existing branch, tag or commit, or leave `base` out for HEAD"
            }
            Self::BadBranch { .. } => "see `git check-ref-format --branch`",
            Self::BadName { .. } => "use letters, digits, `-`, `_` and `.`",
            Self::BranchExists { .. } => "choose another branch name, or delete the old branch",
            Self::PathTaken { .. } => "choose another path, or move away what is there",
            Self::BadPath { .. } => "choose an absolute path outside the repository's .git directory",
            Self::Busy { .. } => "try again when the other process is done",
            Self::Redirected { .. } => {
                "the worker changed the worktree's .git file; look at the directory by hand"
            }
            Self::SpecialFile { .. } => "remove the pipe, socket or device; git cannot read it",
            Self::MainDirty { .. } => "commit or stash the changes in the main checkout, then merge again",
            Self::DetachedHead { .. } => "check out a branch in the main checkout",
            Self::InProgress { .. } => "finish or abort it first",
            Self::UnknownBranch { .. } => "`git branch --list` shows the branches",
            Self::BadCursor { .. } => "start again without a cursor",
            Self::DiskFull { .. } => "free some space; nothing half-made was left behind",
            Self::Io { .. } => "check that the path exists and that the daemon may write there",
            Self::Git { .. } => "`git fsck` in the repository shows whether it is whole",
        }
    }
}

impl From<GitError> for ApiError {
    fn from(error: GitError) -> Self {
        Self::new(error.code(), error.to_string()).hint(error.hint())
    }
}
