//! Leaving nothing behind that was not asked for.

use std::time::Duration;

use sandboxed_client::{Client, Settings};
use sandboxed_domain::api::{ApiError, ErrorCode, ListMissionsParams};
use uuid::Uuid;

use crate::cli::visit::{DaemonWas, all_ended};

/// How long cancelled workers may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

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
        sandbox.and(self.daemon_was.leave(&self.settings, say).await)
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
