//! `pasta` for one sandbox: connections of its namespace become connections of this host's, and none come in.
//!
//! It wants a path of the namespace that it may open after it has given up its rights; that path is on a file system
//! in a mount namespace of this process only, so nothing of it is ever seen or left on the host.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use inotify::{Inotify, WatchMask};
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use sandbox_runner::launch::EGRESS_NAMESPACE_FD;
use sandboxed_domain::sandbox::egress::DNS_FORWARD;

use super::super::process::PidFd;
use super::Ready;

/// Where the private file system is mounted; exists on every system (Filesystem Hierarchy Standard 3.12).
const PLACE: &str = "/mnt";

/// See [`super::run`].
pub(super) fn run(owner: &PidFd, mut ready: Ready) -> Result<(), String> {
    let mut child = match start() {
        Ok(child) => child,
        Err(why) => return ready.refuse(why),
    };
    let ended = PidFd::open(i32::try_from(child.id()).unwrap_or_default()).map_err(|e| format!("pidfd: {e}"));
    let ended = match ended.and_then(|ended| wait_ready(&ended).map(|()| ended)) {
        Ok(ended) => ended,
        Err(why) => {
            let _ = child.kill();
            let said = child.wait_with_output().map(|o| String::from_utf8_lossy(&o.stderr).into_owned());
            return ready.refuse(format!("pasta: {why}: {}", said.unwrap_or_default().trim()));
        }
    };
    ready.say();
    // Without pasta nothing goes out, which is the safe side: the sandbox goes on.
    let waited = wait_any(&[owner.as_fd(), ended.as_fd()]);
    let _ = child.kill();
    let _ = child.wait();
    waited
}

fn start() -> Result<Child, String> {
    let step = |what: &'static str| move |error: nix::Error| format!("{what}: {}", error.desc());
    unshare(CloneFlags::CLONE_NEWNS).map_err(step("mount namespace"))?;
    let slave = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, slave, None::<&str>).map_err(step("mount namespace"))?;
    let (flags, options) = (MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, Some("mode=700"));
    mount(Some("tmpfs"), PLACE, Some("tmpfs"), flags, options).map_err(step("tmpfs"))?;
    let namespace = Path::new(PLACE).join("netns");
    File::create(&namespace).map_err(|e| format!("{}: {e}", namespace.display()))?;
    let source = format!("/proc/self/fd/{EGRESS_NAMESPACE_FD}");
    mount(Some(source.as_str()), &namespace, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(step("network namespace"))?;
    let mut command = Command::new("pasta");
    command
        .args(["--foreground", "--quiet", "--stderr", "--config-net", "--no-map-gw", "--runas", "0"])
        .args(["-t", "none", "-u", "none", "-T", "none", "-U", "none"])
        .args(["--dns-forward", &DNS_FORWARD.to_string(), "--pid"])
        .arg(Path::new(PLACE).join("pid"))
        .arg("--netns")
        .arg(namespace)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    // SAFETY: only a system call is made between fork and exec.
    unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) };
    command.spawn().map_err(|e| format!("pasta (apt-get install passt): {e}"))
}

/// pasta writes its number when the device is set up.
fn wait_ready(ended: &PidFd) -> Result<(), String> {
    let io = |error: std::io::Error| format!("watch: {error}");
    let inotify = Inotify::init().map_err(io)?;
    inotify.watches().add(PLACE, WatchMask::CREATE | WatchMask::MODIFY).map_err(io)?;
    while !fs::read_to_string(Path::new(PLACE).join("pid")).is_ok_and(|text| !text.is_empty()) {
        let mut fds =
            [PollFd::new(inotify.as_fd(), PollFlags::POLLIN), PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::NONE).map_err(|e| e.desc().to_owned())?;
        if fds[1].any() == Some(true) {
            return Err("ended before it was ready".to_owned());
        }
        // What it says is looked up above.
        let _ = nix::unistd::read(&inotify, &mut [0; 1024]);
    }
    Ok(())
}

fn wait_any(descriptors: &[std::os::fd::BorrowedFd<'_>]) -> Result<(), String> {
    let mut fds: Vec<_> = descriptors.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    poll(&mut fds, PollTimeout::NONE).map(drop).map_err(|e| e.desc().to_owned())
}
