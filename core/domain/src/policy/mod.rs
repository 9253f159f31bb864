//! Limits and validation rules shared by all doors.

mod budget;
mod params;
mod validate;

pub use budget::*;
pub use params::*;
pub use validate::*;
