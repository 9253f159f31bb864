//! One entry of a batch: from what was asked to a mission that can be written, or the reason why not.

use std::path::PathBuf;

use sandboxed_domain::api::{
    ApiError, ErrorCode, Isolation, PermissionMode, WorkerSpec, WorkspaceKind, WorktreeSpec,
};
use sandboxed_domain::harness;
use sandboxed_domain::policy;
use serde_json::Value;

use super::App;
use super::caller::Boss;
use super::models::choose;
use crate::git;
use crate::mission::{git_error, worktree_name};
use crate::store::blocking;
use crate::store::{self, MissionRow, MissionSpec, WorkspaceRow};
use crate::workspace::fork_of;

/// An entry that can be written.
pub(super) struct Entry {
    pub row: MissionRow,
    pub prompt: String,
    /// About its model.
    pub warning: Option<String>,
    /// The workspace to be made for it alone.
    pub fork: Option<WorkspaceRow>,
}

/// What became of an entry.
pub(super) enum Checked {
    /// New.
    New(Box<Entry>),
    /// The boss has a worker with this key.
    Existing(Box<MissionRow>),
}

impl App {
    /// Checks entry `index`; changes nothing.
    pub(super) async fn check_entry(
        &self,
        boss: &Boss,
        index: usize,
        value: &Value,
    ) -> Result<Checked, ApiError> {
        let spec = policy::worker_spec(value, index)?;
        let at = |error: ApiError| prefix(error, index);
        if let Some(existing) = self.by_task_key(&boss.name, spec.task_key.as_deref()).await? {
            return Ok(Checked::Existing(Box::new(existing)));
        }
        let harness = harness::find(&spec.backend).map_err(at)?;
        let chosen =
            choose(self.missions.settings(), harness, spec.model.as_deref(), spec.effort).map_err(at)?;
        self.require_ready(harness).await.map_err(at)?;
        let workspace = match &spec.workspace_id {
            Some(id) => self.workspace(id).await.map_err(at)?,
            None => boss.workspace.clone(),
        };
        let mode =
            policy::permission_mode(harness, workspace.kind, spec.permission_mode, boss.permission_mode)
                .map_err(at)?;
        let fork = match spec.isolation {
            Some(Isolation::Fork) => Some(fork(&workspace, &spec).map_err(at)?),
            Some(Isolation::Inherit) | None => None,
        };
        let mut row = self.row(boss, fork.as_ref().unwrap_or(&workspace), &spec, mode).await.map_err(at)?;
        row.model = chosen.model;
        row.effort = chosen.effort.map(|effort| effort.as_str().to_owned());
        Ok(Checked::New(Box::new(Entry { row, prompt: spec.prompt, fork, warning: chosen.warning })))
    }

    async fn by_task_key(&self, boss: &str, key: Option<&str>) -> Result<Option<MissionRow>, ApiError> {
        let Some(key) = key.map(str::to_owned) else { return Ok(None) };
        let boss = boss.to_owned();
        Ok(self.store.read(move |c| store::find_by_task_key(c, &boss, &key)).await?)
    }

    async fn row(
        &self,
        boss: &Boss,
        workspace: &WorkspaceRow,
        spec: &WorkerSpec,
        mode: PermissionMode,
    ) -> Result<MissionRow, ApiError> {
        let mut row = MissionRow::new(spec.title.clone(), spec.backend.clone(), workspace.id);
        row.boss = Some(boss.name.clone());
        row.parent = boss.mission;
        row.task_key.clone_from(&spec.task_key);
        row.spec = MissionSpec {
            env: spec.env.clone(),
            command: spec.command.clone(),
            acceptance_criteria: spec.acceptance_criteria.clone(),
            verification_command: spec.verification_command.clone(),
            timeout_seconds: spec.timeout_seconds,
            base: None,
            permission_mode: Some(mode),
            config_profile: spec.config_profile.clone(),
            agent: spec.agent.clone(),
            mcps: spec.mcps.clone(),
        };
        self.check_supplies(&row).await?;
        match (&spec.worktree, &spec.working_directory) {
            (Some(worktree), _) => self.plan_worktree(boss, workspace, worktree, &mut row).await?,
            (None, Some(directory)) => {
                row.working_directory = Some(self.inside(workspace, directory, "working_directory").await?);
            }
            (None, None) => {}
        }
        Ok(row)
    }

