//! The servers of tools, used for real: Claude Code and Codex on the host, each with one server and a scripted model. What
//! the model was shown is read from what was sent to it. Needs the CLIs, see `sandboxed_testkit::cli`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod client;
mod desktop;
mod workspace;
