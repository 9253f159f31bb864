//! Workers and missions with the real Claude Code in real sandboxes, against the stub model server. Needs the CLI, see
//! `sandboxed_testkit::cli`; without it the tests fail. To run all others: `-E 'not binary(e2e_claude)'`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::print_stderr, reason = "a failing test tells the daemon's log")]

#[path = "../support/mod.rs"]
mod support;

mod crashes;
mod faults;
mod files;
mod messages;
mod outcomes;
mod permissions;
mod questions;
mod stage;
mod stopping;
mod turns;
