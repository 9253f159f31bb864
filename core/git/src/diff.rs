//! Everything a worker changed since its base, committed or not, as pages of unified text.
//!
//! Nothing is kept between pages: a cursor is a byte offset into the text, which is made again file by file, and only
//! one file's two sides are in memory at a time.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use git2::{DiffOptions, Oid, Patch, Repository, Tree};

use super::checkout::Checkout;
use super::error::{GitError, Result};
use super::facts::MAX_TEXT;
use super::status::{Status, status};
use super::workdir::{Content, Workdir};

/// One page of the difference between `base_oid` (HEAD's commit when unusable) and the files of `worktree`, at most
/// `max_bytes` long (at least one character), and the cursor of the next page. Files that git does not know are listed
/// by name at the end; a side over 1 MiB or with a NUL byte is named, not shown.
///
/// # Errors
/// As [`super::facts()`]; [`GitError::BadCursor`].
pub fn diff_page(
    worktree: &Path,
    repo_root: &Path,
    base_oid: Option<&str>,
    cursor: Option<&str>,
    max_bytes: usize,
) -> Result<(String, Option<String>)> {
    let mut page = Page::starting_at(cursor, max_bytes)?;
    let checkout = Checkout::open(worktree, repo_root)?;
    let fail = |e| GitError::git("reading the difference", &checkout.workdir, e);
    let head = checkout.head()?;
    let status = status(&checkout, &head)?;
    let base =
        base_oid.and_then(|t| Oid::from_str(t).ok()).filter(|oid| checkout.repo.find_commit(*oid).is_ok());
    let tree = base
        .or(head.oid)
        .map(|oid| checkout.repo.find_commit(oid).and_then(|c| c.tree()))
        .transpose()
        .map_err(fail)?;
    let workdir = Workdir::open(&checkout.workdir)?;
    for path in changed(&checkout.repo, tree.as_ref(), &status).map_err(fail)? {
        let text = file_text(&checkout.repo, tree.as_ref(), &workdir, &path).map_err(fail)?;
        if !page.push(&text) {
            return Ok(page.finish());
        }
    }
    let mut untracked = status.untracked;
    untracked.sort_unstable();
    for path in untracked {
        if !page.push(&format!("untracked: {}\n", String::from_utf8_lossy(&path))) {
            break;
        }
    }
    Ok(page.finish())
}

/// Paths that differ between the base and the index, or the index and the files.
fn changed(
    repo: &Repository,
    base: Option<&Tree<'_>>,
    status: &Status,
) -> std::result::Result<BTreeSet<Vec<u8>>, git2::Error> {
    let mut options = DiffOptions::new();
    options.ignore_submodules(true).skip_binary_check(true);
    let index = repo.index()?;
    let committed = repo.diff_tree_to_index(base, Some(&index), Some(&mut options))?;
    let mut paths: BTreeSet<Vec<u8>> = status.dirty.iter().cloned().collect();
    for delta in committed.deltas() {
        paths.extend(
            [delta.old_file(), delta.new_file()].iter().filter_map(|f| f.path_bytes()).map(<[u8]>::to_vec),
        );
    }
    Ok(paths)
}

/// The difference of one file; empty when both sides are the same.
fn file_text(
    repo: &Repository,
    base: Option<&Tree<'_>>,
    workdir: &Workdir,
    path: &[u8],
) -> std::result::Result<String, git2::Error> {
    let name = Path::new(std::ffi::OsStr::from_bytes(path));
    let old = base.map_or(Ok(Content::Missing), |tree| blob_of(repo, tree, name))?;
    compare(path, &old, &workdir.content(path, MAX_TEXT))
}

/// The difference of two contents of one file.
pub(super) fn compare(path: &[u8], old: &Content, new: &Content) -> std::result::Result<String, git2::Error> {
    let name = Path::new(std::ffi::OsStr::from_bytes(path));
    let shown = String::from_utf8_lossy(path);
    let (old, new) = match (side(old), side(new)) {
        (Some(old), Some(new)) => (old, new),
        _ => return Ok(format!("diff --git a/{shown} b/{shown}\nbinary or larger than {MAX_TEXT} bytes\n")),
    };
    if old == new {
        return Ok(String::new());
    }
    let mut patch =
        Patch::from_buffers(old.unwrap_or(b""), Some(name), new.unwrap_or(b""), Some(name), None)?;
    let text = String::from_utf8_lossy(&patch.to_buf()?).into_owned();
    Ok(match (old, new) {
        (None, Some(_)) => with_header(&text, "new file"),
        (Some(_), None) => with_header(&text, "deleted file"),
        _ => text,
    })
}

