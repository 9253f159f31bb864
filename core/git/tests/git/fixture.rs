//! A repository in a temporary directory, and the git CLI to check it with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sandboxed_git::{self as git, CreatedWorktree, Result, WorktreeRequest};

/// Runs git without the machine's own configuration.
pub fn git_raw(dir: &Path, args: &[&str]) -> Output {
    Command::new("git")
        .current_dir(dir)
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .envs([("GIT_AUTHOR_NAME", "A"), ("GIT_AUTHOR_EMAIL", "a@example.org")])
        .envs([("GIT_COMMITTER_NAME", "A"), ("GIT_COMMITTER_EMAIL", "a@example.org")])
        .output()
        .unwrap()
}

/// Runs git, which must succeed, and returns what it printed.
pub fn git(dir: &Path, args: &[&str]) -> String {
    let out = git_raw(dir, args);
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

pub struct Lab {
    pub dir: tempfile::TempDir,
    pub repo: PathBuf,
}

impl Lab {
    /// A repository with a few files, a link, an executable, a submodule-free tree and one commit.
    pub fn new() -> Self {
        let lab = Self::empty();
        lab.write("README.md", "hello\n");
        lab.write("src/deep/er/a.txt", "one\ntwo\nthree\n");
        lab.write("src/b.txt", "b\n");
        lab.write("empty", "");
        lab.write("run.sh", "#!/bin/sh\n");
        lab.write(".gitignore", "*.log\nbuild/\n");
        std::os::unix::fs::symlink("src/b.txt", lab.repo.join("link")).unwrap();
        git(&lab.repo, &["update-index", "--add", "--chmod=+x", "run.sh"]);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(lab.repo.join("run.sh"), mode).unwrap();
        lab.commit("first");
        lab
    }

    /// A repository without a commit.
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().canonicalize().unwrap().join("repo");
        fs::create_dir(&repo).unwrap();
        git(&repo, &["init", "-q", "-b", "main"]);
        Self { dir, repo }
    }

    pub fn write(&self, path: &str, text: &str) {
        write(&self.repo, path, text);
    }

    pub fn commit(&self, message: &str) {
        commit(&self.repo, message);
    }

    pub fn out(&self, name: &str) -> PathBuf {
        self.repo.with_file_name(name)
    }

    pub fn request(&self, name: &str) -> WorktreeRequest {
        WorktreeRequest {
            repo_root: self.repo.clone(),
            branch: format!("work/{name}"),
            base: None,
            path: self.out(name),
            name: name.to_owned(),
        }
    }

    pub fn make(&self, name: &str) -> Result<CreatedWorktree> {
        git::create(&git::validate(&self.request(name))?, None)
    }

    /// How many branches and worktrees git sees, the main one included.
    pub fn counts(&self) -> (usize, usize) {
        let branches = git(&self.repo, &["branch", "--list"]).lines().count();
        (branches, git(&self.repo, &["worktree", "list"]).lines().count())
    }

    /// Nothing but what was there before: one branch, one worktree, no entry, no half-made directory.
    pub fn assert_untouched(&self) {
        assert_eq!(self.counts(), (1, 1));
        let entries = fs::read_dir(self.repo.join(".git/worktrees")).map_or(0, Iterator::count);
        assert_eq!(entries, 0, "entries left");
        let strays: Vec<_> = fs::read_dir(self.repo.parent().unwrap())
            .unwrap()
            .flatten()
            .filter(|e| e.file_name().to_string_lossy().starts_with('.'))
            .collect();
        assert!(strays.is_empty(), "{strays:?}");
    }
}

pub fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

pub fn commit(dir: &Path, message: &str) {
    git(dir, &["add", "-A"]);
    git(dir, &["commit", "-q", "-m", message]);
}
