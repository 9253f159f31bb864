//! The keeper: parent of everything in a desktop. It hears from its server over one socket. When that closes, because
//! the server ended or was killed, it ends the users of the desktop, its services and the X server, in this order, then
//! whatever escaped from them, and removes the desktop's directory. It has one thread and waits for what happens. Above
//! it is a guard, which does the same should the keeper be killed.

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    os::unix::{fs::MetadataExt, net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, getppid, set_child_subreaper,
    set_parent_process_death_signal, setsid, wait,
};

use super::ends::{Children, Signals, descendants, end_all};
use super::guard::{fork, guard, remove};
use super::link::{Notice, Part, Request, receive, send};
use super::logs::Log;

/// The descriptor on which a program tells that it is ready.
const READY_FD: i32 = 3;

/// Keeps a desktop until its server goes, then leaves nothing of it. Called before there is a second thread: it forks.
///
/// # Errors
/// The kernel refuses what a keeper needs.
pub fn keep(socket: OwnedFd, directory: &Path) -> io::Result<()> {
    // The terminal's signals are for the server.
    let _ = setsid();
    // Held as long as one of the two lives: by it others see that the directory is in use.
    let lock = fs::File::open(directory)?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared)?;
    let signals = Signals::new()?;
    match fork()? {
        Some(keeper) => {
            drop(socket);
            guard(&signals, keeper, directory)
        }
        None => serve(socket, signals, directory),
    }
}

fn serve(socket: OwnedFd, signals: Signals, directory: &Path) -> io::Result<()> {
    set_child_subreaper(Some(getpid()))?;
    // Without its guard a desktop does not go on.
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let (children, logs) = (BTreeMap::new(), Vec::new());
    let mut keeper = Keeper { socket, signals, children, logs, socket_of_server: None };
    let served = keeper.serve();
    keeper.end();
    served.and(remove(directory))
}

struct Keeper {
    socket: OwnedFd,
    signals: Signals,
    children: BTreeMap<i32, Part>,
    logs: Vec<Log>,
    socket_of_server: Option<Socket>,
}

impl Keeper {
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let (spoken, signalled) = self.happens()?;
            self.logs.retain_mut(Log::take_in);
            if signalled && self.reap() {
                return Ok(());
            }
            if spoken {
                match receive(&self.socket)? {
                    Some((request, fd)) => self.answer(request, fd)?,
                    None => return Ok(()),
                }
            }
        }
    }

    /// Waits for the server's word, a signal, or something to be taken into a log.
    fn happens(&self) -> io::Result<(bool, bool)> {
        let mut fds =
            vec![PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.signals.0, PollFlags::IN)];
        fds.extend(self.logs.iter().map(|log| PollFd::new(log, PollFlags::IN)));
        match poll(&mut fds, None) {
            Ok(_) => Ok((!fds[0].revents().is_empty(), !fds[1].revents().is_empty())),
            Err(rustix::io::Errno::INTR) => Ok((false, false)),
            Err(error) => Err(error.into()),
        }
    }

    fn answer(&mut self, request: Request, fd: Option<OwnedFd>) -> io::Result<()> {
        let (id, argv, env, directory, log, part) = match request {
            Request::Start { id, argv, env, directory, log, part } => (id, argv, env, directory, log, part),
            Request::Serves { display } => {
                self.socket_of_server = Socket::of(display);
                return Ok(());
            }
        };
        let output = self.output(log.as_deref(), fd);
        let started = output.and_then(|(output, ready)| start(&argv, &env, &directory, output, part, ready));
        let notice = match started {
            Ok(pid) => {
                self.children.insert(pid, part);
                Notice::Started { id, pid }
            }
            Err(error) => Notice::Failed { id, message: error.to_string() },
        };
        send(self.socket.as_fd(), &notice, None)
    }

    /// Where a program writes to, and on what it tells that it is ready.
    fn output(
        &mut self,
        log: Option<&Path>,
        given: Option<OwnedFd>,
    ) -> io::Result<(OwnedFd, Option<OwnedFd>)> {
        match (log, given) {
            (Some(log), ready) => {
                let (log, output) = Log::begin(log)?;
                self.logs.push(log);
                Ok((output, ready))
            }
            (None, Some(output)) => Ok((output, None)),
            (None, None) => Err(io::Error::new(io::ErrorKind::InvalidInput, "nowhere to write to")),
        }
    }

    /// Takes in children that ended; those of others too, which came to this process when their parents ended. Whether
    /// a signal asked this process to end.
    fn reap(&mut self) -> bool {
        // Before others hear of an end, what was written until then is there to be read.
        self.logs.retain_mut(Log::take_in);
        let asked = self.signals.asked();
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            self.ended(pid, status);
        }
        asked
    }

    fn ended(&mut self, pid: Pid, status: WaitStatus) {
        let pid = pid.as_raw_nonzero().get();
        if self.children.remove(&pid).is_some() {
            let notice =
                Notice::Exited { pid, code: status.exit_status(), signal: status.terminating_signal() };
            // The server may have gone; that is noticed elsewhere.
            let _ = send(self.socket.as_fd(), &notice, None);
        }
    }

    /// Ends everything, users first.
    fn end(&mut self) {
        for part in [Part::User, Part::Service, Part::Server] {
            let known: Vec<i32> =
                self.children.iter().filter(|(_, own)| **own <= part).map(|(pid, _)| *pid).collect();
            // What services and the X server started goes with them; what users left behind goes first.
            let others: Vec<i32> = self.children.keys().copied().filter(|pid| !known.contains(pid)).collect();
            self.end_all(&|| descendants(&others));
        }
        if let Some(socket) = &self.socket_of_server {
            socket.remove();
        }
    }

    fn end_all(&mut self, living: &dyn Fn() -> Children) {
        // Not borrowed from the keeper, which takes in what ends.
        let signals = self.signals.clone();
        end_all(&signals, living, &mut || {
            self.reap();
        });
    }
}

