//! The handle: threads that own connections, and closures that run on them.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use rusqlite::{Connection, OpenFlags};
use sandboxed_domain::api::{ApiError, ErrorCode};
use tokio::sync::{oneshot, watch};

use super::schema;
use super::writer::{Durable, News, Tx, Writer};

/// Requests that may wait for a database thread before callers have to.
pub(super) const QUEUE: usize = 1024;
/// Threads that only read.
const READERS: usize = 2;

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says no.
    #[error("database {}: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Its word.
        source: rusqlite::Error,
    },
    /// A file or directory could not be made.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A rule was broken inside a transaction, which was rolled back.
    #[error("{0}")]
    Refused(Box<ApiError>),
    /// The database thread is gone.
    #[error("the database thread has ended")]
    Closed,
    /// A stored value cannot be read back.
    #[error("stored value: {0}")]
    Value(#[from] serde_json::Error),
    /// SQLite inside a closure.
    #[error("sqlite: {0}")]
    Query(#[from] rusqlite::Error),
}

impl From<ApiError> for StoreError {
    fn from(error: ApiError) -> Self {
        Self::Refused(Box::new(error))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(inner) => *inner,
            StoreError::Sqlite { path, source } => sqlite_error(&source, &path.display().to_string()),
            StoreError::Query(source) => sqlite_error(&source, "missions.db"),
            StoreError::Io { path, source } => io_error(&path, &source),
            other @ (StoreError::Closed | StoreError::Value(_)) => {
                ApiError::new(ErrorCode::Internal, other.to_string()).hint("see the daemon's log")
            }
        }
    }
}

/// An I/O error on a file of the data directory, in words that say what to do.
pub fn io_error(path: &Path, source: &std::io::Error) -> ApiError {
    let file = path.display().to_string();
    match source.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => {
            ApiError::new(ErrorCode::DiskFull, format!("no space left for {file}"))
                .field(file)
                .hint("free space on that file system, then try again; nothing was half done")
        }
        Some(libc::EROFS | libc::EACCES | libc::EPERM) => {
            ApiError::new(ErrorCode::ReadOnly, format!("cannot write {file}: {source}"))
                .field(file)
                .hint("make it writable for this user or set SANDBOXED_SH_DATA_DIR to another directory")
        }
        _ => ApiError::new(ErrorCode::Internal, format!("{file}: {source}"))
            .field(file)
            .hint("check the data directory (SANDBOXED_SH_DATA_DIR)"),
    }
}

/// Makes a directory that only its owner may enter, or closes the one that is there to others.
///
/// # Errors
/// The file system's word.
pub fn make_private(path: &Path) -> Result<(), ApiError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.and_then(|()| close_to_others(path, 0o700)).map_err(|error| io_error(path, &error))
}

/// SQLite would make it readable by all; its log and index take the file's mode.
fn private_file(path: &Path) -> std::io::Result<()> {
    std::fs::File::options().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    close_to_others(path, 0o600)
}

fn close_to_others(path: &Path, mode: u32) -> std::io::Result<()> {
    if std::fs::metadata(path)?.mode() & 0o077 == 0 {
        return Ok(());
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

const DAMAGED: &str = "stop the daemon, move the file aside and restore a backup, or start anew without it; \
                       worktrees and logs are not touched";

/// Whether a value has a type or bytes that this program never writes.
fn is_not_ours(source: &rusqlite::Error) -> bool {
    match source {
        rusqlite::Error::Utf8Error(..) | rusqlite::Error::InvalidColumnType(..) => true,
        rusqlite::Error::FromSqlConversionFailure(_, _, why) => why.is::<std::str::Utf8Error>(),
        _ => false,
    }
}

fn sqlite_error(source: &rusqlite::Error, file: &str) -> ApiError {
    use rusqlite::ffi::ErrorCode as Sqlite;
    let code = source.sqlite_error_code();
    let error = |code, hint: &str| ApiError::new(code, source.to_string()).field(file).hint(hint);
    match code {
        Some(Sqlite::DiskFull) => error(
            ErrorCode::DiskFull,
            "free space on the data directory's file system, then try again; nothing was half done",
        ),
        Some(Sqlite::ReadOnly | Sqlite::CannotOpen | Sqlite::PermissionDenied) => error(
            ErrorCode::ReadOnly,
            "make the data directory writable for this user or set SANDBOXED_SH_DATA_DIR to another",
        ),
        Some(Sqlite::DatabaseCorrupt | Sqlite::NotADatabase) => error(ErrorCode::DatabaseDamaged, DAMAGED),
        // SQLite gives out bytes that nobody wrote before it notices: the tables are strict and all text is UTF-8.
        None if is_not_ours(source) => error(ErrorCode::DatabaseDamaged, DAMAGED),
        // With a full disk SQLite often reports the failed write of its log or index as an I/O error.
        Some(Sqlite::SystemIoFailure) => error(
            ErrorCode::DiskFull,
            "the database could not be written: check space and health of the data directory's file system",
        ),
        _ => error(ErrorCode::Internal, "see the daemon's log"),
    }
}

pub(super) type Job = Box<dyn FnOnce(&mut Connection) + Send>;

#[derive(Clone)]
struct Worker {
    jobs: mpsc::SyncSender<Job>,
}

impl Worker {
    fn spawn(name: &str, mut connection: Connection) -> Result<Self, StoreError> {
        let (jobs, inbox) = mpsc::sync_channel::<Job>(QUEUE);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                for job in inbox {
                    job(&mut connection);
                }
            })
            .map_err(thread_error)?;
        Ok(Self { jobs })
    }

    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // The caller may have gone away; its work is done all the same.
            let _ = answer.send(work(connection));
        });
        enqueue(&self.jobs, job).await?;
        result.await.map_err(|_| StoreError::Closed)?
    }
}

