//! Repositories of the workspace, to look at: `git_status`, `git_diff`, `git_log`. Nothing is changed and nothing that a
//! repository names is run; see [`sandboxed_git`].

mod diff;
mod log;
mod place;
mod status;

pub use diff::{DiffParams, git_diff};
pub use log::{LogParams, git_log};
pub use status::{StatusParams, git_status};