fn start(
    argv: &[String],
    env: &BTreeMap<String, String>,
    directory: &Path,
    output: OwnedFd,
    part: Part,
    ready: Option<OwnedFd>,
) -> io::Result<i32> {
    let (program, args) =
        argv.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no program"))?;
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(env).current_dir(directory).process_group(0);
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let ready = ready.as_ref().map(AsRawFd::as_raw_fd);
    let keeper = getpid();
    // Asked to end, an X server takes its socket and lock with it.
    let last = if part == Part::Server { Signal::TERM } else { Signal::KILL };
    let prepare = move || {
        // Should the keeper itself be killed.
        set_parent_process_death_signal(Some(last))?;
        if getppid() != Some(keeper) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        // SAFETY: the set is a live local, initialised by sigemptyset. What this process blocks, a program must hear.
        unsafe {
            let mut none = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        }
        match ready {
            // SAFETY: both are descriptors of this process; dup2 and fcntl may be called between fork and exec.
            Some(READY_FD) => unsafe { libc::fcntl(READY_FD, libc::F_SETFD, 0) },
            // SAFETY: as above.
            Some(fd) => unsafe { libc::dup2(fd, READY_FD) },
            None => 0,
        };
        Ok(())
    };
    // SAFETY: the closure makes system calls only, and allocates nothing.
    unsafe { command.pre_exec(prepare) };
    let child = command.spawn()?;
    i32::try_from(child.id()).map_err(io::Error::other)
}

/// The socket of an X server, which it leaves behind when it is killed.
struct Socket {
    path: PathBuf,
    /// Number and time of making: the number alone is soon another's.
    identity: (u64, i64, i64),
}

impl Socket {
    fn of(display: u32) -> Option<Self> {
        let path = PathBuf::from(format!("/tmp/.X11-unix/X{display}"));
        let identity = Self::identity(&path)?;
        Some(Self { path, identity })
    }

    fn identity(path: &Path) -> Option<(u64, i64, i64)> {
        let data = fs::metadata(path).ok()?;
        Some((data.ino(), data.ctime(), data.ctime_nsec()))
    }

    /// It usually is gone already, or is another server's that has the same number now.
    fn remove(&self) {
        let deserted = || UnixStream::connect(&self.path).is_err();
        if Self::identity(&self.path) == Some(self.identity) && deserted() {
            let _ = fs::remove_file(&self.path);
        }
    }
}
