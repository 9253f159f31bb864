//! The servers of tools, used for real: Claude Code and Codex, on the host with one server each and in sandboxes where
//! their missions selected it, with a scripted model. What the model was shown is read from what was sent to it. Needs
//! the CLIs, see `sandboxed_testkit::cli`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::print_stderr, reason = "a failing test tells the daemon's log")]

#[path = "../agents/mod.rs"]
mod agents;
#[path = "../support/mod.rs"]
mod support;

#[path = "../client/mod.rs"]
mod outside;

mod browser;
mod client;
mod desktop;
mod game;
mod inside;
mod missions;
mod workspace;
