//! The runner: PID 1 of a container sandbox, supervisor of runs on the host workspace. This library is the whole of it,
//! for its own program and for programs that carry a host runner in themselves, and holds what its clients share with
//! it: the protocol, a blocking client, and the syscall filter.
//!
//! # Building
//! In a sandbox nothing of the host is there, so the program is linked statically:
//!
//! ```sh
//! cargo rustc -p sandbox-runner --bin sandbox-runner --release -- -C target-feature=+crt-static
//! ```
//!
//! gives a static-pie binary that needs no file of its root. The flag goes to this one target only; given through
//! `RUSTFLAGS` it would break the building of proc macros.

mod caps;
mod cgroup;
pub mod client;
mod connection;
pub mod frame;
pub mod host;
pub mod init;
mod kernel;
pub mod launch;
pub mod protocol;
mod records;
mod run;
mod scope;
pub mod seccomp;
mod server;
pub mod socket;
mod spawn;
mod stdin;
mod supervisor;
pub mod terminal;
