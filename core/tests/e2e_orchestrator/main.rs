//! The boss's tools end to end, through the real daemon, with command workers in real sandboxes.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "figures are told, and the fixture uses some of these"
)]

mod batches;
mod disks;
mod endings;
mod forks;
mod inside;
mod lacking;
mod limits;
mod records;
mod sharing;
#[path = "../support/mod.rs"]
mod support;
mod waits;
