//! The MCP servers as they are built, held to the protocol by others' tools: the conformance suite of the specification,
//! the inspector's strict reading of the tools, and a scanner for descriptions that would mislead a model. `.ci/test`
//! installs them and names them in variables; see `sandboxed_testkit::cli`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::print_stderr, reason = "a failing test tells the daemon's log")]

#[path = "../support/mod.rs"]
mod support;

mod door;
mod scan;
mod servers;
mod strict;
mod suite;
