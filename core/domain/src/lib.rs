//! Values and decisions of sandboxed-sh. Pure: no tokio, no files, no clock, no network.
//!
//! - [`api`]: parameters and responses of every operation, the one contract of all doors.
//! - [`mission`]: the life of a mission as a state machine, and how an outcome is judged.
//! - [`harness`]: launch plan and codec for each harness, one normalised event type.
//! - [`library`]: what a Library holds, what is wrong with it, and what a mission gets of it.
//! - [`sandbox`]: from a workspace's wishes to an ordered plan of mounts, argv and limits.
//! - [`policy`]: limits and validation rules shared by all doors.
//! - [`smoke`]: what a live backend has to show.

pub mod api;
pub mod harness;
pub mod library;
pub mod mission;
pub mod policy;
pub mod sandbox;
pub mod smoke;
