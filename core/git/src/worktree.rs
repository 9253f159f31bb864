//! Making a worktree for a worker: checked first, then made wholly or not at all.
//!
//! Order of creation, so that a crash at any point can be undone from the marker alone:
//! 1. under the repository's lock: the entry (marked, `locked`), then the branch;
//! 2. without the lock: the files where no worker sees them, and the index;
//! 3. one rename to the final path, then the entry is unlocked.

use std::fs;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, ObjectType, Oid, Repository};

use super::admin::{self, Entry, Found, Marker};
use super::error::{GitError, Result};
use super::lacking::{Lacking, lacking};
use super::lock::RepoLock;
use super::populate::{Source, populate};
use super::refs;
use super::repository::{self, confined};
use super::spare::Spares;
use super::write::Stamp;

/// What worktree is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorktreeRequest {
    /// A directory in the repository.
    pub repo_root: PathBuf,
    /// The new branch.
    pub branch: String,
    /// Branch, tag or commit to start from; HEAD when absent.
    pub base: Option<String>,
    /// Where the worktree shall be; absolute, and nothing may be there.
    pub path: PathBuf,
    /// Name of the entry in the repository, unique and stable for a mission: making it again after a crash first
    /// clears what the crash left.
    pub name: String,
}

/// A request that can be carried out as things stand.
#[derive(Debug, Clone)]
pub struct Validated {
    request: WorktreeRequest,
    /// Top directory of the checkout.
    root: PathBuf,
    base: Oid,
}

impl Validated {
    /// Top directory of the repository's checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The commit the branch will start from.
    pub fn base_oid(&self) -> String {
        self.base.to_string()
    }
}

/// How the files came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// A tree prepared in advance was moved into place.
    Spare,
    /// The files were written now.
    Written,
}

/// A worktree that is ready: `git status` in it is clean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedWorktree {
    /// Its top directory.
    pub path: PathBuf,
    /// Its branch.
    pub branch: String,
    /// The commit the branch started from.
    pub base_oid: String,
    /// How it was made.
    pub route: Route,
    /// What its commit speaks of and it does not have.
    pub lacking: Lacking,
}

/// Checks a request without changing anything.
///
/// # Errors
/// What is wrong with the request, see [`GitError`].
pub fn validate(request: &WorktreeRequest) -> Result<Validated> {
    let (repo, root) = repository::locate(&request.repo_root)?;
    check_names(request)?;
    let base = resolve_base(&repo, &root, request.base.as_deref())?;
    check_path(request, &repository::trimmed(repo.commondir()))?;
    let validated = Validated { request: request.clone(), root, base };
    validated.check_free(&repo)?;
    Ok(validated)
}

fn check_names(request: &WorktreeRequest) -> Result<()> {
    if !refs::is_legal_branch(&request.branch) {
        return Err(GitError::BadBranch { branch: request.branch.clone() });
    }
    let name = &request.name;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty()
        || name.len() > 128
        || name.starts_with('.')
        || name.ends_with(".lock")
        || !name.chars().all(legal)
    {
        return Err(GitError::BadName { name: name.clone() });
    }
    Ok(())
}

/// The commit that `base` names: a branch, tag, remote branch or (short) commit id. Needs at least one commit.
pub(super) fn resolve_base(repo: &Repository, root: &Path, base: Option<&str>) -> Result<Oid> {
    let name = base.unwrap_or("HEAD");
    let found = repo.revparse_single(name).and_then(|object| object.peel(ObjectType::Commit));
    if let Ok(commit) = found {
        return Ok(commit.id());
    }
    let unborn = repo.head().is_err_and(|e| e.code() == ErrorCode::UnbornBranch);
    let no_refs = || repo.references().is_ok_and(|mut all| all.names().next().is_none());
    if unborn && (base.is_none() || no_refs()) {
        return Err(GitError::NoCommits { repo: root.to_owned() });
    }
    Err(GitError::UnknownBase { repo: root.to_owned(), base: name.to_owned() })
}

