//! The boss's other tools: layout, list, resume, message, cancel; and the worker's report.

use sandboxed_domain::api::{
    ApiError, CancelWorkerParams, CancelWorkerResponse, ErrorCode, EventBody, LayoutResponse, LimitsView,
    ListWorkersParams, ListWorkersResponse, ReportOutcomeParams, ReportOutcomeResponse, RepositoryView,
    ResumeWorkerParams, ResumeWorkerResponse, SendMessageParams, SendMessageResponse, WorkerRow,
    WorkspaceRef,
};
use sandboxed_domain::harness;
use sandboxed_domain::mission::{MissionStatus, TerminalReason};
use sandboxed_domain::policy::{self, Destination};
use uuid::Uuid;

use super::App;
use super::caller::Identity;
use crate::git;
use crate::mission::{git_error, report, request_stop, resumed_with, taken_up_with};
use crate::store::blocking;
use crate::store::{self, MissionQuery, MissionRow, RunKind, RunPhase, Setbacks, StoreError, Tx};

/// Workers on one page of a list: about 4 kB.
const PAGE: u32 = 12;

impl App {
    /// Where the boss is and what it may use.
    ///
    /// # Errors
    /// The workspace cannot be made.
    pub async fn layout(&self, identity: &Identity) -> Result<LayoutResponse, ApiError> {
        let boss = self.boss(identity).await?;
        let paths = self.workspaces.paths(boss.workspace.id);
        let mut places: Vec<_> = boss.workspace.spec.binds.iter().map(std::path::PathBuf::from).collect();
        if places.is_empty() {
            places.push(boss.working_directory.clone());
        }
        let repositories = blocking(move || repositories(&places)).await??;
        // A boss that looks around is about to create workers.
        let roots = repositories.iter().map(|repository| repository.path.clone().into()).collect();
        self.make_spares(paths.spares.clone(), roots);
        let active = self.store.read(store::count_active).await?;
        let max_parallel = self.missions.max_parallel();
        Ok(LayoutResponse {
            boss: boss.name,
            workspace: WorkspaceRef {
                id: boss.workspace.id,
                name: boss.workspace.name,
                kind: boss.workspace.kind,
                root: paths.root.display().to_string(),
            },
            working_directory: boss.working_directory.display().to_string(),
            repositories,
            worktree_root: paths.worktrees.display().to_string(),
            shared: self.workspaces.shared_folders(boss.workspace.id, boss.workspace.kind),
            limits: LimitsView { max_parallel, active, free_slots: max_parallel.saturating_sub(active) },
            backends: harness::registry().iter().map(|harness| harness.id().to_owned()).collect(),
        })
    }

