//! One inotify instance for all that is watched: an actor is woken when its run writes or ends, and who looks after a
//! file when somebody has written it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask, Watches};
use tokio::sync::Notify;

type Table = Arc<Mutex<HashMap<WatchDescriptor, Seen>>>;

/// Who is told of a directory.
#[derive(Default)]
struct Seen {
    notify: Arc<Notify>,
    /// Only of this file.
    name: Option<OsString>,
}

/// Watches run directories. Instances are few per user (128), watches are many, hence one instance.
#[derive(Clone)]
pub struct Watcher {
    watches: Watches,
    table: Table,
}

/// A watched directory; the watch ends with it.
pub struct Watch {
    watcher: Watcher,
    descriptor: WatchDescriptor,
    notify: Arc<Notify>,
}

impl Watcher {
    /// Starts the one reading task.
    ///
    /// # Errors
    /// The kernel refuses another inotify instance.
    pub fn start() -> std::io::Result<Self> {
        let inotify = Inotify::init()?;
        let watcher = Self { watches: inotify.watches(), table: Table::default() };
        let table = Arc::clone(&watcher.table);
        let mut stream = inotify.into_event_stream(vec![0; 16 * 1024])?;
        tokio::spawn(async move {
            while let Some(event) = stream.next().await {
                let Ok(event) = event else { continue };
                let table = table.lock().unwrap_or_else(PoisonError::into_inner);
                if event.mask.contains(EventMask::Q_OVERFLOW) {
                    table.values().for_each(|seen| seen.notify.notify_one());
                } else if let Some(seen) = table.get(&event.wd)
                    && (seen.name.is_none() || seen.name == event.name)
                {
                    seen.notify.notify_one();
                }
            }
        });
        Ok(watcher)
    }

    /// Watches one directory for output and for the exit record.
    ///
    /// # Errors
    /// The directory is gone, or the user's watches are used up.
    pub fn watch(&self, directory: &Path) -> std::io::Result<Watch> {
        let mask = WatchMask::MODIFY | WatchMask::MOVED_TO | WatchMask::CREATE;
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let descriptor = self.watches.clone().add(directory, mask)?;
        let notify = Arc::clone(&table.entry(descriptor.clone()).or_default().notify);
        Ok(Watch { watcher: self.clone(), descriptor, notify })
    }

    /// Tells `notify` whenever the file `name` of a directory was written, replaced or removed. A directory has one
    /// watch.
    ///
    /// # Errors
    /// As [`Watcher::watch`].
    pub fn watch_file(&self, directory: &Path, name: &str, notify: &Arc<Notify>) -> std::io::Result<Watch> {
        let mask = WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO | WatchMask::MOVED_FROM | WatchMask::DELETE;
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let descriptor = self.watches.clone().add(directory, mask)?;
        let seen = Seen { notify: Arc::clone(notify), name: Some(name.into()) };
        table.insert(descriptor.clone(), seen);
        Ok(Watch { watcher: self.clone(), descriptor, notify: Arc::clone(notify) })
    }
}

impl Watcher {
    /// Tells `notify` of everything that changes in a directory. A directory has one watch.
    ///
    /// # Errors
    /// As [`Watcher::watch`]; it is a link.
    pub fn watch_all(&self, directory: &Path, notify: &Arc<Notify>) -> std::io::Result<Watch> {
        let mask = WatchMask::MODIFY
            | WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVE
            | WatchMask::ONLYDIR
            | WatchMask::DONT_FOLLOW;
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let descriptor = self.watches.clone().add(directory, mask)?;
        table.insert(descriptor.clone(), Seen { notify: Arc::clone(notify), name: None });
        Ok(Watch { watcher: self.clone(), descriptor, notify: Arc::clone(notify) })
    }
}

impl Watch {
    /// Completes when something was written since the last completion.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut table = self.watcher.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.remove(&self.descriptor);
        // It is gone already when the directory is.
        let _ = self.watcher.watches.remove(self.descriptor.clone());
    }
}
