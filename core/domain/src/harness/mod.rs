//! One adapter for each agent CLI: a launch plan and a codec, both pure.

mod event;
mod plan;

pub use event::*;
pub use plan::*;
