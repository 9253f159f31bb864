//! The daemon itself: what `sandboxed-sh serve` runs until it is told to stop.

mod serve;
mod token;

pub use serve::{ServeOptions, max_parallel, serve};
