//! Client side of sandboxed-sh: where the daemon is, how to talk to it, and how to make sure it runs.
//!
//! - [`Settings`]: the `SANDBOXED_SH_*` environment, read once.
//! - [`Client`]: every route of the HTTP API as a typed method, over TCP or a unix socket.
//! - [`daemon`]: start, stop, status and ensure-running, and what `serve` itself has to do for them.
//!
//! A library: it prints nothing, and no token reaches argv, a log or an error.

pub mod daemon;
mod http;
mod settings;

pub use http::*;
pub use settings::*;
