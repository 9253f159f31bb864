//! Git for workers: worktrees made and removed safely, facts and diffs read without trusting what a worker wrote.
//!
//! Everything goes through libgit2, which knows no hooks, no external filters, no fsmonitor and no external diff:
//! reading a repository that a worker could write to never starts a program. All functions block; async callers use
//! `spawn_blocking`.
//!
//! - [`repository`]: which repository holds a path.
//! - [`worktree`]: validate and create, one repository at a time; [`spare`] keeps trees ready in advance.
//! - [`facts`], [`diff`]: what a worker did, from the real common directory and never from the worktree's `.git` file.
//! - [`view`]: status, differences, history and worktrees of a repository, for whoever only looks.
//! - [`remove`], [`merge`]: the two ways a worktree ends; neither loses work, unless somebody says so ([`discard`]).
//! - [`confine`]: writing among files that workers can change.
//! - [`Lacking`]: submodules and pointers of Git LFS, which a worktree does not fill.
//! - [`sample`]: a small repository to try things in.
//!
//! Invariants: a worktree exists wholly or not at all; nothing dirty, untracked or unmerged is deleted; no config is
//! ever written to the repository.

mod admin;
mod attributes;
mod checkout;
pub mod confine;
pub mod diff;
mod error;
pub mod facts;
mod lacking;
mod lock;
pub mod merge;
mod owner;
mod populate;
mod refs;
pub mod remove;
pub mod repository;
pub mod sample;
pub mod spare;
mod status;
pub mod view;
mod workdir;
pub mod worktree;
mod write;

pub use confine::write_only_below;
pub use diff::diff_page;
pub use error::{GitError, Result};
pub use facts::facts;
pub use lacking::{Lacking, Paths};
pub use merge::{MergeKind, Merged, merge_branch};
pub use remove::{KeptBecause, Removal, discard, remove, why_kept};
pub use repository::{RepoInfo, discover, find_repositories};
pub use sample::init_sample;
pub use spare::Spares;
pub use status::ChangeKind;
pub use worktree::{CreatedWorktree, Route, Validated, WorktreeRequest, create, reclaim, validate};
