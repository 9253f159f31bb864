//! What is not committed, path by path.

use std::collections::BTreeMap;

use super::View;
use crate::error::Result;
use crate::status::{ChangeKind, status};

/// A path that differs from HEAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Relative to the top, as far as it is UTF-8.
    pub path: String,
    /// How the index differs from HEAD.
    pub staged: Option<ChangeKind>,
    /// How the file differs from the index.
    pub unstaged: Option<ChangeKind>,
}

/// Everything that is not committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Tracked paths, in order.
    pub tracked: Vec<Change>,
    /// Files that git neither knows nor ignores, in order; a repository in it counts as one.
    pub untracked: Vec<String>,
    /// Whether there was more than is looked at.
    pub incomplete: bool,
}

impl View {
    /// Reads what is not committed.
    ///
    /// # Errors
    /// [`crate::GitError::SpecialFile`], or a failure to read.
    pub fn changes(&self) -> Result<Changes> {
        let status = status(&self.checkout, &self.head)?;
        let mut tracked: BTreeMap<Vec<u8>, (Option<ChangeKind>, Option<ChangeKind>)> = BTreeMap::new();
        for (path, kind) in status.staged {
            tracked.entry(path).or_default().0 = Some(kind);
        }
        for (path, kind) in status.unstaged {
            tracked.entry(path).or_default().1 = Some(kind);
        }
        let text = |path: Vec<u8>| String::from_utf8_lossy(&path).into_owned();
        let mut untracked: Vec<String> = status.untracked.into_iter().map(text).collect();
        untracked.sort_unstable();
        let tracked = tracked.into_iter().map(|(path, (staged, unstaged))| Change {
            path: text(path),
            staged,
            unstaged,
        });
        Ok(Changes { tracked: tracked.collect(), untracked, incomplete: status.incomplete })
    }
}
