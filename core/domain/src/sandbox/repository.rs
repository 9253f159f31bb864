//! How a git repository is bound into a sandbox.
//!
//! `.git/config`, `.git/hooks`, `.git/info` and the like are code that the owner's next `git` on the host would run. A
//! worker needs to write objects, refs, their logs and the records of worktrees; only those are writable.

use std::path::{Path, PathBuf};

use super::spec::{Bind, IdMap};

/// What of `.git` a worker may write.
pub const WRITABLE_IN_GIT_DIR: [&str; 4] = ["objects", "refs", "logs", "worktrees"];

/// A repository on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryLayout {
    /// Top of the checked-out files; none for a bare repository.
    pub worktree: Option<PathBuf>,
    /// The common git directory (`.git` of the main worktree).
    pub git_dir: PathBuf,
}

impl RepositoryLayout {
    /// The directories of [`WRITABLE_IN_GIT_DIR`]; they must exist before the sandbox starts.
    pub fn writable_dirs(&self) -> impl Iterator<Item = PathBuf> + '_ {
        WRITABLE_IN_GIT_DIR.iter().map(|name| self.git_dir.join(name))
    }
}

/// The binds of a repository at its own path, from the outside in: files writable, the git directory read-only on top,
/// and on top of that what a worker may write.
pub fn repository_binds(layout: &RepositoryLayout) -> Vec<Bind> {
    let bind = |path: &Path, read_only| Bind {
        source: path.to_owned(),
        target: path.to_owned(),
        read_only,
        idmap: IdMap::RootIdmap,
    };
    let mut binds = Vec::new();
    if let Some(worktree) = &layout.worktree {
        binds.push(bind(worktree, false));
    }
    binds.push(bind(&layout.git_dir, true));
    binds.extend(layout.writable_dirs().map(|dir| bind(&dir, false)));
    binds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_a_repository_is_read_only_and_its_data_writable() {
        let layout = RepositoryLayout { worktree: Some("/r".into()), git_dir: "/r/.git".into() };
        let said: Vec<(String, bool)> = repository_binds(&layout)
            .into_iter()
            .map(|b| {
                assert_eq!(b.source, b.target);
                (b.target.display().to_string(), b.read_only)
            })
            .collect();
        let expected = [
            ("/r", false),
            ("/r/.git", true),
            ("/r/.git/objects", false),
            ("/r/.git/refs", false),
            ("/r/.git/logs", false),
            ("/r/.git/worktrees", false),
        ];
        assert_eq!(said, expected.map(|(p, ro)| (p.to_owned(), ro)));
    }

    #[test]
    fn a_bare_repository_has_no_writable_top() {
        let binds = repository_binds(&RepositoryLayout { worktree: None, git_dir: "/r.git".into() });
        assert!(binds[0].read_only && binds[0].target == Path::new("/r.git"));
    }
}
