//! A server's side of the keeper.

use std::{
    collections::BTreeMap,
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::link::{Notice, Part, Request, receive, send};
use super::programs::Program;
use crate::error::{Code, Problem, Result};

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("end"),
        }
    }
}

/// A program that runs.
#[derive(Debug, Clone)]
pub struct Started {
    /// The process.
    pub pid: i32,
    /// How it ended, once it has.
    pub exit: watch::Receiver<Option<Exit>>,
}

impl Started {
    /// Waits for its end.
    pub async fn ended(&mut self) -> Exit {
        match self.exit.wait_for(Option::is_some).await {
            Ok(exit) => (*exit).unwrap_or(Exit { code: None, signal: None }),
            // The keeper has gone, and with it all programs.
            Err(_) => Exit { code: None, signal: None },
        }
    }
}

type Asked = oneshot::Sender<Result<Started, String>>;

#[derive(Default)]
struct Books {
    next: u64,
    asked: BTreeMap<u64, Asked>,
    running: BTreeMap<i32, watch::Sender<Option<Exit>>>,
}

struct Inner {
    socket: Arc<AsyncFd<OwnedFd>>,
    books: Arc<Mutex<Books>>,
    gone: CancellationToken,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = shutdown(self.socket.get_ref(), Shutdown::Both);
    }
}

/// Handle to a keeper; with the last one everything in the desktop is ended.
#[derive(Clone)]
pub struct Keeper(Arc<Inner>);

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeper")
    }
}

impl Keeper {
    /// Starts a keeper of `directory`. The process is returned for its end to be awaited.
    ///
    /// # Errors
    /// `not_started`.
    pub fn start(program: &Path, directory: &Path) -> Result<(Self, Child)> {
        Self::try_start(program, directory).map_err(|error| {
            Problem::new(Code::NotStarted, format!("the keeper of a desktop did not start: {error}"))
        })
    }

    fn try_start(program: &Path, directory: &Path) -> io::Result<(Self, Child)> {
        let (own, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        rustix::io::ioctl_fionbio(&own, true)?;
        let mut command = Command::new(program);
        // Its standard input is the socket: nothing else has to be inherited.
        command.arg("keep-desktop").arg(directory).stdin(Stdio::from(other)).stdout(Stdio::null());
        let child = command.spawn()?;
        // SAFETY: an owned descriptor stays the same and open for as long as it lives, and none is made anew here.
        let socket = Arc::new(unsafe { AsyncFd::register(own) }?);
        let (books, gone) = (Arc::new(Mutex::default()), CancellationToken::new());
        tokio::spawn(listen(Arc::clone(&socket), Arc::clone(&books), gone.clone()));
        Ok((Self(Arc::new(Inner { socket, books, gone })), child))
    }

    /// Ends everything; what `gone` and the process's end tell is awaited elsewhere.
    pub fn end(&self) {
        let _ = shutdown(self.0.socket.get_ref(), Shutdown::Both);
    }

    /// Cancelled when the keeper has gone or was told to.
    pub fn gone(&self) -> &CancellationToken {
        &self.0.gone
    }

    /// Starts a program. `ready` becomes its descriptor 3.
    ///
    /// # Errors
    /// `not_started`, with what the system said; `desktop_ended`.
    pub async fn run(&self, program: Program, part: Part, ready: Option<OwnedFd>) -> Result<Started> {
        let Program { argv, env, directory, log } = program;
        let name = argv.first().cloned().unwrap_or_default();
        let (asked, answer) = oneshot::channel();
        let id = {
            let mut books = lock(&self.0.books);
            books.next += 1;
            let id = books.next;
            books.asked.insert(id, asked);
            id
        };
        let request = Request::Start { id, argv, env, directory, log, part };
        if let Err(error) = self.say(&request, ready.as_ref().map(AsFd::as_fd)).await {
            lock(&self.0.books).asked.remove(&id);
            return Err(match error.kind() {
                io::ErrorKind::InvalidInput => Problem::new(Code::TooLarge, error.to_string()),
                _ => ended(),
            });
        }
        match answer.await {
            Ok(Ok(started)) => Ok(started),
            Ok(Err(message)) => {
                Err(Problem::new(Code::NotStarted, format!("{name} did not start: {message}")))
            }
            Err(_) => Err(ended()),
        }
    }

    /// Tells it which display the X server has.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub async fn serves(&self, display: u32) -> Result<()> {
        self.say(&Request::Serves { display }, None).await.map_err(|_| ended())
    }

    async fn say(&self, request: &Request, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        loop {
            let mut ready = self.0.socket.writable().await?;
            if let Ok(sent) = ready.try_io(|socket| send(socket.as_fd(), request, fd)) {
                return sent;
            }
        }
    }
}

fn ended() -> Problem {
    Problem::new(Code::DesktopEnded, "the desktop has ended")
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hears the keeper out. Afterwards nobody waits for an answer any more.
async fn listen(socket: Arc<AsyncFd<OwnedFd>>, books: Arc<Mutex<Books>>, gone: CancellationToken) {
    while let Ok(mut ready) = socket.readable().await {
        match ready.try_io(|socket| receive::<Notice>(socket.get_ref())) {
            Ok(Ok(Some((notice, _)))) => note(&mut lock(&books), notice),
            Ok(Ok(None) | Err(_)) => break,
            Err(_not_yet) => {}
        }
    }
    gone.cancel();
    *lock(&books) = Books::default();
}

fn note(books: &mut Books, notice: Notice) {
    match notice {
        Notice::Started { id, pid } => {
            let (sender, exit) = watch::channel(None);
            if let Some(asked) = books.asked.remove(&id) {
                books.running.insert(pid, sender);
                let _ = asked.send(Ok(Started { pid, exit }));
            }
        }
        Notice::Failed { id, message } => {
            if let Some(asked) = books.asked.remove(&id) {
                let _ = asked.send(Err(message));
            }
        }
        Notice::Exited { pid, code, signal } => {
            if let Some(running) = books.running.remove(&pid) {
                let _ = running.send(Some(Exit { code, signal }));
            }
        }
    }
}
