//! Destroying a workspace: what is nowhere else is told first, and goes only with a yes.

use std::time::Duration;

use sandboxed_domain::api::{
    ApiError, DestroyParams, ErrorCode, LostMission, LostWorktree, WorkspaceKind, WorkspaceLosses,
};
use sandboxed_domain::mission::TerminalReason;

use super::App;
use super::removal::kept;
use crate::git;
use crate::store::{self, MissionQuery, MissionRow, WorkspaceRow, blocking};

/// How long missions may take to end when their workspace is destroyed.
const END: Duration = Duration::from_secs(60);

impl App {
    /// What destroying a workspace would lose.
    ///
    /// # Errors
    /// `unknown_workspace`.
    pub async fn workspace_losses(&self, id: &str) -> Result<WorkspaceLosses, ApiError> {
        let row = self.workspace(id).await?;
        self.losses(&row).await
    }

    /// Removes a workspace. Without `yes` nothing is touched while something would be lost.
    ///
    /// # Errors
    /// The host; what would be lost, by name; a worktree that is locked.
    pub async fn delete_workspace(&self, id: &str, params: DestroyParams) -> Result<(), ApiError> {
        let row = self.workspace(id).await?;
        if row.kind == WorkspaceKind::Host {
            return Err(ApiError::new(ErrorCode::Forbidden, "the host workspace stays")
                .field("id")
                .hint("only container workspaces can be removed"));
        }
        let losses = self.losses(&row).await?;
        if !params.yes && !losses.is_empty() {
            return Err(refusal(&row, &losses));
        }
        self.end_missions(&row, &losses).await?;
        for mission in self.missions_in(&row).await? {
            match params.yes {
                true => self.discard_worktree(&mission).await?,
                // Judged once more, with the repository's lock.
                false => self.remove_worktree(&mission).await?,
            }
        }
        self.workspaces.destroy(&row).await
    }

    async fn missions_in(&self, row: &WorkspaceRow) -> Result<Vec<MissionRow>, ApiError> {
        let query = MissionQuery { workspace: Some(row.id), limit: u32::MAX, ..Default::default() };
        Ok(self.store.read(move |c| store::query_missions(c, &query)).await?)
    }

    async fn losses(&self, row: &WorkspaceRow) -> Result<WorkspaceLosses, ApiError> {
        let mut losses = WorkspaceLosses::default();
        for mission in self.missions_in(row).await? {
            if !mission.status.is_ended() {
                losses.missions.push(LostMission {
                    mission_id: mission.id,
                    title: mission.title.clone(),
                    status: mission.status,
                });
            }
            losses.worktrees.extend(lost_worktree(&mission).await?);
        }
        let inbox = self.workspaces.inbox_use(row.id).await.used_bytes;
        losses.inbox_bytes = Some(inbox).filter(|bytes| *bytes > 0);
        Ok(losses)
    }

    /// Cancels what has not ended and waits for that; its sandbox is ended with it.
    async fn end_missions(&self, row: &WorkspaceRow, losses: &WorkspaceLosses) -> Result<(), ApiError> {
        let mut events = self.store.watch_events();
        for mission in &losses.missions {
            self.cancel(mission.mission_id, TerminalReason::CancelledByUser).await?;
        }
        let id = row.id;
        let ended = async {
            while self.store.read(move |c| store::open_missions(c, id)).await? > 0 {
                if events.changed().await.is_err() {
                    break;
                }
            }
            Ok::<_, ApiError>(())
        };
        tokio::time::timeout(END, ended).await.unwrap_or_else(|_| {
            Err(ApiError::new(ErrorCode::TimedOut, format!("missions of {} do not end", row.name))
                .field("id")
                .hint("`sandboxed-sh workspace stop` ends their processes; then try again"))
        })
    }

    /// Removes a mission's worktree with what is not committed; its branch stays.
    async fn discard_worktree(&self, row: &MissionRow) -> Result<(), ApiError> {
        let Some((repo, worktree, branch)) = worktree_of(row) else { return Ok(()) };
        let gone = blocking(move || git::discard(worktree.as_ref(), repo.as_ref(), &branch)).await?;
        if let Err(error) = gone {
            // What lies in the workspace goes with it; an entry that is left in a repository leads nowhere then.
            tracing::warn!(mission = %row.id, %error, "a worktree is not known to its repository");
        }
        Ok(())
    }
}

fn refusal(row: &WorkspaceRow, losses: &WorkspaceLosses) -> ApiError {
    let field = losses.worktrees.first().map_or_else(|| "id".to_owned(), |worktree| worktree.path.clone());
    let text = format!("destroying {} would lose: {}", row.name, losses.lines().join("; "));
    ApiError::new(losses.code(), text)
        .field(field)
        .hint("save it, or go on all the same with `yes` (`sandboxed-sh workspace destroy --yes`)")
}

/// Repository, directory and branch of a mission's worktree that is there.
fn worktree_of(row: &MissionRow) -> Option<(String, String, String)> {
    let (repo, worktree) = (row.repo.clone()?, row.worktree.clone()?);
    let there = row.base_oid.is_some() && std::path::Path::new(&worktree).exists();
    there.then(|| (repo, worktree, row.branch.clone().unwrap_or_default()))
}

/// What of a mission's worktree is nowhere else.
async fn lost_worktree(row: &MissionRow) -> Result<Option<LostWorktree>, ApiError> {
    let Some((repo, worktree, branch)) = worktree_of(row) else { return Ok(None) };
    let (path, name) = (worktree.clone(), branch.clone());
    let judged = blocking(move || git::why_kept(worktree.as_ref(), repo.as_ref(), &branch)).await?;
    let why = match judged {
        Ok(why) => why.map(|why| kept(&why)),
        Err(error) => Some(error.to_string()),
    };
    Ok(why.map(|why| LostWorktree { path, branch: name, why }))
}
