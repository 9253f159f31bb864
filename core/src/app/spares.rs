//! Worktrees made in advance, so that a batch is not held up by writing files.

use std::path::PathBuf;

use super::App;
use crate::git;
use crate::store::blocking;

/// Most trees kept ready for one repository.
const MOST: usize = 16;

impl App {
    /// Brings the spares of these repositories up to their number, in the background and one repository at a time.
    pub(super) fn make_spares(&self, directory: PathBuf, repositories: Vec<PathBuf>) {
        let count = MOST.min(self.missions.max_parallel() as usize);
        let turn = std::sync::Arc::clone(&self.spares);
        self.missions.background(async move {
            // Somebody is at it: what is missing then is made at the next look.
            let Ok(_turn) = turn.try_lock() else { return };
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
}
