//! The handle on all missions: grants slots in order of arrival, owns the actors, wakes them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sandboxed_domain::api::{ApiError, AttentionEvent, AttentionKind, ErrorCode, EventBody};
use sandboxed_domain::harness::registry;
use sandboxed_domain::mission::{MissionStatus, Outcome, TerminalReason};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::actor;
use super::alarm::Alarm;
use super::logins::{Logins, borrower};
use super::requests;
use super::schedule::STORE_RETRY;
use super::settings::MissionSettings;
use super::watch::{Watch, Watcher};
use crate::harness::Moment;
use crate::store::{self, MissionQuery, MissionRow, Store, StoreError, Tx};
use crate::workspace::Workspaces;

/// What every actor shares.
pub(super) struct Shared {
    pub store: Store,
    pub workspaces: Workspaces,
    pub watcher: Watcher,
    pub sockets: super::sockets::Sockets,
    pub settings: MissionSettings,
    pub logins: Logins,
    pub inboxes: super::inbox::Inboxes,
    actors: Mutex<HashMap<Uuid, Seat>>,
    pub slots: Arc<Notify>,
    pub stop: CancellationToken,
    tasks: TaskTracker,
}

/// The place of a mission's actor.
struct Seat {
    notify: Arc<Notify>,
    /// The mission got a slot again while its actor was leaving.
    again: bool,
}

