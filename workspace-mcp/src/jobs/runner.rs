//! The runner of this workspace: found by its socket, started when it is needed, and asked.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use sandbox_runner::client::{ClientError, RunnerClient};
use sandbox_runner::protocol::{PROTOCOL_VERSION, Request, Response, RunState, SOCKET_FILE, StartRun};
use tokio::process::Command;

use super::watch::Watcher;
use crate::error::{Code, Problem, Result};

/// How long a new runner may take to answer.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// A runner that leaves still holds its lock for a moment.
const RETRY: Duration = Duration::from_millis(20);
const ATTEMPTS: usize = 50;
/// Where the runner says what it has to say.
const LOG_FILE: &str = "runner.log";

/// The runner as this server sees it.
#[derive(Debug, Clone)]
pub struct Runner(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    control: PathBuf,
    watcher: Watcher,
    lease: OwnedFd,
    /// Never written to: the kernel closes it when this process ends, and that is the message.
    _held_lease: OwnedFd,
    /// A connection that stays, so that the runner does too while there is a server.
    held: Mutex<Option<RunnerClient>>,
    starting: tokio::sync::Mutex<()>,
}

impl Runner {
    /// The runner that serves `control`, a directory that is there.
    ///
    /// # Errors
    /// When no pipe can be made.
    pub fn new(control: PathBuf, watcher: Watcher) -> Result<Self> {
        let (lease, held_lease) = pipe_with(PipeFlags::CLOEXEC).map_err(|errno| unavailable(&errno))?;
        Ok(Self(Arc::new(Inner {
            control,
            watcher,
            lease,
            _held_lease: held_lease,
            held: Mutex::new(None),
            starting: tokio::sync::Mutex::new(()),
        })))
    }

    /// Starts a run, and the runner when there is none.
    ///
    /// # Errors
    /// `not_started`, `jobs_unavailable`.
    pub async fn start(&self, start: StartRun) -> Result<RunState> {
        let request = Request::Start(start);
        for _ in 0..ATTEMPTS {
            match self.ask(request.clone()).await? {
                Some(Response::Run(state)) => return Ok(state),
                Some(Response::Failed { code, message }) if code != "stopping" => {
                    return Err(Problem::new(Code::NotStarted, message));
                }
                Some(Response::Failed { .. }) => tokio::time::sleep(RETRY).await,
                Some(other) => return Err(Problem::internal(format!("the runner answered {other:?}"))),
                None => self.launch().await?,
            }
        }
        Err(Problem::new(Code::JobsUnavailable, "the runner ends as often as it is started"))
    }

    /// Asks a runner that is there; none when there is none.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ask(&self, request: Request) -> Result<Option<Response>> {
        let inner = Arc::clone(&self.0);
        let asked = tokio::task::spawn_blocking(move || inner.ask(&request)).await;
        match asked.map_err(Problem::internal)? {
            Ok(response) => Ok(Some(response)),
            Err(ClientError::Connect { .. } | ClientError::Closed) => Ok(None),
            Err(error) => Err(Problem::new(Code::JobsUnavailable, format!("the runner: {error}"))),
        }
    }

    /// Starts one and waits until it answers. Another server may do the same: the runner's lock lets one through.
    async fn launch(&self) -> Result<()> {
        let _one = self.0.starting.lock().await;
        let fail = |error: std::io::Error| unavailable(&error);
        let mut appears = self.0.watcher.directory(&self.0.control).map_err(fail)?;
        let log = File::create(self.0.control.join(LOG_FILE)).map_err(fail)?;
        let mut child = Command::new("/proc/self/exe")
            .arg0("workspace-mcp")
            .args(["run-jobs", "--control"])
            .arg(&self.0.control)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()
            .map_err(fail)?;
        let answered = tokio::time::timeout(START_PATIENCE, async {
            while !self.is_there().await? {
                tokio::select! {
                    () = appears.changed() => {}
                    _ = child.wait() => {
                        // Another one has the lock: it serves, or leaves in this moment.
                        tokio::time::sleep(RETRY).await;
                        return self.is_there().await;
                    }
                }
            }
            Ok(true)
        });
        let there = answered.await;
        // Reaped when it ends; it may live longer than this server.
        tokio::spawn(async move { child.wait().await });
        match there {
            // One that is not there all the same is started again by who needs it.
            Ok(there) => there.map(drop),
            Err(_) => {
                let words = fs::read_to_string(self.0.control.join(LOG_FILE)).unwrap_or_default();
                Err(Problem::new(
                    Code::JobsUnavailable,
                    format!("the runner does not answer: {}", words.trim()),
                ))
            }
        }
    }

    /// Whether one answers. The connection is kept: a runner without connections and runs leaves.
    async fn is_there(&self) -> Result<bool> {
        let inner = Arc::clone(&self.0);
        let greeted = tokio::task::spawn_blocking(move || inner.greet()).await;
        match greeted.map_err(Problem::internal)? {
            Ok(Response::Hello { version, .. }) if version < PROTOCOL_VERSION => {
                let message = format!("an older runner (version {version}) serves this workspace");
                Err(Problem::new(Code::JobsUnavailable, message).hint("end its jobs, then try again"))
            }
            Ok(_) => Ok(true),
            Err(ClientError::Connect { .. } | ClientError::Closed) => Ok(false),
            Err(error) => Err(unavailable(&error)),
        }
    }
}

impl Inner {
    fn socket(&self) -> PathBuf {
        self.control.join(SOCKET_FILE)
    }

    fn greet(&self) -> Result<Response, ClientError> {
        let mut client = RunnerClient::connect(&self.socket())?;
        let answer = client.request(&Request::Hello, &[])?;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
        Ok(answer)
    }

    fn ask(&self, request: &Request) -> Result<Response, ClientError> {
        let mut client = RunnerClient::connect(&self.socket())?;
        match request {
            Request::Start(start) if start.options.has_lease_fd => {
                client.request(request, &[self.lease.as_fd()])
            }
            _ => client.request(request, &[]),
        }
    }
}

/// Serves jobs as a process of its own; see [`sandbox_runner::host`].
///
/// # Errors
/// When the directory cannot be served.
pub fn serve(control: &Path) -> Result<(), String> {
    sandbox_runner::host::run(control, sandbox_runner::host::Leave::WhenUnused)
}

fn unavailable(error: &impl std::fmt::Display) -> Problem {
    Problem::new(Code::JobsUnavailable, format!("jobs cannot be kept: {error}"))
}
