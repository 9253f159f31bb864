//! Starting the daemon in the background and waiting until it serves.

use std::{
    fs::File,
    io::{self, PipeReader, PipeWriter},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::Signal;
use sandboxed_domain::api::{ApiError, ErrorCode};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe,
    process::{Child, Command},
};

use super::{
    files::{StateFiles, file_error, open_lock},
    log::{log_tail, open_log},
    process::ProcessId,
    program::find_program,
    ready::{READY_FD_VARIABLE, READY_LINE},
};
use crate::settings::{Settings, TokenSource};

/// How long a start may take until the daemon serves.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a daemon that has given up may take to end by itself.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// So much of a failed start's log goes into the error.
const TAIL_BYTES: u64 = 2000;

/// Whether the daemon asks for a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Auth {
    /// The settings' token, made at first start.
    #[default]
    Token,
    /// Nobody is asked: `serve --no-token`.
    Open,
}

/// How to start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartOptions {
    /// The `sandboxed-sh` executable; default [`find_program`].
    pub program: Option<PathBuf>,
    /// Token or none.
    pub auth: Auth,
}

/// What `start` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOutcome {
    /// It was started and serves.
    Started(ProcessId),
    /// It was there before.
    AlreadyRunning(ProcessId),
}

impl StartOptions {
    pub(super) fn program(&self) -> Result<PathBuf, ApiError> {
        self.program.clone().map_or_else(find_program, Ok)
    }
}

/// Starts the daemon unless it runs. Several callers at once start one.
///
/// # Errors
/// `DaemonUnreachable` with the end of the log when it ends before it serves; `TimedOut` after 30 s;
/// `NotFound` without a program.
pub async fn start(settings: &Settings, options: &StartOptions) -> Result<StartOutcome, ApiError> {
    let files = StateFiles::new(settings);
    let _turn = StartTurn::take(&files).await?;
    start_locked(settings, options, &files).await
}

/// The start lock, held by value.
pub(super) struct StartTurn {
    _lock: File,
}

impl StartTurn {
    /// Waits for its turn; each holder's work is bounded by the start and stop limits.
    pub(super) async fn take(files: &StateFiles) -> Result<Self, ApiError> {
        files.create_dir()?;
        let path = files.start_lock.clone();
        let locked = tokio::task::spawn_blocking(move || {
            let lock = open_lock(&path)?;
            lock.lock().map_err(|e| file_error(&path, &e))?;
            Ok(Self { _lock: lock })
        });
        locked
            .await
            .map_err(|e| ApiError::new(ErrorCode::Internal, format!("waiting for the start lock: {e}")))?
    }
}

/// The same for a caller that holds the start lock.
pub(super) async fn start_locked(
    settings: &Settings,
    options: &StartOptions,
    files: &StateFiles,
) -> Result<StartOutcome, ApiError> {
    if let Some(process) = files.running() {
        return Ok(StartOutcome::AlreadyRunning(process));
    }
    let program = options.program()?;
    let log = open_log(&files.log)?;
    let log_start = log.metadata().map_or(0, |m| m.len());
    let (reader, writer) = io::pipe().map_err(|e| failed(&program, &e))?;
    let mut child = spawn(settings, options, &program, &log, writer).map_err(|e| failed(&program, &e))?;
    let said = tokio::time::timeout(START_TIMEOUT, read_ready(reader)).await;
    match said {
        Ok(Ok(true)) => files.running().map(StartOutcome::Started).ok_or_else(|| {
            ApiError::new(ErrorCode::Internal, "the daemon says it is ready but wrote no pid file")
                .field(files.pid.display().to_string())
                .hint("look into its log")
        }),
        Ok(_) => {
            // It lets go of the pipe on its way out, and may have its last words still to log.
            let status = match tokio::time::timeout(LAST_WORDS, child.wait()).await {
                Ok(status) => status.map_or_else(|e| e.to_string(), |status| status.to_string()),
                Err(_) => end(&mut child).await,
            };
            Err(ended_early(&files.log, log_start, &status))
        }
        Err(_) => {
            end(&mut child).await;
            let tail = log_tail(&files.log, log_start, TAIL_BYTES);
            let message = format!("the daemon did not serve within {} s: {tail}", START_TIMEOUT.as_secs());
            Err(ApiError::new(ErrorCode::TimedOut, message).hint(format!("see {}", files.log.display())))
        }
    }
}

fn spawn(
    settings: &Settings,
    options: &StartOptions,
    program: &Path,
    log: &File,
    ready: PipeWriter,
) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.arg("serve");
    if options.auth == Auth::Open {
        command.arg("--no-token");
    }
    command
        .env("SANDBOXED_SH_DATA_DIR", &settings.data_dir)
        .env("SANDBOXED_SH_HOST", settings.host.to_string())
        .env("SANDBOXED_SH_PORT", settings.port.to_string())
        .env_remove("SANDBOXED_SH_API_URL")
        .env_remove("SANDBOXED_SH_TOKEN")
        .env_remove("SANDBOXED_SH_TOKEN_FILE")
        .env(READY_FD_VARIABLE, ready.as_raw_fd().to_string())
        // Not the starter's directory: it may be removed or unmounted while the daemon lives.
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?);
    match &settings.token {
        TokenSource::Fixed(token) => command.env("SANDBOXED_SH_TOKEN", token.expose()),
        TokenSource::File(path) => command.env("SANDBOXED_SH_TOKEN_FILE", std::path::absolute(path)?),
    };
    let fd = ready.as_raw_fd();
    let prepare = move || {
        rustix::process::setsid()?;
        // SAFETY: the pipe's write end is open in the child until exec: it was before the fork, in `ready`.
        let pipe = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        rustix::io::fcntl_setfd(pipe, rustix::io::FdFlags::empty())?;
        Ok(())
    };
    // SAFETY: between fork and exec only two system calls are made; no memory is allocated, no lock taken.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
    // `ready` closes here: from now on only the daemon has it, and its end shows as end of file.
}

/// Whether the daemon said it serves; false when it closed the pipe without a word.
async fn read_ready(reader: PipeReader) -> io::Result<bool> {
    let mut reader = pipe::Receiver::from_owned_fd(reader.into())?;
    let mut said = [0; READY_LINE.len()];
    match reader.read_exact(&mut said).await {
        Ok(_) => Ok(said == READY_LINE),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

/// Ends a daemon that did not come up, and what it had started in its session's first group.
async fn end(child: &mut Child) -> String {
    if let Some(pid) = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed())) {
        // It leads its own session, so its group is its own. Gone already is fine.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
    child.wait().await.map_or_else(|e| e.to_string(), |status| status.to_string())
}

fn failed(program: &Path, error: &io::Error) -> ApiError {
    ApiError::new(ErrorCode::Internal, format!("cannot start {}: {error}", program.display()))
        .field(program.display().to_string())
        .hint("check that the file is an executable for this machine")
}

fn ended_early(log: &Path, start: u64, status: &str) -> ApiError {
    let tail = log_tail(log, start, TAIL_BYTES);
    let message = format!("the daemon ended before it served ({status}): {tail}");
    ApiError::new(ErrorCode::DaemonUnreachable, message).hint(format!("see {}", log.display()))
}
