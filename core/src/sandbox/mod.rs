//! Sandboxes: systemd-nspawn machines whose first process is our runner, and the host's own runner.
//!
//! - [`cgroup`]: a cgroup for every sandbox and every run, with limits and figures.
//! - [`process`]: processes by identity.

pub mod cgroup;
pub mod process;
mod watched;
