//! The workspace's directory and the way into it: every file is opened by the kernel's own rule that nothing outside of
//! the root can be reached (`openat2` with `RESOLVE_BENEATH`), so no `..`, symbolic link or race leads out.
//!
//! - [`path`]: from a client's words to a path below the root.
//! - [`open`]: the root itself, opening, and the parent for calls that name an entry.

mod open;
mod path;

pub use open::{Root, STATE_DIR, TRASH};
pub use path::RelPath;
