//! Parameters and responses of every operation. Types only; the tools' schemas are held by a golden file in mcp-orchestrator.

mod cleanup;
mod control;
mod error;
mod event;
mod library;
mod losses;
mod orchestrator;
mod record;
mod storage;
mod worker_spec;
mod workspace;

pub use cleanup::*;
pub use control::*;
pub use error::*;
pub use event::*;
pub use library::*;
pub use losses::*;
pub use orchestrator::*;
pub use record::*;
pub use storage::*;
pub use worker_spec::*;
pub use workspace::*;
