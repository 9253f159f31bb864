//! Verbs that use the daemon for a while and leave it as they found it.

use std::collections::BTreeSet;

use futures::{Stream, StreamExt};
use sandboxed_client::daemon::{Auth, StopOutcome, ensure_running, status, stop};
use sandboxed_client::{Client, Frame, Ownership, Settings};
use sandboxed_domain::api::{ApiError, EventBody};
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use super::{daemon, out};

/// Exit status of a program that was interrupted, as shells have it.
pub(super) const INTERRUPTED: u8 = 130;

/// Whose daemon it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DaemonWas {
    /// It ran before and goes on.
    Running,
    /// This verb started it and stops it.
    Absent,
}

impl DaemonWas {
    /// Stops the daemon when it was not there before. `say` hears it.
    ///
    /// # Errors
    /// It cannot be stopped.
    pub(super) async fn leave(
        self,
        settings: &Settings,
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<(), ApiError> {
        if self == Self::Absent && stop(settings).await? != StopOutcome::NotRunning {
            say("stopped the daemon, which was not running before");
        }
        Ok(())
    }
}

/// The daemon, started when it does not run.
///
/// # Errors
/// It cannot be started.
pub(super) async fn arrive() -> Result<(Client, Settings, DaemonWas), ApiError> {
    let settings = Settings::from_env()?;
    let options = daemon::options(Auth::Token);
    let ran = settings.ownership == Ownership::Foreign || status(&settings, &options).await?.running;
    let client = ensure_running(&settings, &options, &|notice| out::say(&format!("  {notice}"))).await?;
    Ok((client, settings, if ran { DaemonWas::Running } else { DaemonWas::Absent }))
}

/// Ctrl-C or TERM.
pub(super) async fn interrupted() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Returns when each mission has ended, or when the daemon tells nothing any more.
pub(super) async fn all_ended(
    mut open: BTreeSet<Uuid>,
    mut events: impl Stream<Item = Result<Frame, ApiError>> + Unpin,
) {
    while !open.is_empty() {
        let Some(Ok(frame)) = events.next().await else { return };
        if let Some(event) = frame.event()
            && let EventBody::MissionStatusChanged { status, .. } = event.body
            && status.is_ended()
        {
            open.remove(&event.mission_id);
        }
    }
}
