//! `smoke`: one live backend, with real keys, against what is expected of it (see `sandboxed_domain::smoke`).
//!
//! - [`run`]: the story. [`place`]: workspace and mission, and leaving nothing of them. [`talk`]: both messages.
//! - [`report`]: what was found.

mod place;
mod report;
mod run;
mod talk;

pub(super) use run::run;
