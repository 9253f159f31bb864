//! What a worktree does not have although its commit speaks of it: files of submodules, which are other repositories,
//! and contents that Git LFS keeps elsewhere. Both are left as plain git without their programs leaves them, because
//! nothing of a repository is run: empty directories, and pointers. Whoever works there is told.

use git2::{ObjectType, Oid, Repository, Tree, TreeWalkMode, TreeWalkResult};

/// Paths that are named; the rest is counted.
const NAMED: usize = 5;
/// A pointer of Git LFS is a few lines.
const POINTER_BYTES: usize = 1024;
const POINTER_BEGINS: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";
/// A bigger file of attributes is not looked at.
const ATTRIBUTES_BYTES: usize = 1 << 20;

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

/// Looks through a commit's tree, but only where files at its top (`.gitmodules`, `.gitattributes`) say that there may
/// be something.
pub(super) fn lacking(repo: &Repository, commit: Oid) -> Result<Lacking, git2::Error> {
    let tree = repo.find_commit(commit)?.tree()?;
    let submodules = tree.get_name(".gitmodules").is_some();
    let lfs = uses_lfs(repo, &tree);
    let mut found = Lacking::default();
    if !submodules && !lfs {
        return Ok(found);
    }
    tree.walk(TreeWalkMode::PreOrder, |directory, entry| {
        let path = || format!("{directory}{}", String::from_utf8_lossy(entry.name_bytes()));
        match entry.kind() {
            Some(ObjectType::Commit) => found.submodules.add(path()),
            Some(ObjectType::Blob) if lfs && is_pointer(repo, entry.id()) => found.lfs.add(path()),
            _ => {}
        }
        TreeWalkResult::Ok
    })?;
    Ok(found)
}

fn uses_lfs(repo: &Repository, tree: &Tree<'_>) -> bool {
    let Some(entry) = tree.get_name(".gitattributes") else { return false };
    let Ok(blob) = repo.find_blob(entry.id()) else { return false };
    blob.size() <= ATTRIBUTES_BYTES && String::from_utf8_lossy(blob.content()).contains("filter=lfs")
}

fn is_pointer(repo: &Repository, oid: Oid) -> bool {
    // The header tells the size without reading what may be large.
    let small = repo.odb().and_then(|odb| odb.read_header(oid)).is_ok_and(|(size, _)| size <= POINTER_BYTES);
    small && repo.find_blob(oid).is_ok_and(|blob| blob.content().starts_with(POINTER_BEGINS))
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
