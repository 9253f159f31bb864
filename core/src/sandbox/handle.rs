//! Runs of one runner, in a sandbox or on the host.
//!
//! Every call makes a connection of its own and may be repeated: the runner keeps the state, this only asks.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use sandbox_runner::client::{DEFAULT_TIMEOUT, RunnerClient};
use sandbox_runner::protocol::{Output, Request, Response, RunOptions, RunState, StartRun};
use sandboxed_domain::sandbox::Limits;

use super::cgroup::{Group, MachineCgroup, Usage};
use super::error::SandboxError;
use super::record::{RunnerFiles, make_private_dir};

/// Most bytes of stdin in one frame; escaped as JSON they may become six times as many.
const STDIN_PIECE: usize = 512 << 10;
/// How long a runner may take to hear that it shall end, before it is killed.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(2);

/// A process to start.
#[derive(Clone, PartialEq, Eq)]
pub struct RunRequest {
    /// Unique id; also the name of its directory and cgroup.
    pub run_id: String,
    /// Which attempt of its mission this is.
    pub attempt: u32,
    /// Program and arguments. Nothing secret.
    pub argv: Vec<String>,
    /// Whole environment; may hold secrets, so it is never shown.
    pub env: BTreeMap<String, String>,
    /// Working directory, as seen inside.
    pub cwd: String,
    /// Name of the output file in the run's directory.
    pub stdout_name: String,
    /// Whether stdin is fed by [`RunnerHandle::write_stdin`]; otherwise it is empty.
    pub stdin_pipe: bool,
    /// Limits of this run.
    pub limits: Limits,
}

impl std::fmt::Debug for RunRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.env.keys().collect();
        f.debug_struct("RunRequest")
            .field("run_id", &self.run_id)
            .field("attempt", &self.attempt)
            .field("argv", &self.argv)
            .field("env", &names)
            .field("cwd", &self.cwd)
            .finish_non_exhaustive()
    }
}

/// A run that was started, now or before.
#[derive(Debug, Clone)]
pub struct StartedRun {
    /// As the runner knows it.
    pub state: RunState,
    /// Its directory on the host.
    pub dir: PathBuf,
    /// Its cgroup; none where the host's runner works without.
    pub cgroup: Option<Group>,
}

/// What a run used and which limits it hit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunFigures {
    /// Figures at the end.
    pub usage: Usage,
    /// Processes killed because memory ran out.
    pub oom_kills: u64,
    /// Forks refused because of the limit on processes.
    pub refused_forks: u64,
}

/// A handle of one runner; cheap to clone, without a connection.
#[derive(Debug, Clone)]
pub struct RunnerHandle {
    name: String,
    files: RunnerFiles,
    cgroup: Option<MachineCgroup>,
}

impl RunnerHandle {
    pub(super) fn new(name: &str, files: RunnerFiles, cgroup: Option<MachineCgroup>) -> Self {
        Self { name: name.to_owned(), files, cgroup }
    }

    /// Machine name, or `host`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its files are.
    pub fn files(&self) -> &RunnerFiles {
        &self.files
    }

    /// Directory of a run on the host, whether or not it is there yet.
    pub fn runs_dir(&self, run_id: &str) -> PathBuf {
        self.files.run_dir(run_id)
    }

    /// The groups of the sandbox; none where the host's runner works without.
    pub fn cgroup(&self) -> Option<&MachineCgroup> {
        self.cgroup.as_ref()
    }

    /// Every run that the runner knows, ended ones too.
    ///
    /// # Errors
    /// [`SandboxError::RunnerLost`].
    pub async fn hello(&self) -> Result<Vec<RunState>, SandboxError> {
        match self.call(Request::Hello, Vec::new()).await? {
            Response::Hello { runs, .. } => Ok(runs),
            other => Err(self.unexpected(other)),
        }
    }

    /// Starts a run, or answers with its state when it was started before. Its directory and cgroup are there before
    /// its process is.
    ///
    /// # Errors
    /// [`SandboxError::Refused`], [`SandboxError::RunnerLost`], [`SandboxError::Cgroup`].
    pub async fn start_run(&self, request: RunRequest) -> Result<StartedRun, SandboxError> {
        self.start(request, Output::Separate).await
    }

