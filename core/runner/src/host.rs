//! The runner of a host workspace: an ordinary process that outlives the daemon and adopts what its runs leave behind.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::setsid;

use crate::protocol::{LOCK_FILE, SOCKET_FILE};
use crate::socket;

use crate::kernel::{self, SignalTrust, Signals};
use crate::server::{Peers, Server};
use crate::supervisor::Supervisor;

/// When a host runner ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Only on request or by a signal.
    WhenTold,
    /// Also when there is no run and no connection, once there has been one. A client that comes too late finds its
    /// connection closed, and starts another runner.
    WhenUnused,
}

/// Serves the control directory until it is time to leave.
///
/// # Errors
/// In words, when the directory cannot be served or another runner serves it.
pub fn run(control: &Path, leave: Leave) -> Result<(), String> {
    let control_dir = socket::open_directory(control)
        .map_err(|error| format!("control directory {}: {error}", control.display()))?;
    let _lock =
        lock(&control_dir).map_err(|error| format!("{LOCK_FILE} is held by another runner: {error}"))?;
    // Fails only for a process that leads a group already; a terminal's job control is all that would be left then.
    let _ = setsid();
    let serve = || -> io::Result<()> {
        nix::sys::prctl::set_child_subreaper(true)?;
        let signals = Signals::open(SignalTrust::Anyone)?;
        let nofile = kernel::raise_nofile()?;
        let listener = kernel::private(|| socket::listen_at(control_dir.as_fd(), SOCKET_FILE))?;
        let supervisor = Supervisor::new(control_dir.try_clone()?.into(), nofile)?;
        Server::new(listener, signals, Peers::SameUser, supervisor, leave).run()
    };
    let served = serve();
    // Before the lock ends with this process: the name may then be another runner's.
    let _ = std::fs::remove_file(socket::short_path(control_dir.as_fd(), SOCKET_FILE));
    served.map_err(|error| error.to_string())
}

/// Held until this process ends, however it ends: two servers of one directory would both reap nothing of the other.
fn lock(control: &File) -> io::Result<Flock<File>> {
    let path = socket::short_path(control.as_fd(), LOCK_FILE);
    let file = File::options().write(true).create(true).truncate(false).open(path)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error.into())
}
