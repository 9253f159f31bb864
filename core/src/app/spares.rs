//! Worktrees made in advance, so that a batch is not held up by writing files.

use std::path::PathBuf;

use sandboxed_domain::mission::MissionStatus;

use super::App;
use crate::git;
use crate::store::{self, MissionQuery, blocking};

/// Most trees kept ready for one repository.
const MOST: usize = 16;

impl App {
    /// Brings the spares of these repositories up to their number, in the background and one repository at a time.
    pub(super) fn make_spares(&self, directory: PathBuf, repositories: Vec<PathBuf>) {
        let count = MOST.min(self.missions.max_parallel() as usize);
        let app = self.clone();
        self.missions.background(async move {
            // Somebody is at it: what is missing then is made at the next look.
            let Ok(_turn) = app.spares.try_lock() else { return };
            app.missions_started().await;
            for repository in repositories {
                let spares = git::Spares::new(directory.clone());
                match blocking(move || spares.prepare(&repository, None, count)).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "no spare worktrees"),
                    Err(error) => tracing::warn!(%error, "no spare worktrees"),
                }
            }
        });
    }
    /// Returns when no mission is on its way to its start: those go first.
    async fn missions_started(&self) {
        let mut news = self.store.watch_events();
        let max = self.missions.max_parallel();
        loop {
            news.borrow_and_update();
            let on_the_way = self.store.read(move |c| {
                let any = |status| {
                    let query = MissionQuery { statuses: vec![status], limit: 1, ..Default::default() };
                    store::query_missions(c, &query).map(|rows| !rows.is_empty())
                };
                Ok(any(MissionStatus::Preparing)?
                    || any(MissionStatus::Pending)? && store::count_active(c)? < max)
            });
            // Without an answer there is nobody to wait for either.
            if !on_the_way.await.unwrap_or(false) || news.changed().await.is_err() {
                return;
            }
        }
    }
}
