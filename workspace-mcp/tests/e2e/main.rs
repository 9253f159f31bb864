//! The built `workspace-mcp`, used by a real MCP client over its stdin and stdout as agents use it.

#![expect(clippy::unwrap_used, reason = "helpers of a test may panic as the test may")]

mod escape;
mod fetch;
mod files;
mod git;
mod jobs;
mod lifetime;
mod protocol;
mod search;
mod stage;
mod terminal;
