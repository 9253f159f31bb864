//! Sandboxes: systemd-nspawn machines whose first process is our runner, and the host's own runner. They outlive the
//! daemon and are found again by identity.
//!
//! - [`probe`]: what the host must have; never is anything run in something weaker instead.
//! - [`machine`]: one sandbox: start, adopt, stop. [`host`]: the host's runner likewise.
//! - [`handle`]: runs of either. [`network`]: what a sandbox can reach; [`egress`]: its way out.
//! - [`cgroup`]: a cgroup for every sandbox and every run, with limits and figures.
//! - [`image`]: read-only root file systems. [`repository`]: how a repository is made ready to be bound.
//! - [`disk`]: a file system of its own for a workspace that may only take so much.
//! - [`fill`]: what lies in a folder that workers write to.
//! - [`layer`]: frozen layers, which forks begin with.
//! - [`record`]: what is written down for the next daemon. [`process`]: processes by identity.
//! - [`runner_path`]: where the runner's program is.

pub mod cgroup;
pub mod disk;
pub mod egress;
pub mod error;
pub mod fill;
pub mod handle;
pub mod host;
pub mod image;
pub mod layer;
pub mod machine;
pub mod network;
pub mod probe;
pub mod process;
pub mod record;
pub mod repository;
pub mod runner_path;
mod starting;
mod watched;

pub use cgroup::{CgroupTree, Group, LimitEvent, LimitWatch, Usage};
pub use error::SandboxError;
pub use handle::{RunFigures, RunRequest, RunnerHandle, StartedRun};
pub use host::{HOST, HostRunner};
pub use image::{BUILD_PATIENCE, BuildProgress, Image, ImageRecipe, ImageRecord, ImageStore, disk_bytes};
pub use machine::{START_PATIENCE, Sandbox, Stopped, remove_leftovers};
pub use probe::{Check, Need, checks, ensure_supported};
pub use process::name_and_state;
pub use repository::prepare_repository;
pub use runner_path::runner_path;
pub(crate) use watched::watched;