    /// The boss's workers, newest first.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn list_workers(
        &self,
        identity: &Identity,
        params: ListWorkersParams,
    ) -> Result<ListWorkersResponse, ApiError> {
        let query = MissionQuery {
            boss: Some(Self::boss_name(identity)?),
            statuses: params.status,
            cursor: params.cursor,
            limit: PAGE + 1,
            ..Default::default()
        };
        let mut rows = self.store.read(move |c| store::query_missions(c, &query)).await?;
        let more = rows.len() > PAGE as usize;
        rows.truncate(PAGE as usize);
        let next_cursor = if more { rows.last().map(store::mission_cursor) } else { None };
        Ok(ListWorkersResponse { workers: rows.iter().map(worker_row).collect(), next_cursor })
    }

    /// An ended worker runs again with the harness's own session.
    ///
    /// # Errors
    /// Unknown, still running, or its worktree is gone.
    pub async fn resume_worker(
        &self,
        identity: &Identity,
        params: ResumeWorkerParams,
    ) -> Result<ResumeWorkerResponse, ApiError> {
        policy::message("prompt", &params.prompt)?;
        let worker = self.worker(&Self::boss_name(identity)?, &params.worker_id).await?;
        let row = self.resume(worker.id, params.prompt).await?;
        Ok(ResumeWorkerResponse { worker_id: row.id, status: row.status, turn: row.turns + 1 })
    }

    /// Puts an ended (or waiting, or parked) mission back into the queue with a message.
    pub(super) async fn resume(&self, id: Uuid, content: String) -> Result<MissionRow, ApiError> {
        Ok(self.resume_with(id, content).await?.0)
    }

    /// The same, with the message's id.
    pub(super) async fn resume_with(
        &self,
        id: Uuid,
        content: String,
    ) -> Result<(MissionRow, String), ApiError> {
        let answer = self
            .store
            .write(move |tx| {
                let mut row = store::get_mission(tx, id)?;
                let open = matches!(row.status, MissionStatus::Waiting | MissionStatus::RateLimited);
                if !row.status.is_ended() && !open {
                    return Err(ApiError::new(
                        ErrorCode::WrongState,
                        format!("{id} is {}, it has not ended", row.status.as_str()),
                    )
                    .field("worker_id")
                    .hint("send_message_to_worker reaches it while it runs")
                    .into());
                }
                if let Some(gone) = row
                    .worktree
                    .as_ref()
                    .filter(|path| row.base_oid.is_some() && !std::path::Path::new(path).is_dir())
                {
                    return Err(ApiError::new(ErrorCode::WrongState, format!("its worktree {gone} is gone"))
                        .field("worker_id")
                        .hint("create a new worker from its branch")
                        .into());
                }
                let message = queue(tx, &mut row, content)?;
                Ok((row, message))
            })
            .await?;
        self.missions.granted();
        Ok(answer)
    }

    /// A message for a worker that has not ended.
    ///
    /// # Errors
    /// Unknown, ended, or a backend that takes no messages.
    pub async fn send_message(
        &self,
        identity: &Identity,
        params: SendMessageParams,
    ) -> Result<SendMessageResponse, ApiError> {
        policy::message("content", &params.content)?;
        let worker = self.worker(&Self::boss_name(identity)?, &params.worker_id).await?;
        let destination = Destination::of(params.into_running_turn);
        let (_, position) = self
            .enqueue(worker.id, params.content, destination)
            .await
            .map_err(|error| if error.field.is_some() { error } else { error.field("worker_id") })?;
        let queued = destination == Destination::NextTurn;
        Ok(SendMessageResponse { queued, position, into_running_turn: !queued })
    }

    /// Queues a message for a mission at work; returns its id and place.
    pub(super) async fn enqueue(
        &self,
        id: Uuid,
        content: String,
        destination: Destination,
    ) -> Result<(String, u32), ApiError> {
        let message = Uuid::new_v4().to_string();
        let answer = message.clone();
        let position = self
            .store
            .write(move |tx| {
                let row = store::get_mission(tx, id)?;
                let harness = harness::find(&row.backend)?;
                if !harness.capabilities().queue {
                    return Err(ApiError::new(
                        ErrorCode::NotAvailable,
                        format!("backend {} takes no messages", row.backend),
                    )
                    .hint("resume_worker runs it again when it has ended")
                    .into());
                }
                if row.status.is_ended() {
                    return Err(ApiError::new(
                        ErrorCode::WrongState,
                        format!("{id} has ended ({})", row.status.as_str()),
                    )
                    .hint("use resume_worker (or mission resume)")
                    .into());
                }
                if destination == Destination::RunningTurn {
                    let run = store::latest_run(tx, id)?;
                    let at_turn =
                        run.is_some_and(|run| run.kind == RunKind::Turn && run.phase != RunPhase::Ended);
                    policy::steerable(harness, row.status, at_turn)?;
                }
                let position = store::enqueue_for(tx, id, &message, &content, destination)?;
                let queued = destination == Destination::NextTurn;
                store::append_event(tx, id, &EventBody::UserMessage { id: message, content, queued })?;
                Ok(position)
            })
            .await?;
        self.missions.wake(id);
        Ok((answer, position))
    }

    /// Ends workers; their work stays.
    ///
    /// # Errors
    /// Neither ids nor `all`.
    pub async fn cancel_workers(
        &self,
        identity: &Identity,
        params: CancelWorkerParams,
    ) -> Result<CancelWorkerResponse, ApiError> {
        let boss = Self::boss_name(identity)?;
        if params.worker_ids.is_empty() && !params.all {
            return Err(
                ApiError::invalid("worker_ids", "nobody to cancel").hint("name worker_ids, or all: true")
            );
        }
        let mut ids = params.worker_ids;
        if params.all {
            let statuses = MissionStatus::ALL.into_iter().filter(|s| !s.is_ended()).collect();
            let query =
                MissionQuery { boss: Some(boss.clone()), statuses, limit: 1024, ..Default::default() };
            let rows = self.store.read(move |c| store::query_missions(c, &query)).await?;
            ids.extend(rows.iter().map(|row| row.id.to_string()));
        }
        ids.sort_unstable();
        ids.dedup();
        let mut answer = CancelWorkerResponse::default();
        for id in ids {
            match self.worker(&boss, &id).await {
                Err(error) if error.code == ErrorCode::UnknownWorker => answer.unknown.push(id),
                Err(error) => return Err(error),
                Ok(row) if self.cancel(row.id, TerminalReason::CancelledByBoss).await? => {
                    answer.cancelled.push(id)
                }
                Ok(_) => answer.not_running.push(id),
            }
        }
        Ok(answer)
    }

    /// Asks one mission to end; false when it has already.
    pub(super) async fn cancel(&self, id: Uuid, reason: TerminalReason) -> Result<bool, ApiError> {
        let asked = self
            .store
            .write(move |tx| {
                let mut row = store::get_mission(tx, id)?;
                if row.status.is_ended() {
                    return Ok(false);
                }
                request_stop(tx, &mut row, reason)?;
                Ok(true)
            })
            .await?;
        self.missions.wake(id);
        Ok(asked)
    }

    /// What a worker says of itself, by its own socket.
    ///
    /// # Errors
    /// Not a mission, or one that has ended.
    pub async fn report_outcome(
        &self,
        identity: &Identity,
        params: ReportOutcomeParams,
    ) -> Result<ReportOutcomeResponse, ApiError> {
        let Identity::Mission(id) = *identity else {
            return Err(ApiError::new(ErrorCode::Forbidden, "only a worker reports an outcome")
                .hint("this tool works inside a mission"));
        };
        policy::check_report(&params)?;
        self.store
            .write(move |tx| {
                let mut row = store::get_mission(tx, id)?;
                if row.status.is_ended() {
                    return Err(ApiError::new(ErrorCode::WrongState, "the mission has ended")
                        .hint("a report counts only while it runs")
                        .into());
                }
                report(tx, &mut row, params.outcome, &params.summary, params.blocker.as_deref())
            })
            .await?;
        Ok(ReportOutcomeResponse { recorded: true })
    }
}

