//! PID 1 of a container: takes its socket, hides the control directory, gives up what a sandbox must not hold, then
//! serves. The order matters: what comes later needs fewer rights than what comes before.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use crate::protocol::SOCKET_FILE;
use crate::{scope, seccomp, socket};

use crate::caps;
use crate::host::Leave;
use crate::kernel::{self, SignalTrust, Signals};
use crate::server::{Peers, Server};
use crate::supervisor::Supervisor;

/// What nspawn gives every container and no workload needs. Control groups: of version 1 one hierarchy can be written,
/// a place to leave the run's groups and to make groups without end. `tun`: a driver of the host's.
const COVERED: [&str; 2] = ["/sys/fs/cgroup", "/dev/net"];

/// Serves the control directory until told to end; then the kernel ends the container.
///
/// # Errors
/// In words, when a step of what makes the sandbox safe fails.
pub fn run(control: &Path) -> Result<(), String> {
    let step = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    let directory = socket::open_directory(control).map_err(step("control directory"))?;
    let listener = kernel::private(|| socket::listen_at(directory.as_fd(), SOCKET_FILE));
    let listener = listener.map_err(step("socket"))?;
    let signals = Signals::open(SignalTrust::Outside).map_err(step("signals"))?;
    let nofile = kernel::raise_nofile().map_err(step("descriptor limit"))?;
    let supervisor = Supervisor::new(directory.into(), nofile).map_err(step("supervisor"))?;
    cover(control).map_err(step("hiding the control directory"))?;
    for place in COVERED.map(Path::new).into_iter().filter(|place| place.is_dir()) {
        cover(place).map_err(step("hiding what nspawn gives"))?;
    }
    // Not dumpable: the workload runs as the same user and could else take the descriptors from /proc/1/fd.
    nix::sys::prctl::set_dumpable(false).map_err(io::Error::from).map_err(step("dumpable"))?;
    nix::sys::prctl::set_no_new_privs().map_err(io::Error::from).map_err(step("no new privileges"))?;
    caps::drop_all_but_kept().map_err(step("capabilities"))?;
    scope::restrict().map_err(|error| format!("scope of abstract sockets: {error}"))?;
    seccomp::install().map_err(|error| format!("syscall filter: {error}"))?;
    Server::new(listener, signals, Peers::Outside, supervisor, Leave::WhenTold).run().map_err(step("serving"))
}

/// Mounts an empty read-only directory over one that was mounted outside of this user namespace, and is locked: it
/// cannot be unmounted. The cover stays: no workload has the capability to mount.
fn cover(place: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("none"), place, Some("tmpfs"), flags, Some("mode=000,nr_inodes=1"))?;
    Ok(())
}
