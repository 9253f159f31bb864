//! Programs of a build, each in mount and process namespaces of its own, so that whatever is killed, no mount and no
//! process of it is left.

use std::os::fd::RawFd;
use std::path::Path;
use std::process::Stdio;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use tokio::process::{Child, Command};

use crate::sandbox::error::SandboxError;

/// A program to be named in arguments, with nothing of the caller's settings. `--kill-child`: when `unshare`
/// dies, everything in its process namespace does.
pub(super) fn alone(locale: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--propagation",
        "slave",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--",
    ]);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", locale).current_dir("/");
    command
}

/// Starts it. It holds the lock for as long as it lives, and ends with the daemon.
pub(super) fn spawn(command: &mut Command, lock: RawFd) -> Result<Child, SandboxError> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let keep_lock = move || {
        // Ends with the daemon, and all in its process namespace with it. The thread that starts it lives as long as
        // the daemon: it is one of the runtime's own.
        set_pdeathsig(Signal::SIGKILL)?;
        // SAFETY: fcntl on a descriptor that the parent holds open during the fork.
        let kept = unsafe { libc::fcntl(lock, libc::F_SETFD, 0) };
        if kept < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: prctl(2) and fcntl(2) are async-signal-safe.
    unsafe { command.pre_exec(keep_lock) }.spawn().map_err(SandboxError::io("start", Path::new("unshare")))
}