    /// Validates the worktree and reserves its names in the row.
    async fn plan_worktree(
        &self,
        boss: &Boss,
        workspace: &WorkspaceRow,
        spec: &WorktreeSpec,
        row: &mut MissionRow,
    ) -> Result<(), ApiError> {
        let repo = match &spec.repo {
            Some(repo) => PathBuf::from(self.inside(workspace, repo, "worktree.repo").await?),
            None => {
                let directory = boss.working_directory.display().to_string();
                PathBuf::from(self.inside(workspace, &directory, "worktree.repo").await.map_err(|error| {
                    error.hint("you are not inside the workspace's repository: name one in worktree.repo")
                })?)
            }
        };
        let path = self.workspaces.paths(workspace.id).worktree(row.id);
        let request = git::WorktreeRequest {
            repo_root: repo,
            branch: spec.branch.clone(),
            base: spec.base.clone(),
            path: path.clone(),
            name: worktree_name(row.id),
        };
        let validated = blocking(move || git::validate(&request)).await?.map_err(|error| {
            let field = match error.code() {
                ErrorCode::UnknownBaseRef => "worktree.base",
                ErrorCode::NotARepository | ErrorCode::PathOutsideWorkspace => "worktree.repo",
                _ => "worktree.branch",
            };
            git_error(error).field(field)
        })?;
        row.repo = Some(validated.root().display().to_string());
        row.branch = Some(spec.branch.clone());
        row.worktree = Some(path.display().to_string());
        // The commit as it is now: HEAD may move before the worker gets its slot.
        row.spec.base = Some(validated.base_oid());
        Ok(())
    }

    /// A directory that runs of this workspace may work in, with links resolved; refused when it leads out.
    pub(super) async fn inside(
        &self,
        workspace: &WorkspaceRow,
        directory: &str,
        field: &str,
    ) -> Result<String, ApiError> {
        policy::absolute_path(field, directory)?;
        let paths = self.workspaces.paths(workspace.id);
        let mut allowed: Vec<PathBuf> = workspace.spec.binds.iter().map(PathBuf::from).collect();
        allowed.extend([paths.missions, paths.worktrees]);
        let (asked, host) = (PathBuf::from(directory), workspace.kind == WorkspaceKind::Host);
        let real = blocking(move || std::fs::canonicalize(asked)).await?.map_err(|error| {
            ApiError::invalid(field, format!("{directory}: {error}")).hint("name a directory that exists")
        })?;
        let within = |root: &PathBuf| std::fs::canonicalize(root).is_ok_and(|root| real.starts_with(root));
        if !real.is_dir() {
            return Err(
                ApiError::invalid(field, format!("{directory} is not a directory")).hint("name a directory")
            );
        }
        if host || allowed.iter().any(within) {
            return Ok(real.display().to_string());
        }
        let places = allowed.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
        Err(ApiError::new(
            ErrorCode::PathOutsideWorkspace,
            format!("{directory} is outside of the workspace"),
        )
        .field(field)
        .hint(format!("use a directory below one of: {places}")))
    }
}

/// The workspace for a worker with a sandbox of its own.
fn fork(parent: &WorkspaceRow, spec: &WorkerSpec) -> Result<WorkspaceRow, ApiError> {
    if spec.worktree.is_none() && spec.working_directory.is_some() {
        return Err(ApiError::invalid(
            "working_directory",
            "a fork sees the workspace's directories read-only",
        )
        .hint("give the worker a worktree, or leave working_directory out"));
    }
    fork_of(parent)
}

/// Puts the entry's index before the field.
fn prefix(mut error: ApiError, index: usize) -> ApiError {
    let entry = format!("workers[{index}]");
    error.field = Some(match error.field.take() {
        Some(field) if field.starts_with(&entry) => field,
        Some(field) => format!("{entry}.{field}"),
        None => entry,
    });
    error
}
