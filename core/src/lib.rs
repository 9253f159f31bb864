//! The sandboxed-sh daemon and CLI, in layers; each uses only those to its right:
//! cli · daemon -> http -> app -> mission -> workspace -> harness · git -> sandbox -> store.

pub mod app;
pub mod cli;
pub mod daemon;
pub mod harness;
pub mod http;
pub mod library;
pub mod mission;
pub mod sandbox;
pub mod store;
pub mod workspace;

/// Worktrees, facts and diffs: a package of its own, because agents' tools read repositories with the same care.
pub use sandboxed_git as git;
