//! Small doors to the kernel that the rest of the program shares: signals in, the dead, and killing.

use std::io::{self, Write};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use nix::sys::stat::{Mode, umask};

/// A line for whoever watches the runner's own stderr; nobody has to.
pub fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "sandbox-runner: {message}");
}

/// Makes files that only the own user may reach.
pub fn private<T>(make: impl FnOnce() -> T) -> T {
    let before = umask(Mode::S_IRWXG | Mode::S_IRWXO);
    let made = make();
    umask(before);
    made
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With this status.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

/// A dead child that nobody has taken off the process table yet, so its id and its group's id are still its own.
#[derive(Debug)]
pub struct Dead {
    pub pid: i32,
    pub end: End,
}

impl Dead {
    /// Any dead child.
    pub fn peek() -> Option<Self> {
        // SAFETY: siginfo_t is plain data that the kernel fills.
        let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: `info` is live and of the right type.
        if unsafe { libc::waitid(libc::P_ALL, 0, &mut info, options) } != 0 {
            return None;
        }
        // SAFETY: after a successful waitid these fields are set; they stay zero when nobody is dead.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        let end = if info.si_code == libc::CLD_EXITED { End::Exited(status) } else { End::Signalled(status) };
        (pid > 0).then_some(Self { pid, end })
    }

    /// Its process group.
    pub fn group(&self) -> Option<i32> {
        // SAFETY: no memory involved.
        let group = unsafe { libc::getpgid(self.pid) };
        (group > 0).then_some(group)
    }

    /// Frees its id.
    pub fn reap(self) {
        // SAFETY: a null status pointer is allowed; the child is known to be dead, so this does not block.
        unsafe { libc::waitpid(self.pid, ptr::null_mut(), 0) };
    }
}

/// Sends `signal` to one process; whether it exists.
pub fn kill(pid: i32, signal: i32) -> bool {
    debug_assert!(pid > 1);
    // SAFETY: no memory involved.
    pid > 1 && unsafe { libc::kill(pid, signal) } == 0
}

/// Sends `signal` to a process group; whether it has a member.
pub fn kill_group(group: i32, signal: i32) -> bool {
    // SAFETY: no memory involved.
    group > 1 && unsafe { libc::kill(-group, signal) } == 0
}

/// Raises the limit of open descriptors as far as allowed and returns what it was, for the children.
pub fn raise_nofile() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is live and of the right type.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: as above.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raised) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit)
}

/// Who may ask the runner to end by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalTrust {
    /// Whoever the kernel lets.
    Anyone,
    /// Only a process outside of the own pid namespace: a workload may signal its PID 1 too.
    Outside,
}

/// What signals told.
#[derive(Debug, Default, Clone, Copy)]
pub struct Woken {
    /// A child died.
    pub child: bool,
    /// Somebody who may asked to end.
    pub end: bool,
}

/// Signals as a descriptor.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
    trust: SignalTrust,
}

impl Signals {
    /// Blocks the signals that the runner knows and opens the descriptor. Those that ask to end are what container
    /// managers send: TERM, INT, and the halt, power-off, reboot and kexec signals of systemd (`SIGRTMIN+3` to `+6`).
    pub fn open(trust: SignalTrust) -> io::Result<Self> {
        // SAFETY: sigset_t is plain data, initialised by sigemptyset; the calls take live pointers.
        let fd = unsafe {
            let mut set = mem::zeroed();
            libc::sigemptyset(&mut set);
            for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT] {
                libc::sigaddset(&mut set, signal);
            }
            for offset in 3..=6 {
                libc::sigaddset(&mut set, libc::SIGRTMIN() + offset);
            }
            libc::sigprocmask(libc::SIG_BLOCK, &set, ptr::null_mut());
            libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and belongs to nobody else.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) }, trust })
    }

    /// Takes all pending signals.
    pub fn drain(&self) -> Woken {
        let mut woken = Woken::default();
        while let Some(info) = self.next() {
            if info.ssi_signo == libc::SIGCHLD as u32 {
                woken.child = true;
            } else {
                // A sender inside can forge the pid by rt_sigqueueinfo, but not together with SI_USER.
                let outside = info.ssi_code == libc::SI_USER && info.ssi_pid == 0;
                woken.end |= self.trust == SignalTrust::Anyone || outside;
            }
        }
        woken
    }

    fn next(&self) -> Option<libc::signalfd_siginfo> {
        const SIZE: usize = mem::size_of::<libc::signalfd_siginfo>();
        // SAFETY: plain data, filled by the kernel below.
        let mut info: libc::signalfd_siginfo = unsafe { mem::zeroed() };
        // SAFETY: the buffer is live and SIZE bytes long.
        let read = unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut info).cast(), SIZE) };
        (read == SIZE as isize).then_some(info)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
