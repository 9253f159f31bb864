//! The life of a mission, and how its end is judged.

mod clocks;
mod cursor;
mod outcome;
mod record;
mod setback;
mod status;
mod verdict;

pub use clocks::*;
pub use cursor::*;
pub use outcome::*;
pub use record::*;
pub use setback::*;
pub use status::*;
pub use verdict::*;
