//! Which repository holds a directory, and opening it for a look.
//!
//! A repository's own files decide where it has its objects, and a `.git` file where it has everything. Inside of a
//! workspace anything may be read; a directory outside of it only when it names the checkout itself, as git's own
//! worktrees and submodules do: that nobody can write who only has the workspace.

use std::fs;
use std::path::{Path, PathBuf};

use git2::{BranchType, Oid};

use crate::checkout::{Checkout, Head};
use crate::error::{GitError, Result};
use crate::repository::trimmed;

/// Files of a repository that libgit2 opens by itself; a pipe among them would hold it for ever.
const PLAIN: [&str; 12] = [
    "HEAD",
    "config",
    "config.worktree",
    "commondir",
    "gitdir",
    "index",
    "packed-refs",
    "shallow",
    "info/exclude",
    "info/attributes",
    "objects/info/alternates",
    "objects/info/commit-graph",
];

/// A repository and the checkout in it that is looked at.
pub struct View {
    pub(super) checkout: Checkout,
    pub(super) head: Head,
}

/// Where a checkout stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its top directory.
    pub top: PathBuf,
    /// The branch; none when HEAD is detached.
    pub branch: Option<String>,
    /// The commit; none when there is none yet.
    pub head: Option<String>,
    /// First line of that commit's message.
    pub subject: Option<String>,
    /// What the branch follows.
    pub upstream: Option<Upstream>,
    /// A merge, rebase or the like that is under way.
    pub in_progress: Option<&'static str>,
}

/// The branch that another one follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Such as `origin/main`.
    pub name: String,
    /// Commits that only the branch has.
    pub ahead: usize,
    /// Commits that only the upstream has.
    pub behind: usize,
}

impl View {
    /// Opens the repository that holds `directory`, which is `root` or below it.
    ///
    /// # Errors
    /// [`GitError::NotARepository`], [`GitError::Redirected`] when it leads out of `root` without being led back to,
    /// [`GitError::SpecialFile`], or a failure to read.
    pub fn open(directory: &Path, root: &Path) -> Result<Self> {
        let none = || GitError::NotARepository { path: directory.to_owned() };
        let real = fs::canonicalize(directory).map_err(|e| GitError::io("opening", directory, e))?;
        let root = fs::canonicalize(root).map_err(|e| GitError::io("opening", root, e))?;
        let within = real.ancestors().take_while(|dir| dir.starts_with(&root));
        let mut within = within.filter(|dir| fs::symlink_metadata(dir.join(".git")).is_ok());
        let top = within.next().ok_or_else(none)?.to_owned();
        let gitdir = git_dir(&top)?;
        require_plain(&gitdir)?;
        let common = fs::read(gitdir.join("commondir")).ok().map_or_else(
            || gitdir.clone(),
            |text| gitdir.join(String::from_utf8_lossy(&text).trim_end_matches('\n')),
        );
        require_plain(&common)?;
        let checkout = Checkout::open(&top, &top)?;
        checkout.require_home(&top, &root)?;
        let head = checkout.head()?;
        Ok(Self { checkout, head })
    }

    /// Where the checkout stands.
    ///
    /// # Errors
    /// A failure to read.
    pub fn standing(&self) -> Result<Standing> {
        let commit = self.head.oid.and_then(|oid| self.checkout.repo.find_commit(oid).ok());
        Ok(Standing {
            top: self.checkout.workdir.clone(),
            branch: self.head.branch.clone(),
            head: self.head.oid.map(|oid| oid.to_string()),
            subject: commit.map(|commit| super::history::subject(&commit)),
            upstream: self.upstream(),
            in_progress: self.checkout.in_progress(),
        })
    }

    fn upstream(&self) -> Option<Upstream> {
        let repo = &self.checkout.repo;
        let branch = repo.find_branch(self.head.branch.as_deref()?, BranchType::Local).ok()?;
        let upstream = branch.upstream().ok()?;
        let (own, other) = (self.head.oid?, upstream.get().target()?);
        let (ahead, behind) = repo.graph_ahead_behind(own, other).ok()?;
        Some(Upstream { name: upstream.name().ok()??.to_owned(), ahead, behind })
    }

    /// The commit that a branch, a tag, an id or an expression such as `main~2` means.
    ///
    /// # Errors
    /// [`GitError::UnknownBase`].
    pub(super) fn commit(&self, name: &str) -> Result<Oid> {
        let unknown = || GitError::UnknownBase { repo: self.checkout.workdir.clone(), base: name.to_owned() };
        // The repository was opened at its common directory, whose HEAD is that of the main checkout.
        let rest = name.strip_prefix("HEAD").or_else(|| name.strip_prefix('@'));
        let meant = match (rest, self.head.oid) {
            (Some(rest), Some(head)) if rest.is_empty() || rest.starts_with(['~', '^']) => {
                format!("{head}{rest}")
            }
            (Some(""), None) => return Err(GitError::NoCommits { repo: self.top() }),
            _ => name.to_owned(),
        };
        let object = self.checkout.repo.revparse_single(&meant).map_err(|_| unknown())?;
        object.peel_to_commit().map(|commit| commit.id()).map_err(|_| unknown())
    }

    /// The top directory of the checkout.
    pub fn top(&self) -> PathBuf {
        self.checkout.workdir.clone()
    }

    pub(super) fn fail(&self, doing: &'static str) -> impl Fn(git2::Error) -> GitError + use<> {
        let top = self.top();
        move |error| GitError::git(doing, &top, error)
    }
}

/// Where `.git` leads: itself, or what a file of that name says.
fn git_dir(top: &Path) -> Result<PathBuf> {
    let link = top.join(".git");
    let meta = fs::metadata(&link).map_err(|e| GitError::io("opening", &link, e))?;
    if meta.is_dir() {
        return Ok(link);
    }
    let text = crate::admin::read_small(&link).map_err(|_| GitError::SpecialFile { path: link.clone() })?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let target = text.strip_prefix("gitdir: ").map(|rest| top.join(rest.trim_end()));
    target.ok_or_else(|| GitError::NotARepository { path: top.to_owned() })
}

fn require_plain(gitdir: &Path) -> Result<()> {
    for name in PLAIN {
        let path = gitdir.join(name);
        // Followed: a link to a pipe is as bad.
        if fs::metadata(&path).is_ok_and(|meta| !meta.is_file()) {
            return Err(GitError::SpecialFile { path });
        }
    }
    Ok(())
}

impl Checkout {
    /// What is read lies in `root`, or leads back to `top`.
    fn require_home(&self, top: &Path, root: &Path) -> Result<()> {
        let redirected = |why: &str| GitError::Redirected { worktree: top.to_owned(), why: why.to_owned() };
        if self.workdir != top {
            return Err(redirected("its repository has its files elsewhere"));
        }
        // A linked worktree was checked when it was opened: the repository names it.
        if self.linked {
            return Ok(());
        }
        let inside = |path: &Path| fs::canonicalize(path).is_ok_and(|path| path.starts_with(root));
        if inside(&self.gitdir) && inside(&self.common) {
            return Ok(());
        }
        let named = self.repo.config().and_then(|c| c.get_path("core.worktree")).ok();
        let back = named.and_then(|path| fs::canonicalize(self.gitdir.join(path)).ok());
        if trimmed(&self.gitdir) == self.common && back.as_deref() == Some(top) {
            return Ok(());
        }
        Err(redirected("its .git leads out of the workspace"))
    }
}
