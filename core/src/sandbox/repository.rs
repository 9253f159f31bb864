//! Making a repository ready to be bound: finds its git directory and makes what a worker writes into.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use sandboxed_domain::sandbox::{Bind, RepositoryLayout, repository_binds};

use super::error::SandboxError;

/// The binds of the repository at `path` (its top, a linked worktree's top, or a bare one). Makes the directories that
/// are writable inside, owned as the git directory is.
///
/// # Errors
/// [`SandboxError::NotARepository`]; also when one of these directories is a link, which could lead anywhere.
pub fn prepare_repository(path: &Path) -> Result<Vec<Bind>, SandboxError> {
    let layout = find_layout(path)?;
    let owner = fs::metadata(&layout.git_dir).map_err(SandboxError::io("look at", &layout.git_dir))?;
    for dir in layout.writable_dirs() {
        match fs::symlink_metadata(&dir) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(not_one(&dir, "it is not a directory of its own")),
            Err(_) => {
                let made =
                    fs::create_dir(&dir).and_then(|()| chown(&dir, Some(owner.uid()), Some(owner.gid())));
                made.map_err(SandboxError::io("create", &dir))?;
            }
        }
    }
    Ok(repository_binds(&layout))
}

fn not_one(path: &Path, reason: &'static str) -> SandboxError {
    SandboxError::NotARepository { path: path.to_owned(), reason }
}

fn find_layout(path: &Path) -> Result<RepositoryLayout, SandboxError> {
    let top = fs::canonicalize(path).map_err(|_| not_one(path, "it is not there"))?;
    let dot_git = top.join(".git");
    match fs::symlink_metadata(&dot_git) {
        Ok(found) if found.is_dir() => Ok(RepositoryLayout { worktree: Some(top), git_dir: dot_git }),
        Ok(found) if found.is_file() => {
            let git_dir = common_dir(&top, &dot_git)?;
            Ok(RepositoryLayout { worktree: Some(top), git_dir })
        }
        Ok(_) => Err(not_one(path, "its .git is a link")),
        Err(_) if ["HEAD", "objects", "refs"].iter().all(|name| top.join(name).exists()) => {
            Ok(RepositoryLayout { worktree: None, git_dir: top })
        }
        Err(_) => Err(not_one(path, "it has no .git")),
    }
}

/// A linked worktree's `.git` names its record, which names the common directory.
fn common_dir(top: &Path, dot_git: &Path) -> Result<PathBuf, SandboxError> {
    let text = fs::read_to_string(dot_git).map_err(SandboxError::io("read", dot_git))?;
    let record =
        text.trim().strip_prefix("gitdir: ").ok_or_else(|| not_one(dot_git, "it names no gitdir"))?;
    let record = top.join(record);
    let common = fs::read_to_string(record.join("commondir")).unwrap_or_else(|_| ".".to_owned());
    let common = record.join(common.trim());
    fs::canonicalize(&common).map_err(SandboxError::io("find", &common))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn git(dir: &Path, arguments: &[&str]) {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(arguments)
            .current_dir(dir);
        assert!(command.status().unwrap().success(), "{arguments:?}");
    }

    #[test]
    fn a_repository_its_worktree_and_a_bare_one_share_the_rules() {
        let dir = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(dir.path()).unwrap();
        git(&top, &["init", "-q", "main"]);
        let main = top.join("main");
        git(&main, &["commit", "-q", "--allow-empty", "-m", "first"]);
        git(&main, &["worktree", "add", "-q", "../linked"]);
        git(&top, &["clone", "-q", "--bare", "main", "bare.git"]);
        let git_dir = main.join(".git");
        for path in ["main", "linked"] {
            let binds = prepare_repository(&top.join(path)).unwrap();
            assert_eq!(binds[0].target, top.join(path));
            assert_eq!((&binds[1].target, binds[1].read_only), (&git_dir, true));
            assert!(binds[2..].iter().all(|b| !b.read_only && b.source.is_dir()));
        }
        assert!(prepare_repository(&top.join("bare.git")).unwrap()[0].read_only);
        let error = prepare_repository(&top).unwrap_err();
        assert!(matches!(error, SandboxError::NotARepository { .. }), "{error}");
    }

    #[test]
    fn a_linked_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q"]);
        let refs = dir.path().join(".git/refs");
        fs::remove_dir_all(&refs).unwrap();
        std::os::unix::fs::symlink("/etc", &refs).unwrap();
        let error = prepare_repository(dir.path()).unwrap_err();
        assert!(matches!(error, SandboxError::NotARepository { .. }), "{error}");
    }
}