/// Puts something into a thread's queue; waits while the queue is full.
pub(super) async fn enqueue<J>(queue: &mpsc::SyncSender<J>, mut job: J) -> Result<(), StoreError> {
    loop {
        match queue.try_send(job) {
            Ok(()) => return Ok(()),
            Err(mpsc::TrySendError::Disconnected(_)) => return Err(StoreError::Closed),
            Err(mpsc::TrySendError::Full(back)) => {
                job = back;
                tokio::task::yield_now().await;
            }
        }
    }
}

pub(super) fn thread_error(source: std::io::Error) -> StoreError {
    StoreError::Io { path: PathBuf::from("thread"), source }
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    writer: Writer,
    readers: Vec<Worker>,
    next_reader: std::sync::Arc<std::sync::atomic::AtomicUsize>,
    news: News,
}

impl Store {
    /// Opens (or makes) the database, checks it and brings its schema up to date.
    ///
    /// # Errors
    /// A damaged, unreadable or unwritable file; a schema of a newer version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let wrap = |source| StoreError::Sqlite { path: path.to_owned(), source };
        if let Some(parent) = path.parent() {
            make_private(parent)?;
        }
        private_file(path).map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
        let mut connection = Connection::open(path).map_err(wrap)?;
        schema::prepare(&mut connection, path).map_err(|error| match error {
            StoreError::Query(source) => wrap(source),
            other => other,
        })?;
        let count = |table: &str| -> Result<i64, StoreError> {
            connection
                .query_row(&format!("SELECT coalesce(max(sequence), 0) FROM {table}"), [], |row| row.get(0))
                .map_err(wrap)
        };
        let (events, attention) = (count("events")?, count("attention")?);
        let mut readers = Vec::with_capacity(READERS);
        for index in 0..READERS {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let reader = Connection::open_with_flags(path, flags).map_err(wrap)?;
            reader.busy_timeout(schema::BUSY).map_err(wrap)?;
            readers.push(Worker::spawn(&format!("db-read-{index}"), reader)?);
        }
        let news = News { events: watch::Sender::new(events), attention: watch::Sender::new(attention) };
        let writer = Writer::spawn(connection, news.clone())?;
        Ok(Self { writer, readers, next_reader: std::sync::Arc::default(), news })
    }

    /// Runs `work` in one exclusive transaction, maybe together with others; returns when it is on the disk. An error
    /// rolls back all of `work`. Publishes after the commit.
    ///
    /// # Errors
    /// Those of `work` and of the commit.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.write(work, Durable::AtOnce).await
    }

    /// The same for what may be lost in a power cut, together with everything noted since the last [`Self::write`]: the
    /// killing of the daemon it survives. It must not append events, which nobody may see before they are on the disk.
    ///
    /// # Errors
    /// Those of `work` and of the commit.
    pub async fn note<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.write(work, Durable::WithTheNext).await
    }

    /// Runs `work` on a reading connection, which sees all that was committed before.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let index = self.next_reader.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % self.readers.len();
        match self.readers.get(index) {
            Some(reader) => reader.call(|connection| work(connection)).await,
            None => Err(StoreError::Closed),
        }
    }

    /// Moves everything into the one file, so that a copy of it alone is whole.
    ///
    /// # Errors
    /// SQLite's; nothing is lost then, the log beside the file is read at the next start.
    pub async fn settle(&self) -> Result<(), StoreError> {
        let settle = |connection: &mut Connection| {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            Ok(())
        };
        self.writer.alone(settle).await
    }

    /// The newest event's sequence, pushed.
    pub fn watch_events(&self) -> watch::Receiver<i64> {
        self.news.events.subscribe()
    }

    /// The newest attention event's sequence, pushed.
    pub fn watch_attention(&self) -> watch::Receiver<i64> {
        self.news.attention.subscribe()
    }
}
