//! `connect`: the settings with which an agent's client becomes a boss. Everything else in its files is kept.
//!
//! - [`claude`]: `.mcp.json` of the current directory. [`codex`]: `config.toml`.
//! - [`install`]: shows what changes and writes it.

mod claude;
mod codex;
mod install;

pub(super) use install::{commands, run};

/// Name of the server in a client's settings; its tools are called `mcp__orchestrator__…`.
const SERVER: &str = "orchestrator";
/// Longest blocking of `wait_for_any_worker`, in seconds: below the limits that the settings give the client.
const MAX_WAIT: &str = "3600";
