//! The built `desktop-mcp`, used by a real MCP client over its stdin and stdout as agents use it, on real X servers.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of a test may panic as the test may")]

mod browser;
mod browsing;
mod dragging;
mod dying;
mod elements;
mod game;
mod hands;
mod launching;
mod lifetime;
mod manager;
mod pointer;
mod programs;
mod protocol;
mod screen;
mod stage;
mod watching;
mod windows;