impl Shared {
    /// Runs what belongs to missions at work; it is dropped when the daemon stops.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

/// All missions. Cheap to clone.
#[derive(Clone)]
pub struct Missions {
    pub(super) shared: Arc<Shared>,
}

impl Missions {
    /// Adopts what runs, then grants slots until [`Missions::shut_down`].
    ///
    /// # Errors
    /// The store cannot be read, or the kernel refuses an inotify instance.
    pub async fn start(
        store: Store,
        workspaces: Workspaces,
        settings: MissionSettings,
    ) -> Result<Self, ApiError> {
        let watcher = Watcher::start().map_err(|source| {
            ApiError::new(ErrorCode::Internal, format!("inotify is not to be had: {source}"))
                .hint("raise fs.inotify.max_user_instances")
        })?;
        let alarm = Alarm::new().map_err(|source| {
            let message = format!("no timer is to be had: {source}");
            ApiError::new(ErrorCode::Internal, message).hint("raise the limit of open files")
        })?;
        let slots = Arc::new(Notify::new());
        let key_file = watch_keys(&watcher, &settings, &slots);
        let shared = Arc::new(Shared {
            store,
            workspaces,
            sockets: super::sockets::Sockets::default(),
            logins: Logins::new(settings.credentials.logins.clone(), watcher.clone()),
            watcher,
            settings,
            inboxes: super::inbox::Inboxes::default(),
            actors: Mutex::default(),
            slots: Arc::clone(&slots),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let missions = Self { shared };
        missions.adopt().await?;
        let follower = missions.clone();
        missions
            .shared
            .tasks
            .spawn(async move { follower.shared.logins.follow(&follower.shared.stop).await });
        let scheduler = missions.clone();
        missions.shared.tasks.spawn(async move {
            let _key_file = key_file;
            scheduler.schedule(alarm).await;
        });
        Ok(missions)
    }

    /// How missions reach this daemon from inside their sandboxes is decided by the HTTP layer: it serves each socket.
    pub fn serve_sockets(&self, serve: super::sockets::ServeSocket) {
        self.shared.sockets.serve_with(serve);
    }

    /// Stops granting and following. Runs go on: they belong to their runners.
    pub async fn shut_down(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Runs something that is not a mission's until it is done or the daemon stops.
    pub fn background(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.shared.spawn(work);
    }

    /// Watches a run's directory.
    ///
    /// # Errors
    /// The kernel's.
    pub fn watch(&self, directory: &std::path::Path) -> std::io::Result<super::watch::Watch> {
        self.shared.watcher.watch(directory)
    }

    /// Whether a process of the host belongs to the mission's newest run, as the kernel tells by its cgroup. Where the
    /// daemon may not make cgroups the host workspace has no such groups: there every process of the same user counts.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn owns_process(&self, mission: Uuid, pid: i32) -> Result<bool, ApiError> {
        let found = self
            .shared
            .store
            .read(move |c| Ok((store::find_mission(c, mission)?, store::latest_run(c, mission)?)));
        let (Some(row), Some(run)) = found.await? else { return Ok(false) };
        let Some(live) = self.shared.workspaces.running(row.workspace_id).await else { return Ok(false) };
        let id = run.id.to_string();
        store::blocking(move || live.holds(&id, pid)).await
    }

    /// How many missions may be active at once.
    pub fn max_parallel(&self) -> u32 {
        self.shared.settings.max_parallel
    }

    /// What is set.
    pub fn settings(&self) -> &MissionSettings {
        &self.shared.settings
    }

    /// A mission became pending: look for a slot.
    pub fn granted(&self) {
        self.shared.slots.notify_one();
    }

    /// Something was written down that the mission's actor should look at.
    pub fn wake(&self, mission: Uuid) {
        let actors = self.shared.actors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seat) = actors.get(&mission) {
            seat.notify.notify_one();
        }
    }

    async fn adopt(&self) -> Result<(), ApiError> {
        let held: Vec<_> = MissionStatus::ALL.into_iter().filter(|status| status.holds_slot()).collect();
        let rows = self
            .shared
            .store
            .read(move |c| {
                store::query_missions(
                    c,
                    &MissionQuery {
                        statuses: held,
                        oldest_first: true,
                        limit: u32::MAX,
                        ..Default::default()
                    },
                )
            })
            .await?;
        self.recover_logins(&rows).await?;
        for row in rows {
            tracing::info!(mission = %row.id, status = row.status.as_str(), "adopting");
            self.spawn(row.id);
        }
        Ok(())
    }

    /// Logins that lie in workspaces where none of these missions uses them.
    async fn recover_logins(&self, at_work: &[MissionRow]) -> Result<(), ApiError> {
        let used = |id: Uuid, backend: &str| {
            at_work.iter().any(|row| row.workspace_id == id && row.backend == backend)
        };
        let mut left = Vec::new();
        for workspace in self.shared.store.read(store::list_workspaces).await? {
            let idle = registry().iter().filter(|harness| !used(workspace.id, harness.id()));
            let borrower = borrower(&self.shared.workspaces.paths(workspace.id), Moment::End);
            left.extend(idle.map(|harness| (*harness, borrower.clone())));
        }
        self.shared.logins.recover(left).await;
        Ok(())
    }

    /// Starts the mission's actor, or has the one that is just leaving look once more.
    pub(super) fn spawn(&self, mission: Uuid) {
        let notify = Arc::new(Notify::new());
        {
            let mut actors = self.shared.actors.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(seat) = actors.get_mut(&mission) {
                seat.again = true;
                return;
            }
            actors.insert(mission, Seat { notify: Arc::clone(&notify), again: false });
        }
        let missions = self.clone();
        self.shared.tasks.spawn(async move {
            let stop = missions.shared.stop.clone();
            loop {
                tokio::select! {
                    () = missions.work(mission, &notify) => {}
                    () = stop.cancelled() => {}
                }
                missions.shared.sockets.close(mission);
                if !stop.is_cancelled() {
                    missions.shared.logins.give_back(mission).await;
                }
                if missions.leaves(mission) || stop.is_cancelled() {
                    break;
                }
            }
            missions.granted();
            // When somebody resumes it meanwhile, the new actor waits for the sandbox and starts it again.
            missions.leave_fork(mission).await;
        });
    }

    /// Frees the actor's seat, unless the mission was given a slot again meanwhile.
    fn leaves(&self, mission: Uuid) -> bool {
        let mut actors = self.shared.actors.lock().unwrap_or_else(PoisonError::into_inner);
        let again = actors.get_mut(&mission).is_some_and(|seat| std::mem::take(&mut seat.again));
        if !again {
            actors.remove(&mission);
        }
        !again
    }

    /// A sandbox that was made for this mission alone is not kept waiting for another use.
    async fn leave_fork(&self, mission: Uuid) {
        let found = self.shared.store.read(move |c| {
            let Some(row) = store::find_mission(c, mission)? else { return Ok(None) };
            Ok(store::find_workspace(c, &row.workspace_id.to_string())?.filter(|_| row.status.is_ended()))
        });
        match found.await {
            Ok(Some(workspace)) => self.shared.workspaces.leave_fork(&workspace).await,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%mission, %error, "its own sandbox, if any, runs on until it is idle")
            }
        }
    }

