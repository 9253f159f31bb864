//! From a plan to a process: everything is prepared before the fork, because between fork and exec the child only makes
//! system calls. What fails there comes back as five bytes on a pipe that a successful exec closes.

use std::ffi::{CString, NulError};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use crate::protocol::StartRun;
use crate::stdin::Stdin;

/// Where a program is looked for when its environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Exit status of a child that could not execute; only seen together with its report.
const EXIT_NOT_EXECUTED: i32 = 127;

/// What was asked cannot become a process.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    #[error("no program given")]
    NoProgram,
    #[error("program, argument, environment or directory holds a zero byte")]
    Nul(#[from] NulError),
    #[error("no process could be made: {0}")]
    System(#[from] io::Error),
}

impl From<nix::Error> for SpawnError {
    fn from(error: nix::Error) -> Self {
        Self::System(error.into())
    }
}

/// Strings of a process in the form that the kernel takes.
#[derive(Debug)]
pub struct Plan {
    argv: Vec<CString>,
    env: Vec<CString>,
    candidates: Vec<CString>,
    cwd: CString,
}

impl Plan {
    /// Looks the program up in the `PATH` of the run's own environment; which candidate exists shows when it is executed.
    pub fn new(start: &StartRun) -> Result<Self, SpawnError> {
        let program = start.argv.first().filter(|p| !p.is_empty()).ok_or(SpawnError::NoProgram)?;
        let candidates = if program.contains('/') {
            vec![CString::new(program.as_str())?]
        } else {
            let path = start.env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
            let directories = path.split(':').map(|dir| if dir.is_empty() { "." } else { dir });
            directories.map(|dir| CString::new(format!("{dir}/{program}"))).collect::<Result<_, _>>()?
        };
        let env = start.env.iter().map(|(name, value)| CString::new(format!("{name}={value}")));
        Ok(Self {
            argv: start.argv.iter().map(|arg| CString::new(arg.as_str())).collect::<Result<_, _>>()?,
            env: env.collect::<Result<_, _>>()?,
            candidates,
            cwd: CString::new(start.cwd.as_str())?,
        })
    }
}

/// Descriptors of a process.
#[derive(Debug)]
pub struct Stdio<'a> {
    /// Read when there is no pipe.
    pub dev_null: &'a OwnedFd,
    /// Whether stdin is a pipe.
    pub stdin_pipe: bool,
    pub stdout: &'a File,
    pub stderr: &'a File,
    /// Instead of all of these: the run's end of a terminal.
    pub terminal: Option<&'a OwnedFd>,
}

/// A process on its way to its program.
#[derive(Debug)]
pub struct Child {
    /// Process id, also the id of its session and group.
    pub pid: i32,
    /// Where its stdin is fed.
    pub stdin: Stdin,
    /// Tells of a failed exec.
    pub report: Report,
}

/// Forks; returns as soon as the process exists.
pub fn spawn(
    plan: &Plan,
    stdio: &Stdio<'_>,
    joins: &[OwnedFd],
    nofile: &libc::rlimit,
) -> Result<Child, SpawnError> {
    let (report, report_write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    let pipe =
        if stdio.stdin_pipe && stdio.terminal.is_none() { Some(pipe2(OFlag::O_CLOEXEC)?) } else { None };
    if let Some((_, feed)) = &pipe {
        fcntl(feed, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect()
    };
    let joins: Vec<RawFd> = joins.iter().map(AsRawFd::as_raw_fd).collect();
    let (argv, env) = (pointers(&plan.argv), pointers(&plan.env));
    let candidates = pointers(&plan.candidates);
    let stdin = pipe.as_ref().map_or(stdio.dev_null.as_fd(), |(read, _)| read.as_fd());
    let files = [stdin.as_raw_fd(), stdio.stdout.as_raw_fd(), stdio.stderr.as_raw_fd()];
    let inner = Inner {
        stdio: stdio.terminal.map_or(files, |terminal| [terminal.as_raw_fd(); 3]),
        terminal: stdio.terminal.is_some(),
        report: report_write.as_raw_fd(),
        joins: &joins,
        nofile,
        cwd: plan.cwd.as_ptr(),
        candidates: &candidates,
        argv: &argv,
        env: &env,
    };
    // SAFETY: this process has one thread, so the child holds no lock of another; it calls only `Inner::run`, which
    // makes system calls on memory prepared above and never returns.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error().into()),
        0 => inner.run(),
        pid => Ok(Child { pid, stdin: Stdin::new(pipe.map(|(_, feed)| feed)), report: Report(report) }),
    }
}

/// What the child was doing when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    Session = 1,
    Cgroup,
    Stdio,
    Directory,
    Exec,
}

