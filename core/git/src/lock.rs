//! One change to a repository at a time, in this process and between daemons.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

use super::error::{GitError, Result};

/// How long another daemon may hold the repository. Its changes take milliseconds; beyond this something holds the
/// lock on purpose (a sandbox that can open the file can also lock it), and waiting longer would let it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at another process's lock: flock has no wait with a time limit.
const PAUSE: Duration = Duration::from_millis(2);

type Registry = Mutex<HashMap<PathBuf, Arc<Mutex<()>>>>;

/// The mutex of one repository in this process.
pub(super) struct RepoLock {
    common: PathBuf,
    mutex: Arc<Mutex<()>>,
}

/// Held while a repository is changed.
pub(super) struct RepoGuard<'a> {
    _file: Flock<File>,
    _thread: MutexGuard<'a, ()>,
}

impl RepoLock {
    /// The lock of the repository with this common directory.
    pub(super) fn of(common: &Path) -> Self {
        static REGISTRY: OnceLock<Registry> = OnceLock::new();
        let mut registry =
            REGISTRY.get_or_init(Registry::default).lock().unwrap_or_else(PoisonError::into_inner);
        registry.retain(|_, mutex| Arc::strong_count(mutex) > 1);
        let mutex = Arc::clone(registry.entry(common.to_owned()).or_default());
        Self { common: common.to_owned(), mutex }
    }

    /// Waits for the lock.
    pub(super) fn acquire(&self) -> Result<RepoGuard<'_>> {
        let thread = self.mutex.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = private_dir(&self.common)?;
        let path = dir.join("lock");
        let open = || OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let mut file = open().map_err(|e| GitError::io("opening", &path, e))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(held) => return Ok(RepoGuard { _file: held, _thread: thread }),
                Err((_, errno)) if errno != nix::errno::Errno::EWOULDBLOCK => {
                    return Err(GitError::io("locking", &path, errno.into()));
                }
                Err(_) if Instant::now() > deadline => {
                    return Err(GitError::Busy { repo: self.common.clone(), what: "the lock".into() });
                }
                Err((back, _)) => file = back,
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Our own directory inside the common directory: the lock and entries that are not yet in `worktrees/`.
pub(super) fn private_dir(common: &Path) -> Result<PathBuf> {
    let dir = common.join("sandboxed-sh");
    fs::create_dir_all(&dir).map_err(|e| GitError::io("creating", &dir, e))?;
    Ok(dir)
}
