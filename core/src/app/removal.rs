//! Deleting missions: nothing that is not merged and clean goes with them.

use std::path::Path;

use sandboxed_domain::api::{ApiError, ErrorCode};
use sandboxed_domain::mission::MissionStatus;
use uuid::Uuid;

use super::App;
use crate::git;
use crate::mission::git_error;
use crate::store::blocking;
use crate::store::{self, MissionRow, io_error};

impl App {
    /// Deletes an ended mission with its events, runs and worktree.
    ///
    /// # Errors
    /// Still at work, or its worktree holds work.
    pub async fn delete_mission(&self, id: Uuid) -> Result<(), ApiError> {
        let row = self.store.read(move |c| store::get_mission(c, id)).await?;
        if !row.status.is_ended() && row.status != MissionStatus::Waiting {
            return Err(ApiError::new(
                ErrorCode::WrongState,
                format!("mission {id} is {}", row.status.as_str()),
            )
            .field("mission_id")
            .hint("cancel it first"));
        }
        self.remove_worktree(&row).await?;
        let runs = self.store.read(move |c| store::runs_of(c, id)).await?;
        let paths = self.workspaces.paths(row.workspace_id);
        remove_directory(&paths.mission(id)).await?;
        for run in runs {
            remove_directory(&paths.run(&run.id.to_string())).await?;
        }
        self.store.write(move |tx| store::delete_mission(tx, id)).await?;
        let workspace = row.workspace_id.to_string();
        match self.store.read(move |c| store::find_workspace(c, &workspace)).await? {
            // It was made for this worker alone.
            Some(fork) if fork.spec.forked_from.is_some() => self.workspaces.destroy(&fork).await,
            _ => Ok(()),
        }
    }

    /// Removes a mission's worktree if nothing in it would be lost.
    pub(super) async fn remove_worktree(&self, row: &MissionRow) -> Result<(), ApiError> {
        let (Some(repo), Some(worktree), Some(_)) = (row.repo.clone(), row.worktree.clone(), &row.base_oid)
        else {
            return Ok(());
        };
        if !Path::new(&worktree).exists() {
            return Ok(());
        }
        let branch = row.branch.clone().unwrap_or_default();
        let removal = blocking(move || git::remove(worktree.as_ref(), repo.as_ref(), &branch)).await?;
        match removal.map_err(git_error)? {
            git::Removal::Removed { .. } => Ok(()),
            git::Removal::Kept { why, path } => Err(ApiError::new(
                ErrorCode::Conflict,
                format!("its worktree {} is kept: {}", path.display(), kept(&why)),
            )
            .field(path.display().to_string())
            .hint("commit and merge it, or remove it by hand with `git worktree remove`")),
        }
    }
}

async fn remove_directory(directory: &Path) -> Result<(), ApiError> {
    match tokio::fs::remove_dir_all(directory).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_error(directory, &error)),
        _ => Ok(()),
    }
}

/// Why a worktree was kept, in words.
pub(super) fn kept(why: &git::KeptBecause) -> String {
    match why {
        git::KeptBecause::Dirty(n) => format!("{n} files have changes that are not committed"),
        git::KeptBecause::Untracked(n) => format!("{n} files are not tracked"),
        git::KeptBecause::Unmerged(n) => format!("{n} commits are on no other branch"),
        git::KeptBecause::InProgress(what) => format!("a {what} is under way"),
        git::KeptBecause::Locked => "it is locked".to_owned(),
        git::KeptBecause::Submodules => "it has submodules".to_owned(),
        git::KeptBecause::Unsure(why) => why.clone(),
    }
}
