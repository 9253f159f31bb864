//! The logins that missions at work are lent: brought before a run, followed while it works, taken away when the last
//! mission of a workspace has left. Whoever changes one of the files, the others follow within milliseconds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use sandboxed_domain::api::{ApiError, ErrorCode};
use sandboxed_domain::harness::{self, Harness, LoginFound};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::watch::{Watch, Watcher};
use crate::harness::{Borrower, LoginSettings, Missing, Moment, carry};
use crate::store::blocking;
use crate::workspace::WorkspacePaths;

/// Pause after a round: a worker that writes without end does not keep the daemon at it.
const PAUSE: Duration = Duration::from_millis(50);

/// A login that ends so soon is renewed by the first CLI that gets it. All of them would try, and a provider takes a
/// renewal only once: so one mission has it first. Not one workspace: the locks of the CLIs do not always keep two of
/// them from renewing at once.
const ENDS_SOON: TimeDelta = TimeDelta::minutes(6);
/// So long the others wait for that.
const RENEWAL: Duration = Duration::from_secs(30);

/// What is lent to whom.
pub(super) struct Logins {
    settings: LoginSettings,
    watcher: Watcher,
    changed: Arc<Notify>,
    /// Told after each round.
    carried: Notify,
    table: Mutex<Table>,
    /// One round at a time.
    round: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Table {
    /// By backend and workspace.
    places: BTreeMap<(&'static str, Uuid), Place>,
    /// The user's own files, by backend.
    homes: BTreeMap<&'static str, Watch>,
    /// Who renews a login that ends soon, by backend.
    renewing: BTreeMap<&'static str, Renewal>,
}

struct Renewal {
    mission: Uuid,
    /// Of the login that is to be renewed.
    expires_at: i64,
    until: Instant,
}

struct Place {
    borrower: Borrower,
    missions: BTreeSet<Uuid>,
    watch: Option<Watch>,
}

/// A workspace as a borrower.
pub(super) fn borrower(paths: &WorkspacePaths, moment: Moment) -> Borrower {
    Borrower { missions: paths.missions.clone(), notes: paths.root.clone(), moment }
}

impl Logins {
    pub fn new(settings: LoginSettings, watcher: Watcher) -> Self {
        Self {
            settings,
            watcher,
            changed: Arc::default(),
            carried: Notify::new(),
            table: Mutex::default(),
            round: tokio::sync::Mutex::default(),
        }
    }

    /// Lends the login to a mission until [`Logins::give_back`]; repeating it changes nothing.
    pub async fn lend(
        &self,
        harness: &'static dyn Harness,
        mission: Uuid,
        workspace: Uuid,
        borrower: Borrower,
    ) -> Result<(), ApiError> {
        let _round = self.turn(harness, mission).await?;
        let key = (harness.id(), workspace);
        let start = borrower.clone();
        {
            let mut table = self.table();
            let watched = Borrower { moment: Moment::Work, ..borrower };
            let new = || Place { borrower: watched, missions: BTreeSet::new(), watch: None };
            table.places.entry(key).or_insert_with(new).missions.insert(mission);
        }
        // The user's file is watched from before it is read; so no change is missed.
        let watched = self.watch_home(harness);
        let done = match watched {
            Ok(()) => self.carry(harness, Some((workspace, start.moment))).await,
            Err(error) => Err(error),
        };
        match done.and_then(|()| self.watch_place(harness, key, &start)) {
            Ok(()) => {
                // A change between the first reading and the watch would be missed.
                self.changed.notify_one();
                Ok(())
            }
            Err(error) => {
                self.take_away(mission).await;
                Err(error)
            }
        }
    }

    /// The lock on a round, when the mission may have the login.
    async fn turn(
        &self,
        harness: &'static dyn Harness,
        mission: Uuid,
    ) -> Result<tokio::sync::MutexGuard<'_, ()>, ApiError> {
        loop {
            let carried = self.carried.notified();
            let round = self.round.lock().await;
            let settings = self.settings.clone();
            let found = blocking(move || settings.found(harness)).await?;
            let Some(until) = self.renewed_elsewhere(harness, mission, &found) else { return Ok(round) };
            drop(round);
            // Whichever it was: look again.
            let _ = tokio::time::timeout_at(until, carried).await;
        }
    }

    /// Until when to wait for another mission that renews this login; none: this one is not in the way of any.
    fn renewed_elsewhere(
        &self,
        harness: &'static dyn Harness,
        mission: Uuid,
        found: &LoginFound,
    ) -> Option<Instant> {
        let LoginFound::Shared { login, .. } = found else { return None };
        let soon = (Utc::now() + ENDS_SOON).timestamp();
        let expires_at = login.expires_at.filter(|at| login.renewable && *at <= soon)?;
        let (mut table, now) = (self.table(), Instant::now());
        match table.renewing.get(harness.id()) {
            Some(first)
                if first.expires_at == expires_at && first.mission != mission && now < first.until =>
            {
                Some(first.until)
            }
            _ => {
                let renewal = Renewal { mission, expires_at, until: now + RENEWAL };
                table.renewing.insert(harness.id(), renewal);
                None
            }
        }
    }

    /// The mission is not at work any more.
    pub async fn give_back(&self, mission: Uuid) {
        {
            let _round = self.round.lock().await;
            self.take_away(mission).await;
        }
        // Whoever waits for this mission's renewal waits for nothing now.
        self.carried.notify_waiters();
    }

    async fn take_away(&self, mission: Uuid) {
        for (harness, borrower) in self.forget(mission) {
            let settings = self.settings.clone();
            let done = blocking(move || carry(&settings, harness, &[borrower])).await.and_then(|done| done);
            if let Err(error) = done {
                tracing::warn!(%error, "a login could not be taken back");
            }
        }
    }

    /// Takes back what an earlier daemon lent to workspaces where nobody is at work any more.
    pub async fn recover(&self, left: Vec<(&'static dyn Harness, Borrower)>) {
        let _round = self.round.lock().await;
        let settings = self.settings.clone();
        let done = blocking(move || {
            left.iter().filter(|(harness, borrower)| borrower.owes(*harness)).try_for_each(
                |(harness, borrower)| carry(&settings, *harness, std::slice::from_ref(borrower)),
            )
        });
        if let Err(error) = done.await.and_then(|done| done) {
            tracing::warn!(%error, "a login could not be taken back");
        }
    }

    /// Follows changes until the daemon stops.
    pub async fn follow(&self, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                () = stop.cancelled() => return,
            }
            {
                let _round = self.round.lock().await;
                let backends: BTreeSet<_> = self.table().places.keys().map(|(backend, _)| *backend).collect();
                for harness in backends.into_iter().filter_map(|backend| harness::find(backend).ok()) {
                    if let Err(error) = self.carry(harness, None).await {
                        tracing::warn!(%error, "a login could not be carried over");
                    }
                }
            }
            self.carried.notify_waiters();
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One round for one backend; `now` is the workspace for which it is made.
    async fn carry(
        &self,
        harness: &'static dyn Harness,
        now: Option<(Uuid, Moment)>,
    ) -> Result<(), ApiError> {
        let of = |((backend, workspace), place): (&(&'static str, Uuid), &Place)| {
            let moment = now.filter(|(id, _)| id == workspace).map_or(Moment::Work, |(_, moment)| moment);
            (*backend == harness.id()).then(|| Borrower { moment, ..place.borrower.clone() })
        };
        let borrowers: Vec<_> = self.table().places.iter().filter_map(of).collect();
        let settings = self.settings.clone();
        blocking(move || carry(&settings, harness, &borrowers)).await?
    }

    fn watch_home(&self, harness: &'static dyn Harness) -> Result<(), ApiError> {
        let Some((directory, name, _)) = self.settings.place(harness) else { return Ok(()) };
        let mut table = self.table();
        if table.homes.contains_key(harness.id()) {
            return Ok(());
        }
        let watch = self.watcher.watch_file(&directory, &name, &self.changed).map_err(unwatched)?;
        table.homes.insert(harness.id(), watch);
        Ok(())
    }

    fn watch_place(
        &self,
        harness: &'static dyn Harness,
        key: (&'static str, Uuid),
        borrower: &Borrower,
    ) -> Result<(), ApiError> {
        let Some(file) = harness.login() else { return Ok(()) };
        let mut table = self.table();
        let Some(place) = table.places.get_mut(&key) else { return Ok(()) };
        // The directory may have been made anew; watching the same one again changes nothing.
        let directory = borrower.open(harness, Missing::Make).map_err(unwatched)?;
        place.watch = None;
        let watch = self.watcher.watch_file(Path::new(&directory.path()), file.name, &self.changed);
        place.watch = Some(watch.map_err(unwatched)?);
        Ok(())
    }

    /// Strikes a mission out; the workspaces that nobody needs the login in any more.
    fn forget(&self, mission: Uuid) -> Vec<(&'static dyn Harness, Borrower)> {
        let mut table = self.table();
        let mut left = Vec::new();
        table.renewing.retain(|_, renewal| renewal.mission != mission);
        table.places.retain(|(backend, _), place| {
            let was = place.missions.remove(&mission);
            if let (true, true, Ok(harness)) = (was, place.missions.is_empty(), harness::find(backend)) {
                left.push((harness, Borrower { moment: Moment::End, ..place.borrower.clone() }));
            }
            !place.missions.is_empty()
        });
        let used: BTreeSet<_> = table.places.keys().map(|(backend, _)| *backend).collect();
        table.homes.retain(|backend, _| used.contains(backend));
        left
    }
}

fn unwatched(source: std::io::Error) -> ApiError {
    ApiError::new(ErrorCode::Internal, format!("a login's directory cannot be watched: {source}"))
        .hint("raise fs.inotify.max_user_watches, or remove what lies in its way")
}
