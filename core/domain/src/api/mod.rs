//! Parameters and responses of every operation. Types only; checked against `contract.md` by schema snapshots.

mod control;
mod error;
mod event;
mod orchestrator;
mod workspace;

pub use control::*;
pub use error::*;
pub use event::*;
pub use orchestrator::*;
pub use workspace::*;
