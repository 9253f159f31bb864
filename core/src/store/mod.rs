//! SQLite: the event log and the tables that are read off it. One writer thread, a few readers, no async inside.
//!
//! Callers pass closures that run in one transaction; the functions of the submodules are what such a closure is made
//! of. After a commit the newest sequence numbers are published, so that streams and waits are pushed and never poll.

mod attention;
mod blocking;
mod clocks;
mod counts;
mod events;
mod files;
mod handle;
mod limits;
mod mcp;
mod messages;
mod missions;
mod requests;
mod runs;
mod schema;
mod stamps;
mod workspaces;
mod writer;

pub use attention::*;
pub use blocking::*;
pub use clocks::*;
pub use counts::*;
pub use events::*;
pub use files::*;
pub use handle::*;
pub use limits::*;
pub use mcp::*;
pub use messages::*;
pub use missions::*;
pub use requests::*;
pub use runs::*;
pub use stamps::*;
pub use workspaces::*;
pub use writer::Tx;

#[cfg(test)]
mod tests;
