//! A sandbox's own network namespace and the program that is its way out.
//!
//! ```text
//! launcher ── fork ── egress program (host's network; holds the namespace, its listener and a pidfd of nspawn)
//!    └─ enters the namespace and becomes nspawn
//! ```
//! The program says that it is ready, or why not, before nspawn is started. It is in the sandbox's cgroup, and ends when
//! nspawn does; without it nothing goes out.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::wait::waitpid;
use nix::unistd::{self, ForkResult};
use serde::{Deserialize, Serialize};

use super::{LaunchFailure, Step};

/// Descriptor of the egress program: the listener within the namespace, where one was asked for.
pub const EGRESS_LISTENER_FD: RawFd = 3;
/// Descriptor of the egress program: a pidfd of what becomes nspawn.
pub const EGRESS_OWNER_FD: RawFd = 4;
/// Descriptor of the egress program: a pipe; `ready` says so, any other text is a failure.
pub const EGRESS_READY_FD: RawFd = 5;
/// Descriptor of the egress program: the namespace.
pub const EGRESS_NAMESPACE_FD: RawFd = 6;

/// What the network of a sandbox is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPlan {
    /// Rules for `nft -f -` within the namespace; none where it has no way out but the listener.
    pub rules: Option<String>,
    /// Port on the namespace's loopback on which the egress program listens.
    pub listen: Option<u16>,
    /// The egress program and its arguments.
    pub egress: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
}

/// Makes the namespace, enters it and starts the program outside of it. nspawn, which keeps the network that it finds,
/// would not enter one from within its user namespace; so the namespace belongs to the host's, and nobody inside can
/// have rights over it.
pub(super) fn enter(plan: &NetworkPlan, cgroups: &[PathBuf]) -> Result<(), LaunchFailure> {
    let what = || "network namespace".to_owned();
    let own = "/proc/self/ns/net";
    let host = File::open(own).step("network", || own.into())?;
    unshare(CloneFlags::CLONE_NEWNET).step("network", what)?;
    let namespace = File::open(own).step("network", || own.into())?;
    loopback_up().step("network", || "loopback device".into())?;
    if let Some(rules) = &plan.rules {
        load_rules(rules)?;
    }
    let listener = match plan.listen {
        Some(port) => Some(
            TcpListener::bind((Ipv4Addr::LOCALHOST, port))
                .step("network", || format!("listen on port {port}"))?,
        ),
        None => None,
    };
    setns(&host, CloneFlags::CLONE_NEWNET).step("network", || "the host's namespace".into())?;
    start(plan, cgroups, &namespace, listener.as_ref())?;
    setns(&namespace, CloneFlags::CLONE_NEWNET).step("network", what)
}

