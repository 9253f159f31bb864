//! What this host must have for sandboxes, each with the command that mends it. `doctor` shows all of it and tries it; a
//! start asks [`ensure_supported`] and never falls back to something weaker.
//!
//! - [`check`]: one finding. [`host`]: what is seen at a glance.
//! - [`trials`]: what is tried: namespaces, mounts, the filter, limits, and a whole sandbox.
//! - [`files`]: what the data directory's file system can do. [`ids`]: whose user ids those of sandboxes are.

mod check;
mod files;
mod host;
mod ids;
mod trials;

pub use check::{Check, Need};
pub use host::{ensure_nat, ensure_supported, image_builder};
pub use trials::checks;
