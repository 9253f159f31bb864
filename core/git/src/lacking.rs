//! What a worktree does not have although its commit speaks of it: files of submodules, which are other repositories,
//! and contents that Git LFS keeps elsewhere. Both are left as plain git without their programs leaves them, because
//! nothing of a repository is run: empty directories, and pointers. Whoever works there is told.

use std::path::{Path, PathBuf};

use git2::{Index, IndexEntry, Oid, Repository};

use super::attributes;

/// Paths that are named; the rest is counted.
const NAMED: usize = 5;
/// A pointer of Git LFS is a few lines.
const POINTER_BYTES: usize = 1024;
const POINTER_BEGINS: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";
/// A bigger file of attributes is not looked at.
const ATTRIBUTES_BYTES: usize = 1 << 20;

/// The mode of another repository's commit.
const SUBMODULE: u32 = 0o160_000;

/// Some paths, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paths {
    /// The first of them.
    pub first: Vec<String>,
    /// All of them.
    pub count: usize,
}

impl Paths {
    fn add(&mut self, path: String) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(path);
        }
    }

    /// `a, b and 3 more`
    pub fn named(&self) -> String {
        let more = self.count - self.first.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", self.first.join(", "))
    }
}

/// What a worktree lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lacking {
    /// Submodules: their directories are empty.
    pub submodules: Paths,
    /// Files that are pointers of Git LFS instead of their contents.
    pub lfs: Paths,
}

impl Lacking {
    /// Whether nothing is lacking.
    pub fn is_empty(&self) -> bool {
        self.submodules.count + self.lfs.count == 0
    }
}

/// Looks through the index of a worktree that was just made: it has every path, and how large each file is.
pub(super) fn lacking(repo: &Repository, index: &Path) -> Result<Lacking, git2::Error> {
    let index = Index::open(index)?;
    let mut found = Lacking::default();
    let lfs = uses_lfs(repo, &index);
    for entry in index.iter() {
        let path = || String::from_utf8_lossy(&entry.path).into_owned();
        if entry.mode == SUBMODULE {
            found.submodules.add(path());
        } else if lfs && entry.file_size as usize <= POINTER_BYTES && is_pointer(repo, entry.id) {
            found.lfs.add(path());
        }
    }
    Ok(found)
}

/// Whether attributes speak of Git LFS: those of the tree, in whichever directory, of the repository, or of the machine.
fn uses_lfs(repo: &Repository, index: &Index) -> bool {
    let of_tree = |entry: &IndexEntry| {
        let blob = || repo.find_blob(entry.id).ok().filter(|blob| blob.size() <= ATTRIBUTES_BYTES);
        entry.path.rsplit(|b| *b == b'/').next() == Some(b".gitattributes")
            && blob().is_some_and(|blob| speaks_of_lfs(blob.content()))
    };
    let of_file = |path: PathBuf| {
        let plain = std::fs::symlink_metadata(&path);
        plain.is_ok_and(|meta| meta.is_file() && meta.len() <= ATTRIBUTES_BYTES as u64)
            && std::fs::read(&path).is_ok_and(|text| speaks_of_lfs(&text))
    };
    index.iter().any(|entry| of_tree(&entry)) || attributes::files(repo).into_iter().any(of_file)
}

fn speaks_of_lfs(attributes: &[u8]) -> bool {
    String::from_utf8_lossy(attributes).contains("filter=lfs")
}

fn is_pointer(repo: &Repository, oid: Oid) -> bool {
    repo.find_blob(oid).is_ok_and(|blob| blob.content().starts_with(POINTER_BEGINS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_paths_are_named_and_the_rest_counted() {
        let mut paths = Paths::default();
        for n in 0..7 {
            paths.add(n.to_string());
        }
        assert_eq!(paths.named(), "0, 1, 2, 3, 4 and 2 more");
        assert_eq!(Paths { first: vec!["a".into()], count: 1 }.named(), "a");
    }
}
