//! Waiting for a runner that was just started: its socket is announced by inotify, its early end by its exit.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use sandbox_runner::client::{ClientError, RunnerClient};
use sandbox_runner::launch::{EXIT_LAUNCH_FAILED, LaunchFailure};
use sandbox_runner::protocol::Request;
use tokio::process::{Child, Command};

use super::error::SandboxError;
use super::handle::blocking;
use super::record::RunnerFiles;

/// Between the socket's appearance and its first accept the kernel has no event; this is how long to wait before
/// asking again.
const RETRY: Duration = Duration::from_millis(1);

/// A runner on its way.
pub(super) struct Starting {
    pub(super) child: Child,
    pub(super) pid: i32,
    name: String,
    files: RunnerFiles,
    events: EventStream<[u8; 1024]>,
}

impl Starting {
    /// Spawns `command` with its output in the log and watches the control directory, which must be there.
    pub(super) fn spawn(name: &str, files: &RunnerFiles, mut command: Command) -> Result<Self, SandboxError> {
        let log = files.prepare()?;
        let events = watch(files).map_err(SandboxError::io("watch", files.control()))?;
        let program = command.as_std().get_program().to_owned();
        let failed = SandboxError::io("start", program.as_ref());
        let copy = log.try_clone().map_err(SandboxError::io("open", &files.log()))?;
        let child = command.stdout(Stdio::from(copy)).stderr(Stdio::from(log)).spawn().map_err(failed)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        Ok(Self { child, pid, name: name.to_owned(), files: files.clone(), events })
    }

    /// Waits until the runner answers.
    pub(super) async fn served(&mut self, patience: Duration) -> Result<(), SandboxError> {
        let Self { child, name, files, events, .. } = self;
        let waited = tokio::time::timeout(patience, async {
            tokio::select! {
                status = child.wait() => Err(died_early(name, files, status)),
                answered = answered(files, events) => answered,
            }
        });
        waited.await.unwrap_or_else(|_| {
            let (machine, log) = (self.name.clone(), self.files.log_tail());
            Err(SandboxError::StartTimedOut { machine, seconds: patience.as_secs(), log })
        })
    }

    /// Leaves the child to a task that reaps it when it ends, however long that takes. Closing an inotify waits for the
    /// kernel, often longer than a whole start takes, so another thread does it.
    pub(super) fn leave(self) {
        let (mut child, events) = (self.child, self.events);
        tokio::task::spawn_blocking(move || drop(events));
        tokio::spawn(async move {
            if let Err(error) = child.wait().await {
                tracing::warn!(%error, machine = self.name, "waiting for a sandbox's process failed");
            }
        });
    }
}

/// Waits until a runner that somebody else started answers.
pub(super) async fn answering(
    name: &str,
    files: &RunnerFiles,
    patience: Duration,
) -> Result<(), SandboxError> {
    let mut events = watch(files).map_err(SandboxError::io("watch", files.control()))?;
    let waited = tokio::time::timeout(patience, answered(files, &mut events)).await;
    waited.unwrap_or_else(|_| {
        let (machine, log) = (name.to_owned(), files.log_tail());
        Err(SandboxError::StartTimedOut { machine, seconds: patience.as_secs(), log })
    })
}

fn watch(files: &RunnerFiles) -> std::io::Result<EventStream<[u8; 1024]>> {
    let inotify = Inotify::init()?;
    inotify.watches().add(files.control(), WatchMask::CREATE | WatchMask::MOVED_TO)?;
    inotify.into_event_stream([0; 1024])
}

async fn answered(files: &RunnerFiles, events: &mut EventStream<[u8; 1024]>) -> Result<(), SandboxError> {
    loop {
        while !files.socket().exists() {
            match events.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(SandboxError::io("watch", files.control())(error)),
                None => return Err(SandboxError::Task { reason: "inotify ended".into() }),
            }
        }
        let socket = files.socket();
        let asked = blocking(move || Ok(hello(&socket))).await?;
        match asked {
            Ok(()) => return Ok(()),
            Err(error) => {
                tracing::trace!(%error, "not yet");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

fn hello(socket: &std::path::Path) -> Result<(), ClientError> {
    RunnerClient::connect(socket)?.request(&Request::Hello, &[]).map(drop)
}

fn died_early(name: &str, files: &RunnerFiles, status: std::io::Result<ExitStatus>) -> SandboxError {
    let machine = name.to_owned();
    let log = files.log_tail();
    let Ok(status) = status else {
        return SandboxError::DiedEarly { machine, status: "unknown".into(), log };
    };
    if status.code() == Some(i32::from(EXIT_LAUNCH_FAILED)) {
        let last = log.lines().last().unwrap_or_default();
        if let Ok(failure) = serde_json::from_str::<LaunchFailure>(last) {
            return SandboxError::Launch { machine, failure };
        }
    }
    SandboxError::DiedEarly { machine, status: status.to_string(), log }
}
