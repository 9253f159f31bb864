//! Commands of the workspace. Each is a run of the host runner (`sandbox-runner`), which this program carries in itself
//! and starts as a process of its own: it outlives the MCP server, writes output to files, and records how each run
//! ended. A job that is not durable ends with the server that started it, however that ends: the runner holds the
//! reading end of a pipe (its lease) whose writing end only the server has.
//!
//! - [`runner`]: starting the runner and talking to it.
//! - [`watch`]: the files of runs tell when something happened.
//! - [`store`]: what is kept of jobs, and how much.
//! - [`run`], [`output`], [`input`], [`list`]: the tools.
//! - [`screen`]: what a terminal shows.

mod input;
mod list;
mod output;
mod run;
mod runner;
mod screen;
mod store;
mod view;
mod watch;

pub use input::{InputParams, SignalParams};
pub use list::{JobView, ListJobsParams, ListJobsResponse};
pub use output::OutputParams;
pub use run::RunParams;
pub use runner::serve;
pub use view::Jobs;