/// The bytes of a side that can be shown; `Some(None)` when there is no file; `None` when it cannot be shown.
fn side(content: &Content) -> Option<Option<&[u8]>> {
    match content {
        Content::Missing => Some(None),
        Content::Bytes(bytes) if !bytes.contains(&0) => Some(Some(bytes)),
        Content::Bytes(_) | Content::TooLarge | Content::Other => None,
    }
}

pub(super) fn blob_of(
    repo: &Repository,
    tree: &Tree<'_>,
    name: &Path,
) -> std::result::Result<Content, git2::Error> {
    let Ok(entry) = tree.get_path(name) else { return Ok(Content::Missing) };
    if entry.kind() != Some(git2::ObjectType::Blob) {
        return Ok(Content::Other);
    }
    content_of(repo, entry.id())
}

/// The bytes of a blob that is small enough to be shown.
pub(super) fn content_of(repo: &Repository, blob: Oid) -> std::result::Result<Content, git2::Error> {
    let (size, _) = repo.odb()?.read_header(blob)?;
    if size as u64 > MAX_TEXT {
        return Ok(Content::TooLarge);
    }
    Ok(Content::Bytes(repo.find_blob(blob)?.content().to_vec()))
}

/// Says after the first line what kind of change it is; libgit2 does not know, comparing two buffers.
fn with_header(text: &str, kind: &str) -> String {
    text.split_once('\n').map_or_else(|| text.to_owned(), |(first, rest)| format!("{first}\n{kind}\n{rest}"))
}

/// Collects one page of a longer text.
struct Page {
    skip: usize,
    start: usize,
    max: usize,
    text: String,
    more: bool,
}

impl Page {
    fn starting_at(cursor: Option<&str>, max: usize) -> Result<Self> {
        let bad = |cursor: &str| GitError::BadCursor { cursor: cursor.to_owned() };
        let start = cursor.map_or(Ok(0), |c| c.parse::<usize>().map_err(|_| bad(c)))?;
        Ok(Self { skip: start, start, max: max.max(4), text: String::new(), more: false })
    }

    /// Adds text; false when the page is full and there is more.
    fn push(&mut self, text: &str) -> bool {
        let skipped = self.skip.min(text.len());
        self.skip -= skipped;
        let mut from = skipped;
        // A cursor of ours is at a character; another's, or one for a tree that changed meanwhile, need not be.
        while !text.is_char_boundary(from) {
            from += 1;
            self.start += 1;
        }
        let rest = &text[from..];
        let mut room = (self.max - self.text.len()).min(rest.len());
        while !rest.is_char_boundary(room) {
            room -= 1;
        }
        self.text.push_str(&rest[..room]);
        self.more = room < rest.len();
        !self.more
    }

    fn finish(self) -> (String, Option<String>) {
        let next = self.more.then(|| (self.start + self.text.len()).to_string());
        (self.text, next)
    }
}

#[cfg(test)]
mod tests {
    use super::Page;
    use proptest::prelude::*;

    fn page(parts: &[String], cursor: Option<&str>, max: usize) -> (String, Option<String>) {
        let mut page = Page::starting_at(cursor, max).unwrap();
        for part in parts {
            if !page.push(part) {
                break;
            }
        }
        page.finish()
    }

    proptest! {
        #[test]
        fn pages_joined_are_the_text_whatever_their_size(parts in prop::collection::vec(".{0,20}", 0..8), max in 4usize..30) {
            let mut joined = String::new();
            let mut cursor = None;
            loop {
                let (text, next) = page(&parts, cursor.as_deref(), max);
                prop_assert!(text.len() <= max);
                joined.push_str(&text);
                match next {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
            prop_assert_eq!(joined, parts.concat());
        }
    }

    #[test]
    fn a_cursor_that_is_no_number_is_refused() {
        assert!(Page::starting_at(Some("x"), 10).is_err());
    }
}