fn check_path(request: &WorktreeRequest, common: &Path) -> Result<()> {
    let bad = |why| Err(GitError::BadPath { path: request.path.clone(), why });
    let dots = request.path.components().any(|c| c == std::path::Component::ParentDir);
    if !request.path.is_absolute() || dots {
        return bad("not an absolute path without `..`");
    }
    if request.path.starts_with(common) {
        return bad("inside the repository's own directory");
    }
    match request.path.file_name() {
        None => bad("it is the root directory"),
        Some(name) if name == ".git" => bad("that name is git's own"),
        Some(_) => Ok(()),
    }
}

impl Validated {
    /// Branch, path and entry are free, or held only by our own attempt that a crash cut short.
    fn check_free(&self, repo: &Repository) -> Result<Option<Box<Marker>>> {
        let WorktreeRequest { branch, path, name, .. } = &self.request;
        let half_made = match admin::look(&repository::trimmed(repo.commondir()), name) {
            Found::Absent => None,
            Found::HalfMade(marker) if marker.path == *path => Some(marker),
            Found::InTheMaking => return Err(self.busy()),
            Found::Standing | Found::HalfMade(_) => {
                return Err(GitError::PathTaken { path: admin::dir_of(repo.commondir(), name) });
            }
        };
        let ours =
            |oid: Oid| half_made.as_ref().is_some_and(|m| m.branch == *branch && m.base == oid.to_string());
        if refs::branch_oid(repo, branch).is_some_and(|oid| !ours(oid)) {
            return Err(GitError::BranchExists { repo: self.root.clone(), branch: branch.clone() });
        }
        let link = admin::link_text(&admin::dir_of(&repository::trimmed(repo.commondir()), name));
        let ours =
            || half_made.is_some() && admin::read_small(&path.join(".git")).is_ok_and(|text| text == link);
        if fs::symlink_metadata(path).is_ok() && !ours() {
            return Err(GitError::PathTaken { path: path.clone() });
        }
        Ok(half_made)
    }

    fn busy(&self) -> GitError {
        GitError::Busy { repo: self.root.clone(), what: format!("the worktree entry {}", self.request.name) }
    }

    /// The files are put together among the spares, or in a hidden sibling: on the file system of the final path.
    fn marker(&self, spares: Option<&Spares>) -> Marker {
        let staging = format!(".{}.partial", self.request.name);
        Marker {
            staging: match spares {
                Some(spares) => spares.dir().join(staging),
                None => self.request.path.with_file_name(staging),
            },
            path: self.request.path.clone(),
            branch: self.request.branch.clone(),
            base: self.base.to_string(),
        }
    }
}

/// Makes the worktree. When any step fails, branch, entry and directory are gone again. No upstream is set. Files are
/// put together among the spares where there are any, out of every worker's reach; and whatever a worker puts in the
/// way of the rest, nothing but repository, spares and the target's directory is written.
///
/// # Errors
/// As [`validate`] (things may have changed since), or the failure of a step.
pub fn create(validated: &Validated, spares: Option<&Spares>) -> Result<CreatedWorktree> {
    let repo = repository::open(&validated.root)?;
    let marker = validated.marker(spares);
    let mut places = vec![repository::trimmed(repo.commondir())];
    for parent in [marker.path.parent(), marker.staging.parent()].into_iter().flatten() {
        fs::create_dir_all(parent).map_err(|e| GitError::io("creating", parent, e))?;
        places.push(parent.to_owned());
    }
    confined(&places, || create_here(validated, marker, spares))
}

fn create_here(validated: &Validated, marker: Marker, spares: Option<&Spares>) -> Result<CreatedWorktree> {
    let repo = repository::open(&validated.root)?;
    let common = repository::trimmed(repo.commondir());
    let stamp = Stamp::for_repository(&common).map_err(|e| GitError::io("reading", &common, e))?;
    let lock = RepoLock::of(&common);
    let entry = begin(validated, &repo, &lock, &marker, &stamp)?;
    let source = Source { root: &validated.root, repo: &repo, commit: validated.base, stamp };
    match fill(&source, &marker, &entry, spares) {
        Ok(route) => {
            let entry_index = entry.dir.join("index");
            entry.finish()?;
            let WorktreeRequest { path, branch, .. } = validated.request.clone();
            // It is whole by now; what cannot be read here is told by whoever needs it.
            let lacking = lacking(&repo, &entry_index).unwrap_or_default();
            Ok(CreatedWorktree { path, branch, base_oid: validated.base.to_string(), route, lacking })
        }
        Err(e) => {
            let _guard = lock.acquire()?;
            admin::undo(&repo, &validated.root, &validated.request.name, &marker)?;
            Err(e)
        }
    }
}

