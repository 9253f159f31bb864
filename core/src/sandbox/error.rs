//! What can go wrong with a sandbox, each with the stable code that every door shows.

use std::io;
use std::path::{Path, PathBuf};

use sandbox_runner::client::ClientError;
use sandbox_runner::launch::LaunchFailure;
use sandboxed_domain::api::{ApiError, ErrorCode};
use sandboxed_domain::sandbox::SpecError;

use super::cgroup::CgroupError;
use super::probe::Check;

/// What can go wrong with a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// This host cannot run sandboxes; nothing weaker is used instead.
    #[error("this host cannot run sandboxes: {}", missing.iter().map(|c| c.name).collect::<Vec<_>>().join(", "))]
    Unsupported {
        /// The checks that failed.
        missing: Vec<Check>,
    },
    /// The spec cannot be expressed.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A cgroup refused.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The runner's program is not there.
    #[error("the runner {path} is not there", path = path.display())]
    RunnerMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The runner's program would need libraries that a sandbox does not have.
    #[error("the runner {path} is not a static ELF program", path = path.display())]
    RunnerNotStatic {
        /// Which file.
        path: PathBuf,
    },
    /// A file of ours refused.
    #[error("{action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A step before nspawn failed.
    #[error("launching the sandbox {machine} failed at {}: {}", failure.step, failure.message)]
    Launch {
        /// Which sandbox.
        machine: String,
        /// Which step, and why.
        failure: LaunchFailure,
    },
    /// The sandbox or host runner ended before it served.
    #[error("{machine} ended before it was ready ({status}): {log}")]
    DiedEarly {
        /// Which sandbox.
        machine: String,
        /// Its exit status.
        status: String,
        /// End of its log.
        log: String,
    },
    /// It did not serve in time.
    #[error("{machine} was not ready within {seconds} s: {log}")]
    StartTimedOut {
        /// Which sandbox.
        machine: String,
        /// How long it had.
        seconds: u64,
        /// End of its log.
        log: String,
    },
    /// It runs already.
    #[error("{machine} runs already")]
    AlreadyRunning {
        /// Which sandbox.
        machine: String,
    },
    /// It would not end.
    #[error("{machine} did not end: {left}")]
    WouldNotEnd {
        /// Which sandbox.
        machine: String,
        /// What is left.
        left: String,
    },
    /// The runner is gone or does not answer.
    #[error("the runner of {machine} does not answer")]
    RunnerLost {
        /// Which sandbox.
        machine: String,
        /// What happened on the socket.
        source: ClientError,
    },
    /// The runner answered that it cannot.
    #[error("the runner of {machine} refused ({word}): {message}")]
    Refused {
        /// Which sandbox.
        machine: String,
        /// The runner's stable word.
        word: String,
        /// What happened.
        message: String,
    },
    /// The runner does not know the run.
    #[error("run {run_id} is not known to the runner of {machine}")]
    UnknownRun {
        /// Which sandbox.
        machine: String,
        /// Which run.
        run_id: String,
    },
    /// A record of an earlier daemon cannot be used.
    #[error("the record {path} cannot be read: {reason}", path = path.display())]
    Record {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A path is no repository that can be bound safely.
    #[error("{path} is not a repository that can be bound: {reason}", path = path.display())]
    NotARepository {
        /// Which path.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// An image could not be built.
    #[error("building the image failed in {phase}: {reason}")]
    ImageFailed {
        /// Which part of the build.
        phase: String,
        /// What happened.
        reason: String,
        /// Whole log of the build.
        log: PathBuf,
    },
    /// An image took too long to build.
    #[error("building the image took longer than {seconds} s")]
    ImageTimedOut {
        /// How long it had.
        seconds: u64,
        /// Whole log of the build.
        log: PathBuf,
    },
    /// A thread or task of ours ended unexpectedly.
    #[error("an internal task failed: {reason}")]
    Task {
        /// What it said.
        reason: String,
    },
}

impl SandboxError {
    /// Names the action and the path of an input/output error.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// The stable code of every door.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unsupported { .. }
            | Self::RunnerMissing { .. }
            | Self::RunnerNotStatic { .. }
            | Self::Cgroup(CgroupError::ControllerMissing { .. }) => ErrorCode::SandboxUnavailable,
            Self::Spec(_) | Self::Cgroup(CgroupError::Name { .. }) => ErrorCode::InvalidArgument,
            Self::Io { source, .. } | Self::Cgroup(CgroupError::Io { source, .. }) => io_code(source),
            Self::Launch { failure, .. } => {
                failure.errno.map_or(ErrorCode::SandboxFailed, |e| io_code(&io::Error::from_raw_os_error(e)))
            }
            Self::Refused { word, .. } if word == "stdin_full" => ErrorCode::TooLarge,
            Self::Refused { word, .. } if word == "stopping" || word == "stdin_closed" => {
                ErrorCode::WrongState
            }
            Self::DiedEarly { .. }
            | Self::StartTimedOut { .. }
            | Self::WouldNotEnd { .. }
            | Self::Refused { .. }
            | Self::Record { .. }
            | Self::ImageFailed { .. }
            | Self::Cgroup(CgroupError::Busy { .. }) => ErrorCode::SandboxFailed,
            Self::AlreadyRunning { .. } => ErrorCode::Conflict,
            Self::RunnerLost { .. } => ErrorCode::RunnerLost,
            Self::UnknownRun { .. } => ErrorCode::NotFound,
            Self::NotARepository { .. } => ErrorCode::NotARepository,
            Self::ImageTimedOut { .. } => ErrorCode::TimedOut,
            Self::Task { .. } => ErrorCode::Internal,
        }
    }

    /// What to do about it; empty when there is nothing general to say.
    pub fn hint(&self) -> String {
        match self {
            Self::Unsupported { missing } => {
                missing.iter().map(|c| c.mend.as_str()).filter(|m| !m.is_empty()).collect::<Vec<_>>().join("; ")
            }
            Self::RunnerMissing { .. } | Self::RunnerNotStatic { .. } => {
"run `sandboxed-sh doctor --fix` in a source checkout, or name a static one in SANDBOXED_SH_RUNNER"
                    .into()
            }
            Self::ImageFailed { log, .. } | Self::ImageTimedOut { log, .. } => {
                format!("read {}", log.display())
            }
            _ if self.code() == ErrorCode::DiskFull => "free some space on the data directory's disk".into(),
            _ => String::new(),
        }
    }
}

fn io_code(error: &io::Error) -> ErrorCode {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => ErrorCode::DiskFull,
        Some(libc::EROFS) => ErrorCode::ReadOnly,
        _ => ErrorCode::SandboxFailed,
    }
}

impl From<SandboxError> for ApiError {
    fn from(error: SandboxError) -> Self {
        Self::from(&error)
    }
}

impl From<&SandboxError> for ApiError {
    fn from(error: &SandboxError) -> Self {
        // The sources carry the kernel's own word.
        let mut message = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            let text = inner.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = inner.source();
        }
        Self::new(error.code(), message).hint(error.hint())
    }
}
