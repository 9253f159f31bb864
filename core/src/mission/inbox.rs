//! Looking after the inboxes of workspaces whose runs are followed.
//!
//! The kernel tells when something in an inbox changes; then it is counted, at most for a tenth of the time. Runs of one
//! workspace share one such look.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use sandboxed_domain::api::StorageUse;
use sandboxed_domain::policy::storage_level;
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::manager::Shared;
use super::watch::{Watch, Watcher};
use crate::store::blocking;
use crate::workspace::Workspaces;

/// Directories of one inbox that are watched; what changes deeper or beside them counts with the next look.
const MOST_WATCHED: usize = 256;
/// Least time between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// How many times longer than a look the pause after it is.
const SHARE: u32 = 10;

/// What was seen last.
pub(super) type Look = Option<Arc<Seen>>;

/// One look.
pub(super) struct Seen {
    /// How full it is.
    pub fill: StorageUse,
    /// Once it is full, the processes that write there all the same.
    pub writers: BTreeSet<i32>,
}

/// The inboxes that are looked after.
#[derive(Default)]
pub(super) struct Inboxes(Mutex<HashMap<Uuid, Weak<Inbox>>>);

/// One of them, for as long as somebody holds it.
pub(super) struct Inbox {
    /// Whose it is.
    pub workspace: Uuid,
    seen: watch::Receiver<Look>,
    _end: DropGuard,
}

impl Inbox {
    /// What is seen from now on, the present state first.
    pub fn looks(&self) -> watch::Receiver<Look> {
        let mut seen = self.seen.clone();
        seen.mark_changed();
        seen
    }
}

/// Begins to look after a workspace's inbox, or joins those who do.
pub(super) fn look_after(shared: &Shared, workspace: Uuid) -> Arc<Inbox> {
    let mut open = shared.inboxes.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(inbox) = open.get(&workspace).and_then(Weak::upgrade) {
        return inbox;
    }
    let end = CancellationToken::new();
    let (told, seen) = watch::channel(None);
    let (workspaces, watcher, ended) = (shared.workspaces.clone(), shared.watcher.clone(), end.clone());
    shared.spawn(async move {
        tokio::select! {
            () = follow(&workspaces, &watcher, workspace, &told) => {}
            () = ended.cancelled() => {}
        }
    });
    let inbox = Arc::new(Inbox { workspace, seen, _end: end.drop_guard() });
    open.retain(|_, inbox| inbox.strong_count() > 0);
    open.insert(workspace, Arc::downgrade(&inbox));
    inbox
}

async fn follow(workspaces: &Workspaces, watcher: &Watcher, workspace: Uuid, told: &watch::Sender<Look>) {
    let root = workspaces.paths(workspace).inbox;
    let mut watched = Watched { watcher, changed: Arc::new(Notify::new()), watches: HashMap::new() };
    loop {
        let begun = Instant::now();
        let mut fresh = watched.add(root.clone());
        match workspaces.inbox_contents(workspace).await {
            Ok((found, fill)) => {
                let below = found.directories.iter().take(MOST_WATCHED).map(|directory| root.join(directory));
                fresh |= watched.become_these(below.chain([root.clone()]).collect());
                let writers = writers(workspaces, workspace, &root, fill).await;
                told.send_replace(Some(Arc::new(Seen { fill, writers })));
            }
            Err(error) => tracing::debug!(%error, %workspace, "the inbox cannot be looked at"),
        }
        tokio::time::sleep(PAUSE.max(begun.elapsed() * SHARE)).await;
        // What was written before a directory was watched is seen by looking once more.
        if !fresh {
            watched.changed.notified().await;
        }
    }
}

async fn writers(workspaces: &Workspaces, id: Uuid, inbox: &Path, fill: StorageUse) -> BTreeSet<i32> {
    if storage_level(fill) != Some(100) {
        return BTreeSet::new();
    }
    let Some(live) = workspaces.running(id).await else { return BTreeSet::new() };
    let inbox = inbox.to_owned();
    blocking(move || live.writers(&inbox)).await.unwrap_or_default()
}

/// The watched directories of one inbox.
struct Watched<'a> {
    watcher: &'a Watcher,
    changed: Arc<Notify>,
    watches: HashMap<PathBuf, Watch>,
}

impl Watched<'_> {
    /// Watches a directory; whether that is new.
    fn add(&mut self, directory: PathBuf) -> bool {
        if self.watches.contains_key(&directory) {
            return false;
        }
        let watch = self.watcher.watch_all(&directory, &self.changed);
        let watch = watch.inspect_err(|error| {
            tracing::debug!(%error, directory = %directory.display(), "it is not watched");
        });
        watch.is_ok_and(|watch| self.watches.insert(directory, watch).is_none())
    }

    /// Watches these and no others; whether one of them is new.
    fn become_these(&mut self, directories: HashSet<PathBuf>) -> bool {
        self.watches.retain(|directory, _| directories.contains(directory));
        directories.into_iter().fold(false, |fresh, directory| self.add(directory) | fresh)
    }
}
