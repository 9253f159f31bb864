//! The daemon's lifecycle, for those who start it and for the daemon itself.
//!
//! Files under `<data dir>/daemon/`:
//!
//! | file | written by | meaning |
//! |---|---|---|
//! | `lock` | daemon | held (flock) while it lives: one daemon for a data directory; holds pid and address in words |
//! | `start.lock` | starter | held while starting, stopping or replacing, so that two starters make one daemon |
//! | `daemon-{host}-{port}.pid` | daemon | first line its pid, second the start time of that process |
//! | `daemon-{host}-{port}.version` | daemon | build id of the running executable |
//! | `daemon-{host}-{port}.log` | starter | its stdout and stderr, appended; rotated at start |
//!
//! A pid counts only together with its start time, so a reused pid is never taken for the daemon and never
//! signalled. What `serve` does for it stands in `examples/serve.rs`: [`ReadySignal::from_env`] first of all,
//! [`DaemonLock::acquire`], [`DaemonLock::bind`], its own start, [`DaemonLock::publish`], [`ReadySignal::send`], then
//! accept; at the end the listener is closed before the lock is dropped, which removes pid and version file.

mod build_id;
mod ensure;
mod files;
mod lock;
mod log;
mod process;
mod program;
mod ready;
mod start;
mod stop;

pub use build_id::{build_id_of, own_build_id};
pub use ensure::{DaemonStatus, Notice, ensure_running, status};
pub use files::StateFiles;
pub use lock::DaemonLock;
pub use log::log_tail;
pub use process::ProcessId;
pub use program::find_program;
pub use ready::{READY_FD_VARIABLE, ReadySignal};
pub use start::{Auth, StartOptions, StartOutcome, start};
pub use stop::{StopOutcome, stop};
