//! Commits, newest first.

use std::path::Path;

use git2::{DiffOptions, Sort};

use super::View;
use crate::error::Result;

/// Commits that are looked at for one page: those of a path may be rare.
const MAX_VISITED: usize = 50_000;
/// Longest message that is read, in bytes.
const MAX_MESSAGE: usize = 4000;

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: String,
    /// Who wrote it.
    pub author: String,
    /// When, in seconds since 1970.
    pub time: i64,
    /// Branches and tags that are at it.
    pub names: Vec<String>,
    /// First line of its message.
    pub subject: String,
    /// The rest of its message.
    pub body: String,
    /// More than one for a merge.
    pub parents: usize,
}

/// A page of commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Newest first.
    pub commits: Vec<Commit>,
    /// Whether there are older ones.
    pub more: bool,
    /// Whether the search for older ones was ended because it took too many commits.
    pub ended: bool,
}

impl View {
    /// Commits that `from` (a commit, or two as `a..b`; HEAD when empty) reaches, `limit` of them after the first
    /// `skip`; with `path` those that changed it.
    ///
    /// # Errors
    /// [`crate::GitError::UnknownBase`], [`crate::GitError::NoCommits`], or a failure to read.
    pub fn history(&self, from: &str, path: Option<&str>, skip: usize, limit: usize) -> Result<History> {
        let fail = self.fail("reading the history");
        let repo = &self.checkout.repo;
        let (hidden, from) = from.split_once("..").map_or((None, from), |(a, b)| (Some(a), b));
        let name = |name: &str| self.commit(if name.is_empty() { "HEAD" } else { name });
        let mut walk = repo.revwalk().map_err(&fail)?;
        walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME).map_err(&fail)?;
        walk.push(name(from)?).map_err(&fail)?;
        if let Some(hidden) = hidden {
            walk.hide(name(hidden)?).map_err(&fail)?;
        }
        let names = self.names();
        let mut found = History::default();
        let (mut visited, mut skip) = (0, skip);
        for id in walk {
            let commit = id.and_then(|id| repo.find_commit(id)).map_err(&fail)?;
            visited += 1;
            if visited > MAX_VISITED {
                found.ended = true;
                break;
            }
            if let Some(path) = path
                && !self.touches(&commit, path).map_err(&fail)?
            {
                continue;
            }
            if skip > 0 {
                skip -= 1;
                continue;
            }
            if found.commits.len() == limit {
                found.more = true;
                break;
            }
            let own = names.iter().filter(|(_, oid)| *oid == commit.id()).map(|(name, _)| name.clone());
            found.commits.push(Commit { names: own.collect(), ..facts(&commit) });
        }
        Ok(found)
    }

    /// Whether a commit has another thing at `path` than its first parent.
    fn touches(&self, commit: &git2::Commit<'_>, path: &str) -> Result<bool, git2::Error> {
        let at = |tree: &git2::Tree<'_>| tree.get_path(Path::new(path)).ok().map(|entry| entry.id());
        let tree = commit.tree()?;
        let Ok(parent) = commit.parent(0) else { return Ok(at(&tree).is_some()) };
        if commit.parent_count() > 1 {
            // As git does: a merge is told only where it is none of its parents'.
            let mut options = DiffOptions::new();
            options.pathspec(path).disable_pathspec_match(true).ignore_submodules(true);
            for parent in commit.parents() {
                let diff = self.checkout.repo.diff_tree_to_tree(
                    Some(&parent.tree()?),
                    Some(&tree),
                    Some(&mut options),
                )?;
                if diff.deltas().len() == 0 {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        Ok(at(&tree) != at(&parent.tree()?))
    }

    /// Branches and tags with the commits that they are at.
    fn names(&self) -> Vec<(String, git2::Oid)> {
        let Ok(references) = self.checkout.repo.references() else { return Vec::new() };
        let named = references.flatten().take(10_000).filter_map(|reference| {
            let commit = reference.peel_to_commit().ok()?.id();
            Some((reference.shorthand()?.to_owned(), commit))
        });
        named.filter(|(name, _)| !name.ends_with("/HEAD") && name != "HEAD").collect()
    }
}

fn facts(commit: &git2::Commit<'_>) -> Commit {
    let message = String::from_utf8_lossy(commit.message_bytes());
    let cut = (0..=MAX_MESSAGE.min(message.len())).rev().find(|at| message.is_char_boundary(*at));
    let message = &message[..cut.unwrap_or(0)];
    let body = message.trim().split_once('\n').map_or("", |(_, body)| body).trim();
    let author = commit.author();
    Commit {
        id: commit.id().to_string(),
        author: String::from_utf8_lossy(author.name_bytes()).into_owned(),
        time: author.when().seconds(),
        names: Vec::new(),
        subject: subject(commit),
        body: body.to_owned(),
        parents: commit.parent_count(),
    }
}

/// First line of a commit's message.
pub(super) fn subject(commit: &git2::Commit<'_>) -> String {
    let message = String::from_utf8_lossy(commit.message_bytes());
    message.trim_start().lines().next().unwrap_or_default().chars().take(500).collect()
}
