//! Who calls, and what follows from it: which boss, which workspace, which directory.

use std::path::{Path, PathBuf};

use sandboxed_domain::api::{ApiError, Caller, CreateWorkspaceParams, ErrorCode, PermissionMode};
use uuid::Uuid;

use super::App;
use crate::git;
use crate::store::{self, MissionRow, WorkspaceRow};

/// By which door a call came.
#[derive(Debug, Clone, PartialEq)]
pub enum Identity {
    /// Somebody with the token.
    Outside(Caller),
    /// A mission, by its own socket.
    Mission(Uuid),
}

/// A boss with its place.
#[derive(Debug, Clone)]
pub(super) struct Boss {
    pub name: String,
    pub mission: Option<Uuid>,
    pub workspace: WorkspaceRow,
    pub working_directory: PathBuf,
    /// The mission's own, which its workers do not exceed.
    pub permission_mode: Option<PermissionMode>,
}

/// The boss that a mission is for its own workers.
pub(super) fn mission_boss(id: Uuid) -> String {
    format!("mission:{id}")
}

impl App {
    /// The name under which a caller's workers are kept.
    pub(super) fn boss_name(identity: &Identity) -> Result<String, ApiError> {
        match identity {
            Identity::Mission(id) => Ok(mission_boss(*id)),
            Identity::Outside(caller) if caller.boss.is_empty() => {
                Err(ApiError::invalid("caller.boss", "the caller has no name")
                    .hint("pass --boss NAME to mcp-orchestrator"))
            }
            Identity::Outside(caller) if caller.boss.starts_with("mission:") => {
                Err(ApiError::invalid("caller.boss", "names that begin with `mission:` belong to missions")
                    .hint("choose another --boss NAME"))
            }
            Identity::Outside(caller) => Ok(caller.boss.clone()),
        }
    }

    /// The boss with its workspace, which is made at its first use.
    pub(super) async fn boss(&self, identity: &Identity) -> Result<Boss, ApiError> {
        let name = Self::boss_name(identity)?;
        match identity {
            Identity::Mission(id) => {
                let id = *id;
                let row = self.store.read(move |c| store::get_mission(c, id)).await?;
                let workspace = self.workspace(&row.workspace_id.to_string()).await?;
                let working_directory = row
                    .working_directory
                    .clone()
                    .map_or_else(|| self.workspaces.paths(row.workspace_id).mission(row.id), PathBuf::from);
                let permission_mode = row.spec.permission_mode;
                Ok(Boss { name, mission: Some(id), workspace, working_directory, permission_mode })
            }
            Identity::Outside(caller) => {
                let workspace = match caller.workspace.as_deref() {
                    Some(chosen) => self.workspace(chosen).await?,
                    None => self.workspace_for(&name, &caller.working_directory).await?,
                };
                let working_directory = PathBuf::from(&caller.working_directory);
                Ok(Boss { name, mission: None, workspace, working_directory, permission_mode: None })
            }
        }
    }

    /// A workspace by id or name; `host` is the machine itself.
    pub(super) async fn workspace(&self, id_or_name: &str) -> Result<WorkspaceRow, ApiError> {
        let wanted = id_or_name.to_owned();
        let found = self.store.read(move |c| store::find_workspace(c, &wanted)).await?;
        found.ok_or_else(|| {
            ApiError::new(ErrorCode::UnknownWorkspace, format!("no workspace {id_or_name:?}"))
                .field("workspace_id")
                .hint("list them with `sandboxed-sh workspace list`")
        })
    }

    /// The workspace of an outside boss: from the repository of its working directory, bound at its own path.
    async fn workspace_for(&self, boss: &str, directory: &str) -> Result<WorkspaceRow, ApiError> {
        let name = boss.to_owned();
        if let Some(found) = self.store.read(move |c| store::workspace_of_boss(c, &name)).await? {
            return Ok(found);
        }
        let root = self.repository_root(directory).await?;
        let binds = root.iter().map(|root| root.display().to_string()).collect();
        let label =
            root.as_deref().and_then(Path::file_name).and_then(|n| n.to_str()).unwrap_or("boss").to_owned();
        let spec =
            self.workspace_spec(&CreateWorkspaceParams { binds, ..CreateWorkspaceParams::default() })?;
        self.workspaces.create(&label, spec, Some(boss.to_owned())).await
    }

    /// Top of the repository that holds a directory of the host; none when there is none.
    pub(super) async fn repository_root(&self, directory: &str) -> Result<Option<PathBuf>, ApiError> {
        if !Path::new(directory).is_absolute() {
            return Ok(None);
        }
        let path = PathBuf::from(directory);
        let found = crate::store::blocking(move || git::discover(&path)).await?;
        match found {
            Ok(info) => Ok(Some(info.root)),
            Err(error) if error.code() == ErrorCode::NotARepository => Ok(None),
            Err(error) => Err(crate::mission::git_error(error)),
        }
    }

    /// A worker of this boss, by the id in a tool call.
    pub(super) async fn worker(&self, boss: &str, id: &str) -> Result<MissionRow, ApiError> {
        let unknown = || {
            ApiError::new(ErrorCode::UnknownWorker, format!("you have no worker {id:?}"))
                .field("worker_id")
                .hint("list_workers shows yours")
        };
        let uuid = Uuid::parse_str(id).map_err(|_| unknown())?;
        let row = self.store.read(move |c| store::find_mission(c, uuid)).await?;
        row.filter(|row| row.boss.as_deref() == Some(boss)).ok_or_else(unknown)
    }
}
