//! The Library as the rest of the daemon has it: reads that cost nothing when nothing changed, one change at a time, and
//! a remote that is asked now and then.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use git2::Repository;
use sandboxed_domain::api::{
    ApiError, ErrorCode, LibraryCommit, LibraryCommitParams, LibraryFile, LibraryFileParams, LibraryHistory,
    LibraryHistoryParams, LibraryItem, LibraryRevertParams, LibraryStatus, LibrarySyncResponse, LibraryView,
    LibraryWriteParams,
};
use sandboxed_domain::library::{Library, LibraryKind, skill_description};
use tokio::time::Instant;

use super::bring::{Merging, bring_in};
use super::read::Cache;
use super::secrets::read_secrets;
use super::settings::LibrarySettings;
use super::status::{remote_head, standing};
use super::transport::{RemoteHead, Transport};
use super::{change, edit, history, repository, starter};
use crate::store::blocking;

/// How long what the remote said is good for a mission.
const FRESH: Duration = Duration::from_secs(60);
/// How long a mission waits for the remote.
const MISSION_PATIENCE: Duration = Duration::from_secs(10);

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct LibraryFolder {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    settings: LibrarySettings,
    cache: Mutex<Cache>,
    /// One change of the repository or the folder at a time.
    changing: Mutex<()>,
    /// One conversation with the remote at a time.
    remote: tokio::sync::Mutex<()>,
    told: Mutex<Told>,
}

/// What the remote last said.
#[derive(Debug, Default)]
struct Told {
    asked: Option<Instant>,
    branch: Option<String>,
    fetched_at: Option<DateTime<Utc>>,
    error: Option<String>,
}

impl LibraryFolder {
    /// Opens the folder `library` of a data directory. One that is new gets its first files, unless it has a remote,
    /// whose files they would stand against.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn open(data: &Path, settings: LibrarySettings) -> Result<Self, ApiError> {
        let root = data.join("library");
        let (repo, _) = repository::open_or_make(&root)?;
        if settings.remote.is_none() {
            first_files(&repo, &root)?;
        }
        drop(repo);
        let inner = Inner {
            root,
            settings,
            cache: Mutex::default(),
            changing: Mutex::default(),
            remote: tokio::sync::Mutex::default(),
            told: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Where it lies.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// What is in it, as it is now. Blocks for as long as it takes to look at the files.
    pub fn read(&self) -> Arc<Library> {
        let mut cache = self.inner.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.library(&self.inner.root)
    }

    /// Secrets of MCP servers. Blocks for one file.
    ///
    /// # Errors
    /// The file is open to others, or unreadable.
    pub fn secrets(&self) -> Result<BTreeMap<String, String>, ApiError> {
        read_secrets(&self.inner.settings.secrets_file)
    }

    /// Brings in what the remote has, for a mission that starts: not more often than once a minute, and without
    /// waiting for long. The warning that the mission gets when that did not work; what is there serves.
    pub async fn refresh(&self) -> Option<String> {
        self.inner.settings.remote.as_ref()?;
        match tokio::time::timeout(MISSION_PATIENCE, self.refresh_if_due()).await {
            Ok(warning) => warning,
            Err(_) => Some(self.stale("it did not answer in time")),
        }
    }

    async fn refresh_if_due(&self) -> Option<String> {
        let _one = self.inner.remote.lock().await;
        let due = {
            let mut told = self.told();
            let due = told.asked.is_none_or(|asked| asked.elapsed() >= FRESH);
            if due {
                told.asked = Some(Instant::now());
                told.error = Some("it did not answer in time".to_owned());
            }
            due
        };
        let outcome = match due {
            true => self.fetch().await.map(drop),
            false => Ok(()),
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "the Library's remote");
        }
        if let Some(error) = self.told().error.clone() {
            return Some(self.stale(&error));
        }
        let brought = self.changing(|repo, root| bring_in(repo, root, Merging::ForwardOnly)).await;
        brought.err().map(|error| self.stale(&error.message))
    }

    fn stale(&self, why: &str) -> String {
        format!("the Library is not as its remote has it: {why}; what was last brought in serves")
    }