    /// Works until the mission holds no slot any more; a store that fails is tried again from what is written.
    async fn work(&self, mission: Uuid, wake: &Notify) {
        loop {
            match actor::run(&self.shared, mission, wake).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::error!(%mission, %error, "the mission's state cannot be written; trying again");
                    tokio::time::sleep(STORE_RETRY).await;
                }
            }
        }
    }
}

/// A new key may end the wait of missions. A directory that is not there is not watched: then it counts at the next run.
fn watch_keys(watcher: &Watcher, settings: &MissionSettings, slots: &Arc<Notify>) -> Option<Watch> {
    let path = settings.credentials.keys.path()?;
    let watched = watcher.watch_file(path.parent()?, path.file_name()?.to_str()?, slots);
    watched
        .inspect_err(|error| tracing::info!(%error, path = %path.display(), "the key file is not watched"))
        .ok()
}

/// Ends a mission in a transaction: status, event, and the boss's attention.
pub(super) fn end_mission(
    tx: &mut Tx<'_>,
    row: &mut MissionRow,
    status: MissionStatus,
    reason: TerminalReason,
) -> Result<(), StoreError> {
    store::transition(tx, row, status, Some(reason))?;
    row.stop_reason = None;
    row.not_before = None;
    row.last_activity = "ended".to_owned();
    requests::close_all(tx, row.id)?;
    if let Some(boss) = row.boss.clone() {
        store::append_attention(tx, &boss, &attention(row, AttentionKind::Finished))?;
    }
    store::save_mission(tx, row)
}

/// The attention event that a row stands for.
pub(super) fn attention(row: &MissionRow, kind: AttentionKind) -> AttentionEvent {
    let reported = row.reported.as_ref();
    let said = reported.map(|r| r.summary.as_str()).filter(|text| !text.is_empty());
    let words = row.error.as_deref().or(said).unwrap_or(&row.last_message);
    AttentionEvent {
        worker_id: row.id,
        task_key: row.task_key.clone(),
        kind,
        status: row.status,
        terminal_reason: row.terminal_reason,
        outcome: reported.and_then(|r| r.outcome),
        summary: one_line(words, 200),
        request_id: None,
        request_kind: None,
        options: Vec::new(),
        parked_until: row.parked_until(),
    }
}

/// The first `max` characters of a text, white space folded.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if folded.chars().count() <= max {
        return folded;
    }
    folded.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// Asks for the end of a mission. Pending ones end at once, others when their actor has stopped the run.
///
/// # Errors
/// SQLite's.
pub fn request_stop(tx: &mut Tx<'_>, row: &mut MissionRow, reason: TerminalReason) -> Result<(), StoreError> {
    match row.status {
        MissionStatus::Pending | MissionStatus::Waiting | MissionStatus::RateLimited => {
            end_mission(tx, row, MissionStatus::Cancelled, reason)
        }
        _ => {
            if row.stop_reason.is_none() {
                row.stop_reason = Some(reason.as_str());
            }
            store::save_mission(tx, row)
        }
    }
}

/// Notes what a worker reports of itself; the last report counts.
///
/// # Errors
/// SQLite's.
pub fn report(
    tx: &mut Tx<'_>,
    row: &mut MissionRow,
    outcome: Outcome,
    summary: &str,
    blocker: Option<&str>,
) -> Result<(), StoreError> {
    row.reported = Some(sandboxed_domain::api::Reported {
        outcome: Some(outcome),
        summary: summary.to_owned(),
        by: sandboxed_domain::mission::ReportedBy::Tool,
        blocker: blocker.map(str::to_owned),
    });
    let word = serde_json::to_value(outcome)?.as_str().unwrap_or_default().to_owned();
    let body = EventBody::OutcomeReported {
        outcome: word,
        summary: summary.to_owned(),
        blocker: blocker.map(str::to_owned),
    };
    store::append_event(tx, row.id, &body)?;
    store::save_mission(tx, row)
}
