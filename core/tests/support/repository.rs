//! Sample repositories, made with git itself.

use std::path::Path;
use std::process::Command;

/// Runs git in `directory` and returns what it printed, trimmed.
pub fn git(directory: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"])
        .args(args)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with two commits and a few files on `main`.
pub fn sample_repository(path: &Path) {
    std::fs::create_dir_all(path.join("src")).unwrap();
    git(path, &["init", "-q"]);
    std::fs::write(path.join("README.md"), "# Sample\n").unwrap();
    git(path, &["add", "."]);
    git(path, &["commit", "-qm", "First"]);
    for n in 0..8 {
        std::fs::write(path.join(format!("src/file{n}.txt")), format!("content {n}\n")).unwrap();
    }
    git(path, &["add", "."]);
    git(path, &["commit", "-qm", "Second"]);
}