    /// Fetches and brings in what the remote has, with a merge where that is needed.
    ///
    /// # Errors
    /// No remote, one that cannot be reached, or `conflict`.
    pub async fn sync(&self) -> Result<LibrarySyncResponse, ApiError> {
        let updated = {
            let _one = self.inner.remote.lock().await;
            self.told().asked = Some(Instant::now());
            self.fetch().await?;
            self.changing(|repo, root| bring_in(repo, root, Merging::Allowed)).await?
        };
        Ok(LibrarySyncResponse { updated, status: self.status().await? })
    }

    /// Asks the remote, and fetches when it has something new. To be called by one at a time.
    async fn fetch(&self) -> Result<RemoteHead, ApiError> {
        let outcome = self.try_fetch().await;
        let mut told = self.told();
        match &outcome {
            Ok(head) => {
                told.branch = Some(head.branch.clone());
                told.fetched_at = Some(Utc::now());
                told.error = None;
            }
            Err(error) => told.error = Some(error.message.clone()),
        }
        outcome
    }

    async fn try_fetch(&self) -> Result<RemoteHead, ApiError> {
        let settings = &self.inner.settings;
        let transport = Transport::new(settings, self.remote()?, &self.inner.root);
        let head = transport.look().await?;
        match head.commit.clone() {
            Some(commit) => {
                let known = self.changing(|repo, _| Ok(remote_head(repo).map(|oid| oid.to_string()))).await?;
                if known.as_deref() != Some(&commit) {
                    transport.fetch(&head.branch).await?;
                }
            }
            // An empty one is to be filled from here.
            None if settings.branch.is_none() => {
                self.changing(|repo, root| {
                    match repository::head(repo).is_none() && starter::is_empty(root) {
                        true => start(repo, root),
                        false => Ok(()),
                    }
                })
                .await?;
            }
            None => {
                let branch = &head.branch;
                let known = self.changing(|repo, _| Ok(remote_head(repo).is_some())).await?;
                if known {
                    return Err(ApiError::new(
                        ErrorCode::NotFound,
                        format!("the remote has no branch {branch:?} any more"),
                    ));
                }
            }
        }
        Ok(head)
    }

    /// Pushes all commits, never by force.
    ///
    /// # Errors
    /// No remote, one that cannot be reached, or `conflict`.
    pub async fn push(&self) -> Result<LibraryStatus, ApiError> {
        {
            let _one = self.inner.remote.lock().await;
            let transport = Transport::new(&self.inner.settings, self.remote()?, &self.inner.root);
            let commit =
                self.changing(|repo, _| Ok(repository::head(repo).map(|commit| commit.id().to_string())));
            let commit = commit.await?.ok_or_else(|| {
                ApiError::new(ErrorCode::WrongState, "there is no commit yet").hint("commit first")
            })?;
            let head = transport.look().await?;
            transport.push(&commit, &head.branch).await?;
            self.fetch().await?;
        }
        self.status().await
    }

