//! The operations: one typed function each, called by every door. Doors parse, call and convert; rules live here and in
//! the domain.

mod answers;
mod backends;
mod batch;
mod caller;
mod cleanup;
mod control;
mod destroy;
mod entry;
mod forks;
mod metrics;
mod models;
mod pages;
mod record;
mod removal;
mod shell;
mod spaces;
mod spares;
mod state;
mod supplies;
mod tools;
mod wait;
mod workers;

pub use caller::*;
pub use shell::*;
pub use state::*;
