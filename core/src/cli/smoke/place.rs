//! Where it happens, and leaving nothing of it.

use std::collections::BTreeSet;
use std::time::Duration;

use sandboxed_client::Client;
use sandboxed_domain::api::{
    ApiError, CreateMissionParams, CreateWorkspaceParams, ErrorCode, ExecParams, PermissionMode,
    WorkspaceView,
};
use sandboxed_domain::smoke::{GATE, first_message};
use uuid::Uuid;

use crate::cli::args::SmokeArgs;
use crate::cli::visit::all_ended;
use crate::cli::{image, out};

/// How long a cancelled mission may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Workspace, fifo and mission, as far as they are there.
pub(super) struct Place {
    client: Client,
    wanted: Option<String>,
    workspace: Option<Uuid>,
    gate: bool,
    mission: Option<Uuid>,
}

impl Place {
    /// Nothing is there. `wanted`: a workspace that is, and stays.
    pub(super) fn new(client: Client, wanted: Option<String>) -> Self {
        Self { client, wanted, workspace: None, gate: false, mission: None }
    }

    /// The workspace with its image, running, and the fifo in it.
    ///
    /// # Errors
    /// The daemon's; another smoke test is in this workspace.
    pub(super) async fn prepare(&mut self) -> Result<WorkspaceView, ApiError> {
        let workspace = match &self.wanted {
            Some(wanted) => self.client.workspace(wanted).await?,
            None => {
                let name = format!("smoke-{}", &Uuid::new_v4().simple().to_string()[..8]);
                let params = CreateWorkspaceParams { name, ..CreateWorkspaceParams::default() };
                self.client.create_workspace(&params).await?
            }
        };
        self.workspace = Some(workspace.id);
        let id = workspace.id.to_string();
        image::build(&self.client, &id).await?;
        self.client.start_workspace(&id).await?;
        self.exec(&["mkfifo", "-m", "666", GATE]).await.map_err(|error| {
            error.hint(format!("does another smoke test run in this workspace? If not, remove {GATE} there"))
        })?;
        self.gate = true;
        Ok(workspace)
    }

    /// The mission, with the first message.
    ///
    /// # Errors
    /// The daemon's.
    pub(super) async fn mission(&mut self, args: &SmokeArgs) -> Result<Uuid, ApiError> {
        let params = CreateMissionParams {
            title: Some(format!("smoke test of {}", args.backend)),
            prompt: Some(first_message()),
            backend: Some(args.backend.clone()),
            model_override: args.model.clone(),
            model_effort: args.effort.clone(),
            // Nobody is there to be asked.
            permission_mode: Some(PermissionMode::Bypass),
            workspace_id: self.workspace.map(|id| id.to_string()),
            ..CreateMissionParams::default()
        };
        let mission = self.client.create_mission(&params).await?;
        if let Some(warning) = &mission.warning {
            out::say(&format!("  {warning}"));
        }
        self.mission = Some(mission.id);
        Ok(mission.id)
    }

    /// Removes what was made here. `say` hears of the workspace.
    ///
    /// # Errors
    /// The first thing that could not be removed; the others are removed all the same.
    pub(super) async fn leave(&self, say: &(dyn Fn(&str) + Sync)) -> Result<(), ApiError> {
        let mission = match self.mission {
            Some(mission) => self.leave_mission(mission).await,
            None => Ok(()),
        };
        let workspace = match (self.workspace, &self.wanted) {
            (Some(workspace), None) => {
                let id = workspace.to_string();
                let stopped = self.client.stop_workspace(&id).await.map(drop);
                let removed = self.client.delete_workspace(&id).await;
                stopped.and(removed).map(|()| say("removed mission and workspace"))
            }
            (Some(_), Some(_)) if self.gate => self.exec(&["rm", "-f", GATE]).await,
            _ => Ok(()),
        };
        mission.and(workspace)
    }

    async fn leave_mission(&self, mission: Uuid) -> Result<(), ApiError> {
        // Opened before it is cancelled, so that its end is not missed.
        let events = std::pin::pin!(self.client.stream(Some(mission), None).await?);
        match self.client.cancel_mission(mission).await {
            Ok(view) if !view.status.is_ended() => {
                // One that does not end by itself refuses to be deleted, which says so.
                let _ = tokio::time::timeout(PATIENCE, all_ended(BTreeSet::from([mission]), events)).await;
            }
            Ok(_) => {}
            // It has ended already.
            Err(error) if error.code == ErrorCode::WrongState => {}
            Err(error) => return Err(error),
        }
        self.client.delete_mission(mission).await
    }

    async fn exec(&self, argv: &[&str]) -> Result<(), ApiError> {
        let Some(workspace) = self.workspace else { return Ok(()) };
        run(&self.client, workspace, argv).await
    }
}

/// Runs a short program in the workspace.
///
/// # Errors
/// It fails, with what it said.
pub(super) async fn run(client: &Client, workspace: Uuid, argv: &[&str]) -> Result<(), ApiError> {
    let argv = argv.iter().map(|part| (*part).to_owned()).collect();
    let params = ExecParams { argv, cwd: None, timeout_seconds: Some(30) };
    let ended = client.exec(&workspace.to_string(), &params).await?;
    if ended.exit_code == Some(0) {
        return Ok(());
    }
    let why = ended.reason.unwrap_or_else(|| out::one_line(&ended.stderr, 200));
    Err(ApiError::new(
        ErrorCode::Conflict,
        format!("{} failed in the workspace: {why}", params.argv.join(" ")),
    ))
}
