//! `demo`: the main job from end to end, as a boss would do it.
//!
//! doctor --fix → daemon → repository → boss over MCP (the real `mcp-orchestrator`) → image → four workers → records →
//! merge → table. Whatever happens, Ctrl-C included, the sandbox is stopped at the end, and the daemon too when it was
//! not there before.
//!
//! - [`run`]: the story. [`boss`]: the MCP client. [`workers`]: the four tasks. [`repository`]: what they work on.
//! - [`watch`]: waiting and progress; [`progress`]: how it looks. [`report`]: records and the table.
//! - [`cleanup`]: leaving nothing behind.

mod boss;
mod cleanup;
mod progress;
mod report;
mod repository;
mod run;
mod watch;
mod workers;

pub(super) use run::run;
