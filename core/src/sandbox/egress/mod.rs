//! The way out of a sandbox with a network of its own: a process for each such sandbox, started by its launcher, in the
//! host's network and the sandbox's cgroup. It outlives the daemon and ends with the sandbox.
//!
//! - [`nat`]: a userspace network stack (`pasta`) on a device in the sandbox's namespace.
//! - [`proxy`]: an HTTP proxy on the sandbox's loopback that connects to named hosts; [`hello`] reads which host a TLS
//!   client asks for.

mod hello;
mod nat;
mod proxy;

use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use sandbox_runner::launch::{EGRESS_LISTENER_FD, EGRESS_OWNER_FD, EGRESS_READY_FD};
use sandboxed_domain::sandbox::AllowRule;

use super::process::PidFd;

/// Serves until the sandbox's nspawn has ended. The descriptors are those of
/// [`sandbox_runner::launch::NetworkPlan::egress`].
///
/// # Errors
/// What could not be set up; the launcher was told.
pub fn run(allow: Option<Vec<AllowRule>>) -> Result<(), String> {
    let (owner, ready) = (PidFd::from(inherited(EGRESS_OWNER_FD)?), Ready(Some(inherited(EGRESS_READY_FD)?)));
    match allow {
        None => nat::run(&owner, ready),
        Some(rules) => proxy::run(owner, ready, inherited(EGRESS_LISTENER_FD)?, rules),
    }
}

/// A descriptor that the launcher gave to this process and that nothing else uses.
fn inherited(number: RawFd) -> Result<OwnedFd, String> {
    // SAFETY: only asks whether the number is open.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(format!("descriptor {number} is not open: this is started by sandboxes, not by hand"));
    }
    // SAFETY: the launcher opened it for this process, and each number is taken once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The pipe to the launcher.
struct Ready(Option<OwnedFd>);

impl Ready {
    /// Lets the sandbox start.
    fn say(&mut self) {
        self.tell("ready");
    }

    /// Refuses, with the reason.
    fn refuse(mut self, why: String) -> Result<(), String> {
        self.tell(&why);
        Err(why)
    }

    fn tell(&mut self, text: &str) {
        if let Some(pipe) = self.0.take() {
            // A launcher that is gone needs no answer.
            let _ = std::fs::File::from(pipe).write_all(text.as_bytes());
        }
    }
}
