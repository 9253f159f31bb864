//! `doctor`: what this machine needs, each with the command that mends it, and mending it.
//!
//! - [`checks`]: the list. [`mend`]: apt-get, modprobe and the programs that run inside sandboxes.
//! - [`show`]: the verb.

mod checks;
mod mend;
mod show;

pub(super) use mend::prepare;
pub(super) use show::run;
