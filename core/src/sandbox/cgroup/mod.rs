//! A cgroup for every sandbox and every run: `<root>/sandboxed-sh/<instance>/<machine>/{main,<run id>}` in every
//! hierarchy of the host, be it one (v2) or several (v1, or v1 with an empty v2 beside it).
//!
//! - [`hierarchy`]: what is mounted here.
//! - [`tree`]: where the groups of an instance are; finds what an earlier daemon left.
//! - [`group`]: one group: members, killing, removal, figures.
//! - [`limits`]: limits in the words of each version.
//! - `share`: what all of them may have together.
//! - [`watch`]: being told that a limit was hit.

pub mod group;
pub mod hierarchy;
pub mod limits;
mod share;
pub mod tree;
pub mod watch;

pub use group::{Group, StopControl, Usage};
pub use hierarchy::{Controller, Hierarchies, Hierarchy, Version};
pub use tree::{CgroupTree, MachineCgroup};
pub use watch::{LimitEvent, LimitWatch};

use std::path::{Path, PathBuf};

/// What went wrong with a cgroup.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A file of the cgroup file system refused.
    #[error("cgroup {action} of {path}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The host does not offer a controller that a limit needs.
    #[error("the cgroup controller `{}` is not available", controller.as_str())]
    ControllerMissing {
        /// Which one.
        controller: Controller,
    },
    /// Processes are still in it after they were killed.
    #[error("cgroup {path} still has {processes} processes", path = path.display())]
    Busy {
        /// Which group.
        path: PathBuf,
        /// How many.
        processes: usize,
    },
    /// A name that is not one path component.
    #[error("{name:?} cannot name a cgroup")]
    Name {
        /// The offending name.
        name: String,
    },
}

impl CgroupError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