    /// The same at a terminal of this size.
    ///
    /// # Errors
    /// As [`Self::start_run`].
    pub async fn start_at_terminal(
        &self,
        request: RunRequest,
        rows: u16,
        cols: u16,
    ) -> Result<StartedRun, SandboxError> {
        self.start(request, Output::Terminal { rows, cols }).await
    }

    async fn start(&self, request: RunRequest, output: Output) -> Result<StartedRun, SandboxError> {
        let dir = self.runs_dir(&request.run_id);
        let run_id = request.run_id.clone();
        // Asked first, so that repeating the start of an ended run leaves no group behind.
        if dir.exists() {
            match self.status(&run_id).await {
                Ok(state) => {
                    let cgroup = self.group(&run_id)?.filter(Group::exists);
                    return Ok(StartedRun { state, dir, cgroup });
                }
                Err(SandboxError::UnknownRun { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        make_private_dir(&dir)?;
        let (mut start, fds, cgroup) = self.prepare(request)?;
        start.options.output = output;
        let answer =
            self.call(Request::Start(start), fds).await.and_then(|answer| self.run_state(&run_id, answer));
        match answer {
            Ok(state) => Ok(StartedRun { state, dir, cgroup }),
            Err(error) => {
                // Whether it was started is unknown when the runner is lost: then the group must stay.
                if let (Some(cgroup), SandboxError::Refused { .. }) = (cgroup, &error) {
                    let _ = blocking(move || cgroup.remove().map_err(Into::into)).await;
                }
                Err(error)
            }
        }
    }

    /// Makes the group and opens what the runner needs of it.
    fn prepare(&self, request: RunRequest) -> Result<(StartRun, Vec<OwnedFd>, Option<Group>), SandboxError> {
        let mut start = StartRun {
            run_id: request.run_id,
            attempt: request.attempt,
            argv: request.argv,
            env: request.env,
            cwd: request.cwd,
            stdout_name: request.stdout_name,
            stdin_pipe: request.stdin_pipe,
            join_fds: 0,
            has_procs_fd: false,
            stop_payload: None,
            options: RunOptions::default(),
        };
        let Some(machine) = &self.cgroup else { return Ok((start, Vec::new(), None)) };
        let group = machine.create_run(&start.run_id, &request.limits)?;
        let mut fds = group.join_fds()?;
        start.join_fds = u32::try_from(fds.len()).unwrap_or_default();
        fds.push(group.procs_fd()?);
        start.has_procs_fd = true;
        let stop = group.stop_control()?;
        fds.push(stop.fd);
        start.stop_payload = Some(stop.payload.to_owned());
        Ok((start, fds, Some(group)))
    }

    /// Bytes for a run's stdin, beginning at `offset` of all bytes ever sent; what was accepted before is skipped.
    ///
    /// # Errors
    /// [`SandboxError::Refused`] with `stdin_full`, `stdin_gap` or `stdin_closed`; [`SandboxError::RunnerLost`].
    pub async fn write_stdin(&self, run_id: &str, offset: u64, data: &str) -> Result<RunState, SandboxError> {
        let (mut offset, mut rest) = (offset, data);
        loop {
            let (piece, later) = rest.split_at(piece_end(rest));
            let data = piece.to_owned();
            let state =
                self.ask(run_id, Request::WriteStdin { run_id: run_id.to_owned(), offset, data }).await?;
            if later.is_empty() {
                return Ok(state);
            }
            offset += piece.len() as u64;
            rest = later;
        }
    }

    /// End of stdin after everything accepted so far.
    ///
    /// # Errors
    /// [`SandboxError::UnknownRun`], [`SandboxError::RunnerLost`].
    pub async fn close_stdin(&self, run_id: &str) -> Result<(), SandboxError> {
        self.tell(run_id, Request::CloseStdin { run_id: run_id.to_owned() }).await
    }

    /// A signal to the run's first process, or to its whole process group.
    ///
    /// # Errors
    /// [`SandboxError::UnknownRun`], [`SandboxError::RunnerLost`].
    pub async fn signal(&self, run_id: &str, signal: i32, group: bool) -> Result<(), SandboxError> {
        self.tell(run_id, Request::Signal { run_id: run_id.to_owned(), signal, group }).await
    }

    /// Another size of a run's terminal.
    ///
    /// # Errors
    /// [`SandboxError::UnknownRun`], [`SandboxError::RunnerLost`].
    pub async fn resize(&self, run_id: &str, rows: u16, cols: u16) -> Result<(), SandboxError> {
        self.tell(run_id, Request::Resize { run_id: run_id.to_owned(), rows, cols }).await
    }

    /// TERM to the run, KILL to all of it after `grace`. Answered at once; the exit record tells the end.
    ///
    /// # Errors
    /// [`SandboxError::UnknownRun`], [`SandboxError::RunnerLost`].
    pub async fn stop_run(&self, run_id: &str, grace: Duration, reason: &str) -> Result<(), SandboxError> {
        let (run_id_owned, reason) = (run_id.to_owned(), reason.to_owned());
        self.tell(run_id, Request::Stop { run_id: run_id_owned, grace_ms: millis(grace), reason }).await
    }

    /// The state of one run.
    ///
    /// # Errors
    /// [`SandboxError::UnknownRun`], [`SandboxError::RunnerLost`].
    pub async fn status(&self, run_id: &str) -> Result<RunState, SandboxError> {
        self.ask(run_id, Request::Status { run_id: run_id.to_owned() }).await
    }

    /// Reads the figures of a run that ended, then removes its group and whatever is left in it. Repeating it gives
    /// zeros.
    ///
    /// # Errors
    /// [`SandboxError::Cgroup`] when something in it would not end.
    pub async fn close_run(&self, run_id: &str) -> Result<RunFigures, SandboxError> {
        let Some(group) = self.group(run_id)? else { return Ok(RunFigures::default()) };
        blocking(move || {
            if !group.exists() {
                return Ok(RunFigures::default());
            }
            let figures = RunFigures {
                usage: group.usage()?,
                oom_kills: group.oom_kills()?,
                refused_forks: group.refused_forks()?,
            };
            group.remove()?;
            Ok(figures)
        })
        .await
    }

    /// The cgroup of a run, whether or not it is there.
    fn group(&self, run_id: &str) -> Result<Option<Group>, SandboxError> {
        Ok(self.cgroup.as_ref().map(|machine| machine.run(run_id)).transpose()?)
    }

    /// Ends all runs, then the runner and with it the sandbox.
    pub(super) async fn shutdown(&self, grace: Duration) -> Result<(), SandboxError> {
        let request = Request::Shutdown { grace_ms: millis(grace) };
        self.call_within(SHUTDOWN_PATIENCE, request, Vec::new()).await.map(drop)
    }

    async fn ask(&self, run_id: &str, request: Request) -> Result<RunState, SandboxError> {
        let answer = self.call(request, Vec::new()).await?;
        self.run_state(run_id, answer)
    }

    async fn tell(&self, run_id: &str, request: Request) -> Result<(), SandboxError> {
        match self.call(request, Vec::new()).await? {
            Response::Ok => Ok(()),
            other => self.run_state(run_id, other).map(drop),
        }
    }

    fn run_state(&self, run_id: &str, answer: Response) -> Result<RunState, SandboxError> {
        match answer {
            Response::Run(state) => Ok(state),
            Response::UnknownRun { .. } => {
                Err(SandboxError::UnknownRun { machine: self.name.clone(), run_id: run_id.to_owned() })
            }
            other => Err(self.unexpected(other)),
        }
    }

    fn unexpected(&self, answer: Response) -> SandboxError {
        let (word, message) = match answer {
            Response::Failed { code, message } => (code, message),
            _ => ("protocol".to_owned(), "an answer to another question".to_owned()),
        };
        SandboxError::Refused { machine: self.name.clone(), word, message }
    }

    async fn call(&self, request: Request, fds: Vec<OwnedFd>) -> Result<Response, SandboxError> {
        self.call_within(DEFAULT_TIMEOUT, request, fds).await
    }

    async fn call_within(
        &self,
        patience: Duration,
        request: Request,
        fds: Vec<OwnedFd>,
    ) -> Result<Response, SandboxError> {
        let (socket, machine) = (self.files.socket(), self.name.clone());
        blocking(move || {
            let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            RunnerClient::connect_with_timeout(&socket, patience)
                .and_then(|mut client| client.request(&request, &borrowed))
                .map_err(|source| SandboxError::RunnerLost { machine, source })
        })
        .await
    }
}

/// Where the next piece of stdin ends, never within a character.
fn piece_end(text: &str) -> usize {
    let mut end = text.len().min(STDIN_PIECE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Runs something that blocks, away from the runtime's own threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SandboxError> + Send + 'static,
) -> Result<T, SandboxError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(SandboxError::Task { reason: e.to_string() }))
}
