//! The life of a mission, and how its end is judged.

mod outcome;
mod record;
mod status;
mod verdict;

pub use outcome::*;
pub use record::*;
pub use status::*;
pub use verdict::*;
