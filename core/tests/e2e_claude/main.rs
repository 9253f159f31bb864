//! Rules that want an agent, and no matter which, and what is Claude Code's own: with the real CLI in real sandboxes,
//! against the stub model server. What every agent does is in `e2e_harness`. Needs the CLI, see
//! `sandboxed_testkit::cli`; without it the tests fail. To run all others: `-E 'not binary(e2e_claude)'`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::print_stderr, reason = "a failing test tells the daemon's log")]

#[path = "../agents/mod.rs"]
mod agents;
#[path = "../support/mod.rs"]
mod support;

mod clocks;
mod files;
mod installing;
mod keys;
mod limits;
mod logins;
mod messages;
mod models;
mod outcomes;
mod permissions;
mod questions;
mod stage;
mod stalls;
