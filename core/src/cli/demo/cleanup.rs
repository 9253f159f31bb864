//! Leaving nothing behind that was not asked for.

use sandboxed_client::daemon::{StopOutcome, stop};
use sandboxed_client::{Client, Settings};
use sandboxed_domain::api::{ApiError, ErrorCode, ListMissionsParams};
use uuid::Uuid;

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
        let all = ListMissionsParams { workspace: Some(workspace), ..ListMissionsParams::default() };
        let missions = self.client.list_missions(&all).await?.missions;
        for mission in missions.iter().filter(|mission| !mission.status.is_ended()) {
            match self.client.cancel_mission(mission.id).await {
                Ok(_) => say(&format!("cancelled {}", mission.title)),
                // It ended meanwhile.
                Err(error) if error.code == ErrorCode::WrongState => {}
                Err(error) => return Err(error),
            }
        }
        self.client.stop_workspace(&workspace.to_string()).await?;
        say("stopped the sandbox");
        Ok(())
    }
}
