//! Limits and validation rules shared by all doors.

mod budget;
mod disk;
mod network;
mod params;
mod permission;
mod steering;
mod storage;
mod validate;

pub use budget::*;
pub use disk::*;
pub use network::*;
pub use params::*;
pub use permission::*;
pub use steering::*;
pub use storage::*;
pub use validate::*;