/// Back into the queue: what the last turn left is cleared, its events stay.
fn queue(tx: &mut Tx<'_>, row: &mut MissionRow, content: String) -> Result<String, StoreError> {
    let parked = row.status == MissionStatus::RateLimited;
    let content = match parked {
        true => resumed_with(tx, row, content)?,
        false => taken_up_with(tx, row, content)?,
    };
    row.reported = None;
    row.verification = None;
    row.git = None;
    row.git_error = None;
    row.error = None;
    row.stop_reason = None;
    row.last_turn = None;
    row.started_at = None;
    // Whoever resumes a parked one knows more of the limit than we do.
    row.setbacks = Setbacks { at_once: parked, ..Setbacks::default() };
    row.not_before = None;
    store::transition(tx, row, MissionStatus::Pending, None)?;
    let message = enqueue_prompt(tx, row.id, content)?;
    store::save_mission(tx, row)?;
    Ok(message)
}

/// The message that a mission starts or goes on with; returns its id.
pub(super) fn enqueue_prompt(tx: &mut Tx<'_>, mission: Uuid, content: String) -> Result<String, StoreError> {
    let id = Uuid::new_v4().to_string();
    store::enqueue_message(tx, mission, &id, &content)?;
    store::append_event(tx, mission, &EventBody::UserMessage { id: id.clone(), content, queued: false })?;
    Ok(id)
}

fn repositories(places: &[std::path::PathBuf]) -> Result<Vec<RepositoryView>, ApiError> {
    let mut views = Vec::new();
    for place in places {
        for info in git::find_repositories(place).map_err(git_error)? {
            views.push(RepositoryView {
                path: info.root.display().to_string(),
                branch: info.branch.unwrap_or_default(),
                head: info.head.unwrap_or_default(),
                dirty: info.dirty,
            });
        }
    }
    Ok(views)
}

fn worker_row(row: &MissionRow) -> WorkerRow {
    WorkerRow {
        worker_id: row.id,
        task_key: row.task_key.clone(),
        title: crate::mission::one_line(&row.title, 80),
        backend: row.backend.clone(),
        status: row.status,
        terminal_reason: row.terminal_reason,
        seconds: row.seconds() as u64,
        parked_until: row.parked_until(),
    }
}
