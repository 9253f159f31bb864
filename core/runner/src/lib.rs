//! The runner: PID 1 of a container sandbox, supervisor of runs on the host workspace. This library holds what the
//! daemon and tests share with the program: the protocol, a blocking client, and the syscall filter.
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

pub mod client;
pub mod frame;
pub mod launch;
pub mod protocol;
pub mod seccomp;
pub mod socket;
