//! What differs between two states of a repository, file by file: only one file's two sides are in memory at a time.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use git2::{DiffOptions, Index, Oid, Tree};

use super::View;
use crate::diff::{blob_of, compare, content_of};
use crate::error::Result;
use crate::facts::MAX_TEXT;
use crate::status::status;
use crate::workdir::{Content, Workdir};

/// Two states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Between {
    /// The old side: a commit, or with `...` at its end the commit at which the new side left it. Empty for HEAD.
    pub base: String,
    /// The new side.
    pub new: Side,
}

/// The new side of a difference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Side {
    /// The files as they are, untracked ones not looked at.
    #[default]
    Files,
    /// What the next commit would have.
    Index,
    /// A commit.
    Commit(String),
}

/// A difference that is read file by file.
pub struct Difference<'a> {
    view: &'a View,
    old: Option<Tree<'a>>,
    new: New<'a>,
    paths: Vec<Vec<u8>>,
}

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDifference {
    /// Relative to the top.
    pub path: String,
    /// Unified text; of a file that is binary or over 1 MiB only that.
    pub text: String,
    /// Lines added.
    pub insertions: usize,
    /// Lines removed.
    pub deletions: usize,
}

enum New<'a> {
    Files(Workdir),
    Index(Box<Index>),
    Tree(Tree<'a>),
}

impl View {
    /// Finds the files that differ. `only`: paths relative to the top, files or directories; all when empty.
    ///
    /// # Errors
    /// [`crate::GitError::UnknownBase`], or a failure to read.
    pub fn difference(&self, between: &Between, only: &[String]) -> Result<Difference<'_>> {
        let fail = self.fail("reading the difference");
        let repo = &self.checkout.repo;
        let tree = |oid: Oid| repo.find_commit(oid).and_then(|commit| commit.tree());
        let new_oid = match &between.new {
            Side::Commit(name) => Some(self.commit(name)?),
            Side::Files | Side::Index => self.head.oid,
        };
        let old = self.base(&between.base, new_oid)?.map(tree).transpose().map_err(&fail)?;
        let new = match (&between.new, new_oid) {
            (Side::Commit(_), Some(oid)) => New::Tree(tree(oid).map_err(&fail)?),
            (Side::Index, _) => New::Index(Box::new(repo.index().map_err(&fail)?)),
            _ => New::Files(Workdir::open(&self.checkout.workdir)?),
        };
        let mut paths = self.changed(old.as_ref(), &new).map_err(&fail)?;
        if let New::Files(_) = new {
            paths.extend(status(&self.checkout, &self.head)?.dirty);
        }
        let wanted = |path: &Vec<u8>| {
            let path = Path::new(OsStr::from_bytes(path));
            only.is_empty() || only.iter().any(|prefix| path.starts_with(prefix))
        };
        let paths = paths.into_iter().filter(wanted).collect();
        Ok(Difference { view: self, old, new, paths })
    }

    fn base(&self, name: &str, new: Option<Oid>) -> Result<Option<Oid>> {
        if name.is_empty() {
            return Ok(self.head.oid);
        }
        let (name, fork) = name.strip_suffix("...").map_or((name, false), |name| (name, true));
        let base = self.commit(name)?;
        match new.filter(|_| fork) {
            Some(new) => {
                let found = self.checkout.repo.merge_base(base, new);
                found.map(Some).map_err(self.fail("finding the common commit"))
            }
            None => Ok(Some(base)),
        }
    }

    fn changed(&self, old: Option<&Tree<'_>>, new: &New<'_>) -> Result<BTreeSet<Vec<u8>>, git2::Error> {
        let mut options = DiffOptions::new();
        options.ignore_submodules(true).skip_binary_check(true);
        let repo = &self.checkout.repo;
        let diff = match new {
            New::Tree(tree) => repo.diff_tree_to_tree(old, Some(tree), Some(&mut options))?,
            New::Index(index) => repo.diff_tree_to_index(old, Some(index), Some(&mut options))?,
            New::Files(_) => repo.diff_tree_to_index(old, Some(&repo.index()?), Some(&mut options))?,
        };
        let mut paths = BTreeSet::new();
        for delta in diff.deltas() {
            let files = [delta.old_file(), delta.new_file()];
            paths.extend(files.iter().filter_map(|file| file.path_bytes()).map(<[u8]>::to_vec));
        }
        Ok(paths)
    }
}

impl Difference<'_> {
    /// How many files may differ. One that differs only in what git does not store counts as well.
    pub fn files(&self) -> usize {
        self.paths.len()
    }

    /// Reads the files one after the other.
    pub fn each(&self) -> impl Iterator<Item = Result<FileDifference>> + '_ {
        let fail = self.view.fail("reading the difference");
        let read = self.paths.iter().map(|path| self.file(path));
        read.map(move |file| file.map_err(&fail)).filter(|file| !matches!(file, Ok(f) if f.text.is_empty()))
    }

    fn file(&self, path: &[u8]) -> Result<FileDifference, git2::Error> {
        let repo = &self.view.checkout.repo;
        let name = Path::new(OsStr::from_bytes(path));
        let old = self.old.as_ref().map_or(Ok(Content::Missing), |tree| blob_of(repo, tree, name))?;
        let new = match &self.new {
            New::Files(workdir) => workdir.content(path, MAX_TEXT),
            New::Tree(tree) => blob_of(repo, tree, name)?,
            New::Index(index) => match index.get_path(name, 0) {
                Some(entry) if entry.mode != 0o160_000 => content_of(repo, entry.id)?,
                Some(_) => Content::Other,
                None => Content::Missing,
            },
        };
        let text = compare(path, &old, &new)?;
        let body = || text.lines().skip_while(|line| !line.starts_with("@@"));
        let count = |sign: char| body().filter(|line| line.starts_with(sign)).count();
        let (insertions, deletions) = (count('+'), count('-'));
        Ok(FileDifference { path: String::from_utf8_lossy(path).into_owned(), text, insertions, deletions })
    }
}
