//! One inotify for all waits of the server: a user may have only few.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use inotify::{Inotify, WatchDescriptor, WatchMask, Watches};
use tokio::sync::watch;

type Senders = Arc<Mutex<HashMap<WatchDescriptor, (usize, watch::Sender<u64>)>>>;

/// Tells of changes of files and directories.
#[derive(Debug, Clone)]
pub struct Watcher {
    watches: Watches,
    senders: Senders,
}

/// Interest in one path; ends when dropped.
#[derive(Debug)]
pub struct Watch {
    watcher: Watcher,
    descriptor: WatchDescriptor,
    changes: watch::Receiver<u64>,
}

impl Watcher {
    /// Begins to listen; must be called in a runtime.
    ///
    /// # Errors
    /// When the user has as many inotify instances as it may.
    pub fn new() -> io::Result<Self> {
        let inotify = Inotify::init()?;
        let watches = inotify.watches();
        let mut events = inotify.into_event_stream([0; 4096])?;
        let senders = Senders::default();
        let told = Arc::downgrade(&senders);
        tokio::spawn(async move {
            while let Some(Ok(event)) = events.next().await {
                let Some(senders) = told.upgrade() else { return };
                let senders = senders.lock().unwrap_or_else(PoisonError::into_inner);
                if event.mask.contains(inotify::EventMask::Q_OVERFLOW) {
                    // Something was lost, so everybody looks.
                    senders.values().for_each(|(_, sender)| sender.send_modify(|count| *count += 1));
                } else if let Some((_, sender)) = senders.get(&event.wd) {
                    sender.send_modify(|count| *count += 1);
                }
            }
        });
        Ok(Self { watches, senders })
    }

    /// Entries that appear in a directory.
    ///
    /// # Errors
    /// When it is not there.
    pub fn directory(&self, path: &Path) -> io::Result<Watch> {
        self.add(path, WatchMask::MOVED_TO | WatchMask::CREATE | WatchMask::DELETE_SELF)
    }

    /// Growth of a file.
    ///
    /// # Errors
    /// When it is not there.
    pub fn file(&self, path: &Path) -> io::Result<Watch> {
        self.add(path, WatchMask::MODIFY)
    }

    fn add(&self, path: &Path, mask: WatchMask) -> io::Result<Watch> {
        // Under the lock, so that nobody removes the descriptor in between.
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        let descriptor = self.watches.clone().add(path, mask)?;
        let (count, sender) = senders.entry(descriptor.clone()).or_insert_with(|| (0, watch::Sender::new(0)));
        *count += 1;
        Ok(Watch { watcher: self.clone(), descriptor, changes: sender.subscribe() })
    }
}

impl Watch {
    /// Waits for a change since the last call, or since the watch began.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The listener ended; time-outs still end the wait.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut senders = self.watcher.senders.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((count, _)) = senders.get_mut(&self.descriptor) else { return };
        *count -= 1;
        if *count == 0 {
            senders.remove(&self.descriptor);
            // Gone by itself when what was watched is gone.
            let _ = self.watcher.watches.clone().remove(self.descriptor.clone());
        }
    }
}
