//! Workspaces: records, directories, and the sandbox that each has while it is used.

mod changes;
mod disk;
mod fork;
mod idle;
mod images;
mod inside;
mod paths;
mod records;
mod running;
mod shared;

pub use changes::*;
pub use fork::*;
pub use idle::*;
pub use images::*;
pub use inside::*;
pub use paths::*;
pub use records::*;
pub use running::*;
pub use shared::*;