/// `struct ifreq` of the kernel, with the member that flags use.
#[repr(C)]
struct InterfaceFlags {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

pub(super) fn loopback_up() -> nix::Result<()> {
    // SAFETY: no pointers; the result is checked before it is used.
    let socket =
        Errno::result(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: a new descriptor that nobody else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let mut request =
        InterfaceFlags { name: [0; libc::IFNAMSIZ], flags: libc::IFF_UP as libc::c_short, rest: [0; 22] };
    request.name[..2].copy_from_slice(b"lo");
    // SAFETY: the request has the layout and size of the kernel's ifreq and outlives the call.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) }).map(drop)
}

fn load_rules(rules: &str) -> Result<(), LaunchFailure> {
    let what = || "nft (apt-get install nftables)".to_owned();
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .step("network", what)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(rules.as_bytes()).step("network", what)?;
    }
    let output = child.wait_with_output().step("network", what)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(LaunchFailure::new("network", format!("nft refused the rules: {said}")))
}

/// Starts the egress program and waits for its word.
fn start(
    plan: &NetworkPlan,
    cgroups: &[PathBuf],
    namespace: &File,
    listener: Option<&TcpListener>,
) -> Result<(), LaunchFailure> {
    let what = || "egress program".to_owned();
    let words = |list: Vec<String>| -> Result<Vec<CString>, LaunchFailure> {
        let all = list.into_iter().map(CString::new).collect::<Result<_, _>>();
        all.map_err(|e| LaunchFailure::new("read_plan", e.to_string()))
    };
    let argv = words(plan.egress.clone())?;
    let env = words(plan.env.iter().map(|(name, value)| format!("{name}={value}")).collect())?;
    // SAFETY: no pointers; the result is checked before it is used.
    let owner = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) };
    let owner = Errno::result(owner).step("network", || "pidfd".into())?;
    // SAFETY: a new descriptor that nobody else owns.
    let owner = unsafe { OwnedFd::from_raw_fd(owner as RawFd) };
    let (said, say) = unistd::pipe2(OFlag::O_CLOEXEC).step("network", what)?;
    let fds = [
        listener.map(AsRawFd::as_raw_fd),
        Some(owner.as_raw_fd()),
        Some(say.as_raw_fd()),
        Some(namespace.as_raw_fd()),
    ];
    // SAFETY: this program is single-threaded here, so the child may use everything.
    match unsafe { unistd::fork() }.step("network", what)? {
        // A child of a child: nspawn must find no child that it did not start.
        ForkResult::Child => second_fork(&argv, &env, cgroups, fds),
        ForkResult::Parent { child } => {
            drop(say);
            waitpid(child, None).step("network", what)?;
            wait_ready(said)
        }
    }
}

fn wait_ready(said: OwnedFd) -> Result<(), LaunchFailure> {
    let mut text = String::new();
    File::from(said).read_to_string(&mut text).step("network", || "egress program".into())?;
    match text.trim() {
        "ready" => Ok(()),
        "" => Err(LaunchFailure::new("network", "the egress program ended before it was ready")),
        why => Err(LaunchFailure::new("network", why)),
    }
}

fn second_fork(argv: &[CString], env: &[CString], cgroups: &[PathBuf], fds: [Option<RawFd>; 4]) -> ! {
    // SAFETY: as above.
    match unsafe { unistd::fork() } {
        Ok(ForkResult::Parent { .. }) => {}
        Ok(ForkResult::Child) => {
            let (say, why) = become_egress(argv, env, cgroups, fds);
            // SAFETY: the text outlives the call; the pipe is open in this process until it ends.
            let _ = unsafe { libc::write(say, why.as_ptr().cast(), why.len()) };
        }
        Err(_) => {}
    }
    // SAFETY: ends the process without running what belongs to its parent.
    unsafe { libc::_exit(1) }
}

/// Returns only when it failed: where to say so, and the reason.
fn become_egress(
    argv: &[CString],
    env: &[CString],
    cgroups: &[PathBuf],
    fds: [Option<RawFd>; 4],
) -> (RawFd, String) {
    for procs in cgroups {
        if let Err(error) = fs::write(procs, "0") {
            return (fds[2].unwrap_or_default(), format!("{}: {error}", procs.display()));
        }
    }
    let _ = unistd::setsid();
    // Out of the way first: a descriptor may have the number that another one is to get.
    let mut high = [None; 4];
    for (at, fd) in fds.iter().enumerate() {
        // SAFETY: the descriptors are open in this process.
        high[at] = fd.map(|fd| unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 64) });
    }
    for (fd, wanted) in high.into_iter().zip(EGRESS_LISTENER_FD..) {
        match fd {
            // SAFETY: as above; the copy stays open across exec.
            Some(fd) => unsafe { libc::dup2(fd, wanted) },
            // SAFETY: nothing of this process uses the number any more.
            None => unsafe { libc::close(wanted) },
        };
    }
    let Some(program) = argv.first() else { return (EGRESS_READY_FD, "no egress program".to_owned()) };
    match unistd::execve(program, argv, env) {
        Ok(never) => match never {},
        Err(errno) => (EGRESS_READY_FD, format!("{}: {}", program.to_string_lossy(), errno.desc())),
    }
}
