//! Stopping the daemon: asked first, then killed. Runs go on: they are no part of it.

use std::time::Duration;

use rustix::process::Signal;
use sandboxed_domain::api::{ApiError, ErrorCode};

use super::{files::StateFiles, process::ProcessId, start::StartTurn};
use crate::settings::Settings;

/// How long a daemon may take to tidy up after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// The kernel ends a killed process at once, unless it hangs in the kernel itself.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// What `stop` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopOutcome {
    /// It ended on request.
    Stopped(ProcessId),
    /// It did not answer to SIGTERM for 5 s and was killed.
    Killed(ProcessId),
    /// There was none.
    NotRunning,
}

/// Stops the daemon and returns when its process has ended.
///
/// # Errors
/// `Forbidden` for another user's daemon; `TimedOut` when even SIGKILL does not end it.
pub async fn stop(settings: &Settings) -> Result<StopOutcome, ApiError> {
    let files = StateFiles::new(settings);
    if !files.dir.is_dir() {
        return Ok(StopOutcome::NotRunning);
    }
    let _turn = StartTurn::take(&files).await?;
    stop_locked(&files).await
}

/// The same for a caller that holds the start lock.
pub(super) async fn stop_locked(files: &StateFiles) -> Result<StopOutcome, ApiError> {
    let Some(process) = files.recorded() else { return Ok(StopOutcome::NotRunning) };
    let outcome = end(process).await?;
    files.forget(process);
    Ok(outcome)
}

async fn end(process: ProcessId) -> Result<StopOutcome, ApiError> {
    let failed = |e: std::io::Error| {
        let code = match e.kind() {
            std::io::ErrorKind::PermissionDenied => ErrorCode::Forbidden,
            _ => ErrorCode::Internal,
        };
        ApiError::new(code, format!("cannot stop the daemon (pid {}): {e}", process.pid))
            .hint("stop it as the user who started it")
    };
    let Some(handle) = process.open().map_err(failed)? else { return Ok(StopOutcome::NotRunning) };
    handle.signal(Signal::TERM).map_err(failed)?;
    if handle.ended_within(GRACE).await.map_err(failed)? {
        return Ok(StopOutcome::Stopped(process));
    }
    handle.signal(Signal::KILL).map_err(failed)?;
    if handle.ended_within(AFTER_KILL).await.map_err(failed)? {
        return Ok(StopOutcome::Killed(process));
    }
    Err(ApiError::new(ErrorCode::TimedOut, format!("pid {} does not end even after SIGKILL", process.pid))
        .hint("it hangs in the kernel: look at its state with ps, and at the disk under the data directory"))
}
