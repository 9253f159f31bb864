//! Frozen layers: what a workspace had above its image at one moment, kept for the forks that begin with it.
//!
//! ```text
//! workspace   image <- upper (live)
//! fork        image <- frozen copy of that upper <- upper of its own
//! ```
//! A live upper must not lie under another overlay, and ext4 cannot share blocks. So the copy is made once and shared:
//! by all forks of the same state, and, file by file through hard links, by the copies of later states. A fork that
//! finds nothing changed costs a walk over the upper's entries, whatever they hold.
//!
//! - [`walk`]: an upper as entries with marks that change when they do. [`copy`]: the frozen copy.
//!
//! The upper may be changing while it is read, by processes that know who reads: every step is taken from a descriptor
//! of its directory, and no link is followed.

mod copy;
mod walk;

pub use copy::freeze;
pub use walk::{Entry, Kind, Marks, walk};
