//! A daemon of one's own for a test: short data directory, free port, sample repository, kill and restart at will, and
//! at the end the proof that nothing of it is left on the machine.
//!
//! ```ignore
//! let mut daemon = Daemon::start().await;
//! let made = daemon.create("boss", json!([{"title": "t", "backend": "command", "prompt": "echo hi"}])).await;
//! daemon.wait_all("boss", &made.ids()).await;
//! daemon.finish().await;
//! ```
#![allow(dead_code, unused_imports, clippy::allow_attributes, reason = "each test binary uses a part of it")]

mod calls;
mod daemon;
mod leftovers;
mod repository;

pub use calls::*;
pub use daemon::*;
pub use leftovers::Leftovers;
pub use repository::*;
