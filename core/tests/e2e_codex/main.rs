//! What only Codex does: goals, plans, messages into the running turn. The real CLI in a real sandbox, through the real
//! daemon, against the stub model server; what it has in common with others is in `e2e_harness`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::print_stderr, reason = "a failing test tells the daemon's log")]

#[path = "../agents/mod.rs"]
mod agents;
#[path = "../support/mod.rs"]
mod support;

mod goals;
mod logins;
mod plans;
mod steering;