/// Step 1, under the lock.
fn begin(v: &Validated, repo: &Repository, lock: &RepoLock, marker: &Marker, stamp: &Stamp) -> Result<Entry> {
    let name = &v.request.name;
    let _guard = lock.acquire()?;
    if let Some(left) = v.check_free(repo)? {
        admin::undo(repo, &v.root, name, &left)?;
    }
    let entry = Entry::begin(repo, name, marker, stamp)?;
    match refs::create_branch(repo, &v.root, &v.request.branch, v.base)
        .and_then(|()| own_branch(repo, v, stamp))
    {
        Ok(()) => Ok(entry),
        Err(GitError::BranchExists { repo, branch }) => {
            admin::remove_dir(&entry.dir)?;
            Err(GitError::BranchExists { repo, branch })
        }
        Err(e) => {
            admin::undo(repo, &v.root, name, marker)?;
            Err(e)
        }
    }
}

/// The branch's files belong to whoever owns the repository.
fn own_branch(repo: &Repository, v: &Validated, stamp: &Stamp) -> Result<()> {
    let name = refs::full_name(&v.request.branch);
    for top in [repo.commondir().to_owned(), repo.commondir().join("logs")] {
        let mut path = top.join(&name);
        while path.starts_with(top.join("refs/heads")) && path != top.join("refs/heads") {
            match stamp.own(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(GitError::io("giving to the repository's owner", &path, e));
                }
                _ => path.pop(),
            };
        }
    }
    Ok(())
}

/// Steps 2 and 3.
fn fill(source: &Source<'_>, marker: &Marker, entry: &Entry, spares: Option<&Spares>) -> Result<Route> {
    let staging = &marker.staging;
    let index = entry.dir.join("index");
    let spare = spares.is_some_and(|spares| spares.take(source, staging, &index));
    if !spare {
        fs::create_dir(staging).map_err(|e| GitError::io("creating", staging, e))?;
        populate(source, staging, &index)?;
    }
    let link = staging.join(".git");
    fs::write(&link, admin::link_text(&entry.dir)).map_err(|e| GitError::io("writing", &link, e))?;
    for path in [staging, &link] {
        source.stamp.own(path).map_err(|e| GitError::io("giving to the repository's owner", path, e))?;
    }
    move_into_place(staging, &marker.path)?;
    Ok(if spare { Route::Spare } else { Route::Written })
}

/// A rename that never replaces anything.
pub(super) fn move_into_place(from: &Path, to: &Path) -> Result<()> {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        Ok(()) => Ok(()),
        Err(nix::errno::Errno::EEXIST) => Err(GitError::PathTaken { path: to.to_owned() }),
        Err(errno) => Err(GitError::io("moving the worktree to", to, errno.into())),
    }
}

/// Undoes every creation in this repository whose maker died, and returns the entries' names. For the daemon's start.
///
/// # Errors
/// The first entry that could not be undone.
pub fn reclaim(repo_root: &Path) -> Result<Vec<String>> {
    let (repo, root) = repository::locate(repo_root)?;
    let common = repository::trimmed(repo.commondir());
    let lock = RepoLock::of(&common);
    let _guard = lock.acquire()?;
    let mut undone = Vec::new();
    let Ok(entries) = fs::read_dir(common.join("worktrees")) else { return Ok(undone) };
    for name in entries.flatten().filter_map(|e| e.file_name().into_string().ok()) {
        if let Found::HalfMade(marker) = admin::look(&common, &name) {
            admin::undo(&repo, &root, &name, &marker)?;
            undone.push(name);
        }
    }
    Ok(undone)
}
