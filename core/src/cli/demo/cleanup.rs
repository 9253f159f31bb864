//! Leaving nothing behind that was not asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{Stream, StreamExt};
use sandboxed_client::daemon::{StopOutcome, stop};
use sandboxed_client::{Client, Frame, Settings};
use sandboxed_domain::api::{ApiError, ErrorCode, EventBody, ListMissionsParams};
use uuid::Uuid;

/// How long cancelled workers may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whose daemon it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DaemonWas {
    /// It ran before and goes on.
    Running,
    /// The demo started it and stops it.
    Absent,
}

/// What the demo has started.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) client: Client,
    pub(super) settings: Settings,
    pub(super) daemon_was: DaemonWas,
    /// The workspace, as soon as there is one.
    pub(super) workspace: Option<Uuid>,
}

impl Started {
    /// Ends the workers that still run, the sandbox, and the daemon when it was not there before. `say` hears it.
    ///
    /// # Errors
    /// The first thing that could not be ended; the others are ended all the same.
    pub(super) async fn end(&self, say: &(dyn Fn(&str) + Sync)) -> Result<(), ApiError> {
        let sandbox = match self.workspace {
            Some(workspace) => self.end_workspace(workspace, say).await,
            None => Ok(()),
        };
        let daemon = match self.daemon_was {
            DaemonWas::Running => Ok(()),
            DaemonWas::Absent => stop(&self.settings).await.map(|outcome| {
                if outcome != StopOutcome::NotRunning {
                    say("stopped the daemon, which was not running before");
                }
            }),
        };
        sandbox.and(daemon)
    }

    async fn end_workspace(&self, workspace: Uuid, say: &(dyn Fn(&str) + Sync)) -> Result<(), ApiError> {
        // Opened before anything is cancelled, so that no end is missed.
        let events = std::pin::pin!(self.client.stream(None, None).await?);
        let all = ListMissionsParams { workspace: Some(workspace), ..ListMissionsParams::default() };
        let mut open = self.client.list_missions(&all).await?.missions;
        open.retain(|mission| !mission.status.is_ended());
        for mission in &open {
            match self.client.cancel_mission(mission.id).await {
                Ok(_) => say(&format!("cancelled {}", mission.title)),
                // It ended meanwhile.
                Err(error) if error.code == ErrorCode::WrongState => {}
                Err(error) => return Err(error),
            }
        }
        let open = open.iter().map(|mission| mission.id).collect();
        // A worker that does not end by itself is ended with the sandbox, or named by its refusal.
        let _ = tokio::time::timeout(PATIENCE, all_ended(open, events)).await;
        self.client.stop_workspace(&workspace.to_string()).await?;
        say("stopped the sandbox");
        Ok(())
    }
}

/// Returns when each mission has ended, or when the daemon tells nothing any more.
async fn all_ended(
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
