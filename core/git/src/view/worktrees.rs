//! The checkouts of a repository.

use std::fs;
use std::path::PathBuf;

use super::View;
use crate::admin::read_small;

/// Entries that are looked at.
const MAX_ENTRIES: usize = 1000;

/// A checkout of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorktreeInfo {
    /// Its top directory.
    pub path: PathBuf,
    /// The branch; none when HEAD is detached.
    pub branch: Option<String>,
    /// The commit.
    pub head: Option<String>,
    /// Whether it is the main checkout.
    pub main: bool,
    /// Whether it is the one looked at.
    pub here: bool,
    /// Whether somebody locked it.
    pub locked: bool,
    /// Whether its directory is gone.
    pub missing: bool,
}

impl View {
    /// All checkouts, the main one first.
    pub fn worktrees(&self) -> Vec<WorktreeInfo> {
        let common = &self.checkout.common;
        let mut found = Vec::new();
        // A bare repository has no main checkout; of one whose directory is not called `.git` it is not known where.
        if common.file_name().is_some_and(|name| name == ".git")
            && let Some(top) = common.parent()
        {
            found.push(self.worktree(top.to_owned(), common.join("HEAD"), true, false));
        }
        let entries = fs::read_dir(common.join("worktrees")).into_iter().flatten().flatten();
        let mut linked = Vec::new();
        for entry in entries.take(MAX_ENTRIES) {
            let entry = entry.path();
            let Ok(link) = read_small(&entry.join("gitdir")) else { continue };
            let link = PathBuf::from(String::from_utf8_lossy(&link).trim_end());
            let Some(top) = entry.join(link).parent().map(ToOwned::to_owned) else { continue };
            let locked = fs::symlink_metadata(entry.join("locked")).is_ok();
            linked.push(self.worktree(top, entry.join("HEAD"), false, locked));
        }
        linked.sort_by(|a, b| a.path.cmp(&b.path));
        found.extend(linked);
        found
    }

    fn worktree(&self, path: PathBuf, head: PathBuf, main: bool, locked: bool) -> WorktreeInfo {
        let text = read_small(&head).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        let name = text.strip_prefix("ref: ").map(str::trim);
        let commit = match name {
            Some(name) => self.checkout.repo.refname_to_id(name).ok().map(|oid| oid.to_string()),
            None => Some(text.clone()).filter(|text| !text.is_empty()),
        };
        WorktreeInfo {
            branch: name.and_then(|name| name.strip_prefix("refs/heads/")).map(str::to_owned),
            head: commit,
            main,
            here: path == self.checkout.workdir,
            locked,
            missing: !path.exists(),
            path,
        }
    }
}
