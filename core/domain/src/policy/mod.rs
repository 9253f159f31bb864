//! Limits and validation rules shared by all doors.

mod budget;
mod params;
mod permission;
mod validate;

pub use budget::*;
pub use params::*;
pub use permission::*;
pub use validate::*;
