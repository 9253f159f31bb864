//! What all operations share.

use std::path::PathBuf;
use std::sync::Arc;

use sandboxed_domain::api::ApiError;
use tokio::sync::Mutex;

use crate::mission::{MissionSettings, Missions};
use crate::store::{self, Store};
use crate::workspace::{Workspaces, idle_time};

/// The operations. Cheap to clone.
#[derive(Clone)]
pub struct App {
    pub(super) store: Store,
    pub(super) missions: Missions,
    pub(super) workspaces: Workspaces,
    /// Batches one after the other: a repeated key finds what the first call made.
    pub(super) batches: Arc<Mutex<()>>,
    /// One maker of spare worktrees at a time.
    pub(super) spares: Arc<Mutex<()>>,
}

impl App {
    /// Opens the data directory, adopts what runs and starts to work.
    ///
    /// # Errors
    /// The store or the workspaces cannot be opened.
    pub async fn open(data: PathBuf, instance: &str, settings: MissionSettings) -> Result<Self, ApiError> {
        for name in ["workspaces", "runs"] {
            store::make_private(&data.join(name))?;
        }
        let path = data.join("missions").join("missions.db");
        let store = tokio::task::spawn_blocking(move || Store::open(&path)).await.map_err(|error| {
            ApiError::new(sandboxed_domain::api::ErrorCode::Internal, error.to_string())
        })??;
        let workspaces = Workspaces::open(data, instance, store.clone()).await?;
        let idle = idle_time()?;
        let missions = Missions::start(store.clone(), workspaces.clone(), settings).await?;
        if let Some(idle) = idle {
            let workspaces = workspaces.clone();
            missions.background(async move { workspaces.stop_idle(idle).await });
        }
        Ok(Self { store, missions, workspaces, batches: Arc::default(), spares: Arc::default() })
    }

    /// The missions, for the doors that serve their sockets.
    pub fn missions(&self) -> &Missions {
        &self.missions
    }

    /// The store, for the doors that stream.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Stops following; runs and sandboxes go on.
    pub async fn shut_down(&self) {
        self.missions.shut_down().await;
        if let Err(error) = self.store.settle().await {
            tracing::warn!(%error, "the database's log stays beside it");
        }
        // Nobody starts a sandbox any more that could meet this.
        self.workspaces.leave_cgroups();
    }
}
