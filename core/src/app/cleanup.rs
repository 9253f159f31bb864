//! Removing ended missions whose time is over, by the same rules as removing one: nothing that is nowhere else goes.

use std::path::PathBuf;

use chrono::{Duration, Utc};
use sandboxed_domain::api::{ApiError, CleanupEntry, CleanupParams, CleanupResponse};
use sandboxed_domain::mission::MissionStatus;

use super::App;
use super::removal::kept;
use crate::git;
use crate::sandbox::disk_bytes;
use crate::store::{self, MissionQuery, MissionRow, blocking};

impl App {
    /// Tells what a clean-up would remove, or removes it.
    ///
    /// # Errors
    /// The store's; a mission that cannot be removed is in the answer instead.
    pub async fn cleanup(&self, params: CleanupParams) -> Result<CleanupResponse, ApiError> {
        let mut answer = CleanupResponse { applied: params.apply, ..CleanupResponse::default() };
        for row in self.overdue(&params).await? {
            let mut entry = CleanupEntry {
                mission_id: row.id,
                title: row.title.clone(),
                status: row.status,
                bytes: self.bytes_of(&row).await?,
                kept: self.why_kept(&row).await?,
            };
            if entry.kept.is_none() && params.apply {
                entry.kept = self.delete_mission(row.id).await.err().map(|error| error.message);
            }
            if entry.kept.is_none() {
                answer.bytes += entry.bytes;
                answer.removed.push(entry);
            } else {
                answer.kept.push(entry);
            }
        }
        Ok(answer)
    }

    /// Ended missions whose time is over, oldest first. A boss stays as long as a worker of it has not ended.
    async fn overdue(&self, params: &CleanupParams) -> Result<Vec<MissionRow>, ApiError> {
        let ended: Vec<_> = MissionStatus::ALL.into_iter().filter(|status| status.is_ended()).collect();
        let open: Vec<_> = MissionStatus::ALL.into_iter().filter(|status| !status.is_ended()).collect();
        let query =
            |statuses| MissionQuery { statuses, oldest_first: true, limit: u32::MAX, ..Default::default() };
        let (ended, open) = self
            .store
            .read(move |c| {
                Ok((store::query_missions(c, &query(ended))?, store::query_missions(c, &query(open))?))
            })
            .await?;
        let now = Utc::now();
        let over = |row: &MissionRow| {
            let days = params.days(row.status).map(|days| Duration::days(i64::from(days)));
            days.zip(row.ended_at).is_some_and(|(days, at)| at + days <= now)
        };
        let leads = |row: &MissionRow| open.iter().any(|child| child.parent == Some(row.id));
        Ok(ended.into_iter().filter(|row| over(row) && !leads(row)).collect())
    }

    async fn bytes_of(&self, row: &MissionRow) -> Result<u64, ApiError> {
        let (id, workspace) = (row.id, row.workspace_id.to_string());
        let (runs, workspace) = self
            .store
            .read(move |c| Ok((store::runs_of(c, id)?, store::find_workspace(c, &workspace)?)))
            .await?;
        let paths = self.workspaces.paths(row.workspace_id);
        let mut places: Vec<PathBuf> = runs.iter().map(|run| paths.run(&run.id.to_string())).collect();
        if workspace.is_some_and(|workspace| workspace.spec.forked_from.is_some()) {
            // Made for it alone: its mission and worktree lie in it.
            places.push(paths.root);
        } else {
            places.push(paths.mission(row.id));
            places.extend(row.worktree.clone().map(PathBuf::from));
        }
        blocking(move || {
            let there = places.iter().filter(|place| place.exists());
            there.map(|place| disk_bytes(place).unwrap_or_default()).sum()
        })
        .await
    }

    async fn why_kept(&self, row: &MissionRow) -> Result<Option<String>, ApiError> {
        let (Some(repo), Some(worktree), Some(_)) = (row.repo.clone(), row.worktree.clone(), &row.base_oid)
        else {
            return Ok(None);
        };
        if !std::path::Path::new(&worktree).exists() {
            return Ok(None);
        }
        let branch = row.branch.clone().unwrap_or_default();
        let judged = blocking(move || git::why_kept(worktree.as_ref(), repo.as_ref(), &branch)).await?;
        Ok(match judged {
            Ok(why) => why.map(|why| format!("its worktree: {}", kept(&why))),
            Err(error) => Some(format!("its worktree: {error}")),
        })
    }
}
