//! The one thread that writes. Changes that wait together are written together: each in a savepoint of its own, all in
//! one transaction with one sync to the disk. Nobody is told of a change before it is on the disk, but for those that a
//! power cut may undo: they are synced with the next one, which lies behind them in the same log.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Savepoint, Transaction, TransactionBehavior};
use tokio::sync::{oneshot, watch};

use super::handle::{QUEUE, StoreError, enqueue, thread_error};

/// Most changes in one transaction.
const MOST: usize = 64;
/// A transaction that has taken so long is committed, whatever else waits.
const LONGEST: Duration = Duration::from_millis(5);

/// Tells a caller how the commit of its change went.
type Settle = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// A change, or the news that it cannot be tried. Returns nothing when it failed and its caller knows.
type Work = Box<dyn FnOnce(Result<&mut Tx<'_>, StoreError>) -> Option<Settle> + Send>;

/// When a change is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durable {
    /// Before its caller goes on.
    AtOnce,
    /// With the next one that is so at once.
    WithTheNext,
}

struct Change {
    work: Work,
    durable: Durable,
}

/// What the thread is asked for.
enum Job {
    /// May be written together with others.
    Change(Change),
    /// Has the connection for itself, outside of a transaction.
    Alone(super::handle::Job),
}

/// A write transaction that remembers what to publish when it commits.
pub struct Tx<'a> {
    inner: Savepoint<'a>,
    pub(super) last_event: i64,
    pub(super) last_attention: i64,
}

impl std::ops::Deref for Tx<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.inner
    }
}

/// The newest sequences, pushed after a commit.
#[derive(Clone)]
pub(super) struct News {
    pub events: watch::Sender<i64>,
    pub attention: watch::Sender<i64>,
}

/// The handle. Cheap to clone.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: mpsc::SyncSender<Job>,
}

impl Writer {
    /// Takes a connection over that syncs each commit.
    pub fn spawn(connection: Connection, news: News) -> Result<Self, StoreError> {
        let (jobs, inbox) = mpsc::sync_channel::<Job>(QUEUE);
        let mut owner = Owner { connection, news, durable: Durable::AtOnce };
        thread::Builder::new()
            .name("db-write".to_owned())
            .spawn(move || {
                while let Ok(first) = inbox.recv() {
                    let mut next = Some(first);
                    while let Some(job) = next {
                        next = match job {
                            Job::Change(first) => owner.write_together(first, &inbox),
                            Job::Alone(work) => {
                                work(&mut owner.connection);
                                None
                            }
                        };
                    }
                }
            })
            .map_err(thread_error)?;
        Ok(Self { jobs })
    }

    /// Runs `work` in a transaction; returns when that is committed. An error rolls it back, and nothing else.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
        durable: Durable,
    ) -> Result<T, StoreError> {
        let (answer, result) = oneshot::channel();
        let work: Work = Box::new(move |tx| {
            // The caller may have gone away; its work is done all the same.
            match tx.and_then(work) {
                Ok(value) => Some(Box::new(move |committed: Result<(), StoreError>| {
                    let _ = answer.send(committed.map(|()| value));
                })),
                Err(error) => {
                    let _ = answer.send(Err(error));
                    None
                }
            }
        });
        enqueue(&self.jobs, Job::Change(Change { work, durable })).await?;
        result.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs `work` between two transactions.
    pub async fn alone<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, result) = oneshot::channel();
        let job = Job::Alone(Box::new(move |connection| {
            let _ = answer.send(work(connection));
        }));
        enqueue(&self.jobs, job).await?;
        result.await.map_err(|_| StoreError::Closed)?
    }
}

/// The connection, and what its commits wait for now.
struct Owner {
    connection: Connection,
    news: News,
    durable: Durable,
}

impl Owner {
    /// Writes `first` and what waits behind it, publishes, and tells the callers. Returns a job that could not join.
    fn write_together(&mut self, first: Change, inbox: &mpsc::Receiver<Job>) -> Option<Job> {
        let begun = Instant::now();
        let durable = first.durable;
        let Self { connection, news, durable: current } = self;
        let mut outer = match begin(connection, current, durable) {
            Ok(outer) => outer,
            Err(error) => {
                (first.work)(Err(error.into()));
                return None;
            }
        };
        let (mut kept, mut newest, mut next) = (Vec::new(), (0, 0), Some(Job::Change(first)));
        while let Some(Job::Change(change)) = next {
            if durable == Durable::WithTheNext && change.durable == Durable::AtOnce {
                next = Some(Job::Change(change));
                break;
            }
            kept.extend(apply(&mut outer, change, &mut newest));
            // A full disk makes SQLite roll everything back by itself; what came after would be written by itself.
            let over = outer.is_autocommit() || kept.len() >= MOST || begun.elapsed() >= LONGEST;
            next = if over { None } else { inbox.try_recv().ok() };
        }
        let committed = outer.commit();
        if committed.is_ok() {
            for (channel, sequence) in [(&news.events, newest.0), (&news.attention, newest.1)] {
                if sequence > 0 {
                    channel.send_replace(sequence);
                }
            }
        }
        for settle in kept {
            settle(committed.as_ref().map(drop).map_err(|error| StoreError::Query(copy(error))));
        }
        next
    }
}

/// Begins a transaction whose commit waits for what is wanted. SQLite takes another level of syncing only before it.
fn begin<'a>(
    connection: &'a mut Connection,
    current: &mut Durable,
    wanted: Durable,
) -> rusqlite::Result<Transaction<'a>> {
    if *current != wanted {
        let level = if wanted == Durable::AtOnce { "FULL" } else { "NORMAL" };
        connection.pragma_update(None, "synchronous", level)?;
        *current = wanted;
    }
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Tries one change; keeps it in the transaction when it succeeds.
fn apply(outer: &mut Transaction<'_>, change: Change, newest: &mut (i64, i64)) -> Option<Settle> {
    let inner = match outer.savepoint() {
        Ok(inner) => inner,
        Err(error) => return (change.work)(Err(error.into())),
    };
    let mut tx = Tx { inner, last_event: 0, last_attention: 0 };
    let settle = (change.work)(Ok(&mut tx))?;
    debug_assert!(change.durable == Durable::AtOnce || (tx.last_event, tx.last_attention) == (0, 0));
    let Tx { inner, last_event, last_attention } = tx;
    if let Err(error) = inner.commit() {
        settle(Err(error.into()));
        return None;
    }
    *newest = (newest.0.max(last_event), newest.1.max(last_attention));
    Some(settle)
}

/// One failed commit is told to several callers.
fn copy(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => rusqlite::Error::SqliteFailure(*code, text.clone()),
        other => rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR),
            Some(other.to_string()),
        ),
    }
}
