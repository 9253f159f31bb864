//! What a fork changed, and carrying it over to the workspace that it came from.

use std::path::Path;

use sandboxed_domain::api::{
    ApiError, ApplyParams, ApplyResponse, ErrorCode, ExecParams, LayerChange, WorkspaceDiff,
};

use super::App;
use crate::store::WorkspaceRow;
use crate::workspace::chosen;

/// Most changes in one answer.
const SHOWN: usize = 10_000;
/// How long carrying over may take.
const APPLY_SECONDS: u64 = 3600;
/// Removes what the list names, then unpacks the archive; both by the workspace's own programs.
const APPLY: &str = "xargs -0 -r rm -rf -- < \"$2\" && tar -C / --numeric-owner -xpf \"$1\"";

impl App {
    /// What a fork changed.
    ///
    /// # Errors
    /// It is no fork, or what it came from is gone.
    pub async fn workspace_diff(&self, id: &str) -> Result<WorkspaceDiff, ApiError> {
        let (fork, parent) = self.fork_and_parent(id).await?;
        let mut changes = self.workspaces.changes(&fork, &parent).await?;
        let total = changes.len() as u64;
        changes.truncate(SHOWN);
        Ok(WorkspaceDiff { workspace: fork.id, forked_from: parent.id, changes, total })
    }

    /// Carries changes of a fork over to the workspace that it came from, whose sandbox is started for it.
    ///
    /// # Errors
    /// As [`Self::workspace_diff`]; both have changed the same; the workspace's own programs refuse.
    pub async fn apply_workspace(&self, id: &str, params: ApplyParams) -> Result<ApplyResponse, ApiError> {
        let (fork, parent) = self.fork_and_parent(id).await?;
        let all = self.workspaces.changes(&fork, &parent).await?;
        let applied = chosen(all, &params.paths, params.force)?;
        if !applied.is_empty() {
            self.carry_over(&fork, &parent, applied.clone()).await?;
        }
        Ok(ApplyResponse { workspace: parent.id, applied })
    }

    async fn carry_over(
        &self,
        fork: &WorkspaceRow,
        parent: &WorkspaceRow,
        applied: Vec<LayerChange>,
    ) -> Result<(), ApiError> {
        let (archive, list) = self.workspaces.pack(fork, parent, applied).await?;
        let shown = |path: &Path| path.display().to_string();
        let argv = ["/bin/sh", "-c", APPLY, "apply", &shown(&archive), &shown(&list)].map(str::to_owned);
        let params = ExecParams { argv: argv.into(), cwd: None, timeout_seconds: Some(APPLY_SECONDS) };
        let ended = self.exec(&parent.id.to_string(), params).await;
        for file in [archive, list] {
            let _ = tokio::fs::remove_file(file).await;
        }
        let ended = ended?;
        if ended.exit_code == Some(0) {
            return Ok(());
        }
        let said = ended.stderr.lines().next().unwrap_or_default();
        Err(ApiError::new(
            ErrorCode::SandboxFailed,
            format!("the changes were not carried over whole: {said}"),
        )
        .hint("the workspace needs sh, rm, xargs and tar; apply again when they are there"))
    }

    async fn fork_and_parent(&self, id: &str) -> Result<(WorkspaceRow, WorkspaceRow), ApiError> {
        let fork = self.workspace(id).await?;
        let Some(parent) = fork.spec.forked_from else {
            return Err(ApiError::invalid("id", format!("{} is no fork", fork.name))
                .hint("workers with isolation `fork` have one; `sandboxed-sh workspace list` shows them"));
        };
        let parent = self.workspace(&parent.to_string()).await?;
        Ok((fork, parent))
    }
}
