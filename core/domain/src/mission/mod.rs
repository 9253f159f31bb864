//! The life of a mission.

mod status;

pub use status::*;
