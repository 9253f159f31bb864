//! The built `mcp-orchestrator`, driven over its real stdin and stdout (and HTTP) as clients do, against a
//! scripted daemon. Messages are written out by hand, so that what is on the wire is what is checked.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of a test may panic as the test itself may"
)]

mod client;
mod fake;
mod http;
mod protocol;
mod recovery;
mod waiting;
