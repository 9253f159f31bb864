//! What a new Library begins with: the skills of the platform, and a word on the folders. A newer build renews what
//! nobody changed since.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use git2::{ObjectType, Oid, Repository};
use sandboxed_domain::api::{ApiError, LibraryCommitParams, LibraryWriteParams};
use sandboxed_domain::harness::{FileStep, file_step};

use super::error::git_error;
use super::read::read_file;
use super::{change, edit};
use crate::store::io_error;

/// Message of the first commit.
pub(super) const FIRST_COMMIT: &str = "Start the Library";
/// Message of a later one of the platform's.
const RENEWAL: &str = "Renew what the platform brings";
/// Most commits that are looked at for what the platform wrote.
const MOST_COMMITS: usize = 10_000;

const FILES: [(&str, &str); 3] = [
    ("README.md", include_str!("starter.md")),
    ("skills/orchestrator-boss/SKILL.md", include_str!("../../../skills/orchestrator-boss/SKILL.md")),
    ("skills/orchestrator-worker/SKILL.md", include_str!("../../../skills/orchestrator-worker/SKILL.md")),
];

/// Whether anything but the repository itself is there.
pub(super) fn is_empty(root: &Path) -> bool {
    fs::read_dir(root)
        .is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(|e| e.file_name() == ".git")))
}

/// Writes the files of a new Library.
pub(super) fn write(root: &Path) -> Result<(), ApiError> {
    for (name, text) in FILES {
        let path = root.join(name);
        let parent = path.parent().unwrap_or(root);
        fs::create_dir_all(parent).map_err(|error| io_error(parent, &error))?;
        fs::write(&path, text).map_err(|error| io_error(&path, &error))?;
    }
    Ok(())
}

/// Renews the files of which this build has a newer form, in a commit of its own: those that are as the platform last
/// wrote them. What was changed or removed stays so.
pub(super) fn renew(repo: &Repository, root: &Path) -> Result<(), ApiError> {
    let failed = |error: git2::Error| git_error("looking for what the platform wrote", root, &error);
    let wrote = last_written(repo).map_err(failed)?;
    let id = |text: &str| Oid::hash_object(ObjectType::Blob, text.as_bytes()).map(|oid| oid.to_string());
    let mut renewed = Vec::new();
    for (path, text) in FILES {
        let Some(wrote) = wrote.get(path).map(Oid::to_string) else { continue };
        let Ok(found) = read_file(root, path).content else { continue };
        let (found, wanted) = (id(&found).map_err(failed)?, id(text).map_err(failed)?);
        match file_step(Some(&found), &wanted, Some(&wrote), true) {
            FileStep::Write => {
                let content = text.to_owned();
                edit::put(root, &LibraryWriteParams { path: path.to_owned(), content, executable: None })?;
                renewed.push(path.to_owned());
            }
            // Said once a start, and only while there is something newer.
            FileStep::Keep if wanted != wrote => {
                tracing::warn!(path, "changed in the Library, so this build's newer one is not brought in");
            }
            _ => {}
        }
    }
    if renewed.is_empty() {
        return Ok(());
    }
    let params = LibraryCommitParams { message: RENEWAL.to_owned(), paths: renewed };
    change::commit(repo, root, &params).map(drop)
}

/// What the platform's newest commit that changed a file made of it, by path.
fn last_written(repo: &Repository) -> Result<BTreeMap<&'static str, Oid>, git2::Error> {
    let mut found = BTreeMap::new();
    let mut walk = repo.revwalk()?;
    walk.push_head()?;
    for oid in walk.take(MOST_COMMITS) {
        let commit = repo.find_commit(oid?)?;
        if ![Some(FIRST_COMMIT), Some(RENEWAL)].contains(&commit.message().map(str::trim)) {
            continue;
        }
        let before = commit.parent(0).ok().map(|parent| parent.tree()).transpose()?;
        let after = commit.tree()?;
        for (path, _) in FILES {
            let blob = |tree: &git2::Tree<'_>| tree.get_path(Path::new(path)).ok().map(|entry| entry.id());
            let (was, is) = (before.as_ref().and_then(blob), blob(&after));
            if let Some(is) = is.filter(|_| was != is) {
                found.entry(path).or_insert(is);
            }
        }
        if found.len() == FILES.len() {
            break;
        }
    }
    Ok(found)
}