    fn remote(&self) -> Result<&str, ApiError> {
        self.inner.settings.remote.as_deref().ok_or_else(|| {
            ApiError::new(ErrorCode::WrongState, "the Library has no remote")
                .hint("set SANDBOXED_SH_LIBRARY_REMOTE in the daemon's environment")
        })
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.inner.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in it, for people.
    ///
    /// # Errors
    /// `internal`.
    pub async fn view(&self) -> Result<LibraryView, ApiError> {
        let folder = self.clone();
        blocking(move || {
            let library = folder.read();
            let item = |(kind, name): (LibraryKind, &str)| LibraryItem {
                kind,
                name: name.to_owned(),
                description: describe(&library, kind, name),
            };
            LibraryView {
                path: folder.root().display().to_string(),
                items: library.names().into_iter().map(item).collect(),
                problems: library.problems.clone(),
            }
        })
        .await
    }

    /// How it stands.
    ///
    /// # Errors
    /// The repository cannot be read.
    pub async fn status(&self) -> Result<LibraryStatus, ApiError> {
        let found = self.changing(standing).await?;
        let told = self.told();
        Ok(LibraryStatus {
            path: self.inner.root.display().to_string(),
            remote: self.inner.settings.remote.clone(),
            branch: told.branch.clone().or_else(|| self.inner.settings.branch.clone()),
            head: found.head,
            ahead: found.ahead,
            behind: found.behind,
            changes: found.changes,
            conflicts: found.conflicts,
            fetched_at: told.fetched_at,
            fetch_error: told.error.clone(),
        })
    }

    /// Commits.
    ///
    /// # Errors
    /// No message, or nothing to commit.
    pub async fn commit(&self, params: LibraryCommitParams) -> Result<LibraryCommit, ApiError> {
        self.changing(move |repo, root| {
            let oid = change::commit(repo, root, &params)?;
            history::show(repo, root, oid)
        })
        .await
    }

    /// Undoes a commit by a new one, which is the answer, or drops changes that are not committed.
    ///
    /// # Errors
    /// Neither or both are named, or something stands against it.
    pub async fn revert(&self, params: LibraryRevertParams) -> Result<Option<LibraryCommit>, ApiError> {
        self.changing(move |repo, root| match (params.commit, params.paths.as_slice()) {
            (Some(commit), []) => {
                let oid = change::revert_commit(repo, root, &commit)?;
                Ok(Some(history::show(repo, root, oid)?))
            }
            (None, [_, ..]) => change::revert_paths(repo, root, &params.paths).map(|()| None),
            _ => Err(ApiError::invalid("commit", "either a commit or paths are needed")
                .hint("commit: undone by a new one; paths: back to the last commit")),
        })
        .await
    }

    /// A page of its commits.
    ///
    /// # Errors
    /// A bad limit, path or cursor.
    pub async fn history(&self, params: LibraryHistoryParams) -> Result<LibraryHistory, ApiError> {
        self.changing(move |repo, root| history::history(repo, root, &params)).await
    }

    /// A file as it is, or as it was.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn file(&self, params: LibraryFileParams) -> Result<LibraryFile, ApiError> {
        let folder = self.clone();
        self.changing(move |repo, root| {
            let LibraryFileParams { path, commit } = params;
            let (content, executable) = match &commit {
                Some(commit) => history::file_at(repo, commit, &path)?,
                None => edit::get(root, &path)?,
            };
            let problems = if commit.is_none() { folder.problems_of(&path) } else { Vec::new() };
            Ok(LibraryFile { path, content, executable, problems })
        })
        .await
    }

    /// Writes a file. One that is not sound is written too, and what is wrong with it is in the answer.
    ///
    /// # Errors
    /// A path that is none.
    pub async fn write(&self, params: LibraryWriteParams) -> Result<LibraryFile, ApiError> {
        let path = params.path.clone();
        self.changing(move |_, root| edit::put(root, &params)).await?;
        self.file(LibraryFileParams { path, commit: None }).await
    }

    /// Removes a file.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn remove(&self, params: LibraryFileParams) -> Result<(), ApiError> {
        self.changing(move |_, root| edit::delete(root, &params.path)).await
    }

    fn problems_of(&self, path: &str) -> Vec<sandboxed_domain::library::Problem> {
        self.read().problems.iter().filter(|problem| problem.path == path).cloned().collect()
    }

    /// Does something with the repository that nobody else changes meanwhile.
    async fn changing<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Repository, &Path) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let _one = inner.changing.lock().unwrap_or_else(PoisonError::into_inner);
            let repo = repository::open(&inner.root)?;
            work(&repo, &inner.root)
        })
        .await?
    }
}

/// The first files of a Library of this machine alone, or newer ones of what nobody changed.
fn first_files(repo: &Repository, root: &Path) -> Result<(), ApiError> {
    if repository::head(repo).is_some() {
        if let Err(error) = starter::renew(repo, root) {
            // The older ones serve.
            tracing::warn!(%error, "the platform's own files in the Library are not renewed");
        }
        return Ok(());
    }
    if starter::is_empty(root) { start(repo, root) } else { Ok(()) }
}

/// The first files and their commit.
fn start(repo: &Repository, root: &Path) -> Result<(), ApiError> {
    starter::write(root)?;
    let params = LibraryCommitParams { message: starter::FIRST_COMMIT.to_owned(), paths: Vec::new() };
    change::commit(repo, root, &params).map(drop)
}

fn describe(library: &Library, kind: LibraryKind, name: &str) -> String {
    let text = match kind {
        LibraryKind::Skill => library.skills.get(name).map(skill_description),
        LibraryKind::Agent => library.agents.get(name).map(|agent| agent.description.clone()),
        LibraryKind::Command => library.commands.get(name).map(|command| command.description.clone()),
        LibraryKind::Profile => library.profiles.get(name).map(|profile| profile.description.clone()),
        _ => None,
    };
    text.unwrap_or_default()
}
