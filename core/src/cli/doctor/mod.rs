//! `doctor`: what this machine needs, each with the command that mends it, and mending it.
//!
//! - [`checks`]: the list; [`desktop`] is a part of it. [`mend`]: apt-get, modprobe, sysctl and the programs that run
//!   inside sandboxes.
//! - [`show`]: the verb.

mod checks;
mod desktop;
mod mend;
mod show;

pub(super) use mend::prepare;
pub(super) use show::run;
