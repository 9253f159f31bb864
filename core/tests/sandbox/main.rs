//! Sandboxes for real: systemd-nspawn, the kernel's own walls, and what is left afterwards. Needs root.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod escapes;
mod fetching;
mod image;
mod inside;
mod internet;
mod lifecycle;
mod limits;
mod network;
mod support;
