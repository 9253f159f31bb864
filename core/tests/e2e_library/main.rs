//! The Library from end to end: the real daemon and command line, real git remotes, and real agents that see what the
//! Library has. Needs the CLIs of Claude Code and Codex, see `sandboxed_testkit::cli`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::print_stderr, reason = "a failing test tells the daemon's log")]

#[path = "../agents/mod.rs"]
mod agents;
#[path = "../support/mod.rs"]
mod support;

mod access;
mod editing;
mod mcp;
mod missions;
mod places;
mod remotes;
mod served;
mod shelf;
mod ssh;
mod sshd;
mod states;
