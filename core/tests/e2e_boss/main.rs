//! Real bosses: Claude Code and Codex on the host with our MCP server, spawning, awaiting, reading and resuming workers.
//! Needs the CLIs, see `sandboxed_testkit::cli`; without them the tests fail. To run all others:
//! `-E 'not binary(e2e_boss)'`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::print_stderr, reason = "a failing test tells the daemon's log")]

#[path = "../agents/mod.rs"]
mod agents;
#[path = "../client/mod.rs"]
mod client;
#[path = "../support/mod.rs"]
mod support;

mod boss;
mod fleet;
mod mixed;
