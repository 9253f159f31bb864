//! The Library's folder: a git repository below the data directory, read for missions, changed by people, and fetched
//! from a remote where there is one.
//!
//! What lies in the repository goes through libgit2, which knows no hooks and no external filters; no link is made by a
//! checkout, and none is followed. Only the transport of fetch and push is the host's own `git`, so that SSH agents,
//! known hosts, proxies and certificates count as they do for its user; it is given an environment of its own, and
//! touches nothing but objects and remote-tracking refs.
//!
//! The files as they lie there serve, committed or not, so an edit is in force for the next mission. A remote that does
//! not answer is no reason to stop: what was last brought in serves.

mod bring;
mod change;
mod edit;
mod error;
mod handle;
mod history;
mod read;
mod repository;
mod secrets;
mod settings;
mod ssh;
mod starter;
mod status;
mod transport;

pub use handle::*;
pub use read::check_folder;
pub use settings::*;
