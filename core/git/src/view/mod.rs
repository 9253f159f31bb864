//! Looking at a repository that somebody else may have put together with ill intent: status, differences, history and
//! worktrees, for callers that change nothing.
//!
//! - [`open`]: which repository holds a directory, and that nothing outside of a workspace is read by a trick.
//! - [`changes`], [`difference`]: what is not committed, and what differs between two states.
//! - [`history`]: commits. [`worktrees`]: the checkouts of a repository.

mod changes;
mod difference;
mod history;
mod open;
mod worktrees;

pub use changes::{Change, Changes};
pub use difference::{Between, Difference, FileDifference, Side};
pub use history::{Commit, History};
pub use open::{Standing, Upstream, View};
pub use worktrees::WorktreeInfo;