/// The reading end of the failure pipe.
#[derive(Debug)]
pub struct Report(OwnedFd);

impl Report {
    /// After the child's death: why it never became its program; none when it did.
    pub fn read(self, start: &StartRun) -> Option<String> {
        let mut bytes = [0; 5];
        File::from(self.0).read_exact(&mut bytes).ok()?;
        let [stage, errno @ ..] = bytes;
        let error = io::Error::from_raw_os_error(i32::from_le_bytes(errno));
        let missing = error.kind() == io::ErrorKind::NotFound;
        let program = start.argv.first().map_or("", String::as_str);
        Some(match stage {
            s if s == Stage::Directory as u8 && missing => {
                format!("working directory not found: {}", start.cwd)
            }
            s if s == Stage::Directory as u8 => format!("working directory {}: {error}", start.cwd),
            s if s == Stage::Exec as u8 && missing && program.contains('/') => {
                format!("program, or the interpreter it names, not found: {program}")
            }
            s if s == Stage::Exec as u8 && missing => format!("program not found in PATH: {program}"),
            s if s == Stage::Exec as u8 => format!("program {program}: {error}"),
            s if s == Stage::Cgroup as u8 => format!("joining the control group: {error}"),
            _ => format!("setting up the process: {error}"),
        })
    }
}

/// The child between fork and exec.
struct Inner<'a> {
    stdio: [RawFd; 3],
    terminal: bool,
    report: RawFd,
    joins: &'a [RawFd],
    nofile: &'a libc::rlimit,
    cwd: *const libc::c_char,
    candidates: &'a [*const libc::c_char],
    argv: &'a [*const libc::c_char],
    env: &'a [*const libc::c_char],
}

impl Inner<'_> {
    fn run(&self) -> ! {
        let (stage, errno) = match self.prepare() {
            Ok(()) => (Stage::Exec, self.exec()),
            Err(stage) => (stage, nix::Error::last_raw()),
        };
        let mut bytes = [0; 5];
        bytes[0] = stage as u8;
        bytes[1..].copy_from_slice(&errno.to_le_bytes());
        // SAFETY: plain system calls on a live buffer and an open descriptor.
        unsafe {
            libc::write(self.report, bytes.as_ptr().cast(), bytes.len());
            libc::_exit(EXIT_NOT_EXECUTED)
        }
    }

    fn prepare(&self) -> Result<(), Stage> {
        let ok = |result: i32, stage: Stage| if result < 0 { Err(stage) } else { Ok(()) };
        // SAFETY: plain system calls; every pointer leads to memory that lives until exec.
        unsafe {
            ok(libc::setsid(), Stage::Session)?;
            for fd in self.joins {
                ok(libc::write(*fd, b"0".as_ptr().cast(), 1) as i32, Stage::Cgroup)?;
            }
            for (target, fd) in (0..).zip(self.stdio) {
                ok(libc::dup2(fd, target), Stage::Stdio)?;
            }
            if self.terminal {
                ok(libc::ioctl(0, libc::TIOCSCTTY, 0), Stage::Stdio)?;
            }
            ok(libc::setrlimit(libc::RLIMIT_NOFILE, self.nofile), Stage::Session)?;
            // The report must stay open until exec closes it, hence not closed here but marked.
            let flags = libc::CLOSE_RANGE_CLOEXEC;
            let closed = libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, flags);
            ok(closed as i32, Stage::Session)?;
            ok(libc::chdir(self.cwd), Stage::Directory)?;
            // The C library would refuse its own two signals, which an ancestor may have ignored. All zeros is SIG_DFL
            // in the kernel's structure of every architecture.
            let default = [0u64; 4];
            for signal in 1..=64 {
                let nothing = ptr::null_mut::<u64>();
                libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), nothing, 8usize);
            }
            let mut none = std::mem::zeroed();
            libc::sigemptyset(&mut none);
            ok(libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut()), Stage::Session)
        }
    }

    /// Tries the candidates as a shell would; returns the error that says most.
    fn exec(&self) -> i32 {
        let mut told = libc::ENOENT;
        for candidate in self.candidates.iter().filter(|c| !c.is_null()) {
            // SAFETY: path, argv and env are zero-terminated and live; on success this does not return.
            unsafe { libc::execve(*candidate, self.argv.as_ptr(), self.env.as_ptr()) };
            match nix::Error::last_raw() {
                libc::ENOENT | libc::ENOTDIR => {}
                libc::EACCES => told = libc::EACCES,
                other => return other,
            }
        }
        told
    }
}
