//! From a workspace wish to an ordered plan: what is mounted where, with which capabilities, limits and arguments.
//!
//! - [`spec`]: what a sandbox is asked to be.
//! - [`plan`]: the same as layers, arguments and environment; a value that can be shown and compared.
//! - [`egress`]: what a sandbox with a network of its own may reach.
//! - [`repository`]: how a git repository is bound so that the owner's next `git` on the host runs nobody else's code.
//! - [`template`]: what an image is made of and what workspaces of it begin with.
//! - [`uids`]: which user ids a sandbox gets.
//! - [`paths`]: which paths can be expressed to the tools underneath.

pub mod egress;
pub mod paths;
pub mod plan;
pub mod repository;
pub mod spec;
pub mod template;
pub mod uids;

pub use egress::AllowRule;
pub use paths::{PathRefused, check_layer, check_target, quote_bind};
pub use plan::{
    INSIDE_CONTROL, INSIDE_RUNNER, MOST_LOWERS, MountPoint, OverlayPlan, SandboxPlan, WORKLOAD_CAPABILITIES,
    dropped_capabilities, plan,
};
pub use repository::{RepositoryLayout, repository_binds};
pub use spec::{Bind, IdMap, Limits, Network, Registration, SandboxSpec, SpecError};
pub use template::{DEFAULT_TEMPLATE, Template, TemplateSources, built_in_templates, resolve_template};
pub use uids::{FIRST_UID_BASE, LAST_UID_BASE, UIDS_PER_SANDBOX, next_uid_base};
