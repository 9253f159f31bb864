//! Merging a worker's branch: all of it or nothing.

use std::fs;

use sandboxed_git::{GitError, MergeKind, Merged, merge_branch};

use crate::fixture::{Lab, commit, git, write};

fn worker(lab: &Lab, file: &str, text: &str) -> String {
    let made = lab.make("w").unwrap();
    write(&made.path, file, text);
    commit(&made.path, "work");
    made.branch
}

fn kind(merged: &Merged) -> MergeKind {
    match merged {
        Merged::Done { kind, .. } => *kind,
        Merged::Conflict { paths } => panic!("conflict in {paths:?}"),
    }
}

#[test]
fn an_unmoved_branch_moves_forward_and_then_is_up_to_date() {
    let lab = Lab::new();
    let branch = worker(&lab, "src/b.txt", "new\n");
    assert_eq!(kind(&merge_branch(&lab.repo, &branch, "m").unwrap()), MergeKind::FastForward);
    assert_eq!(fs::read_to_string(lab.repo.join("src/b.txt")).unwrap(), "new\n");
    assert_eq!(git(&lab.repo, &["status", "--porcelain"]), "");
    assert_eq!(kind(&merge_branch(&lab.repo, &branch, "m").unwrap()), MergeKind::UpToDate);
}

#[test]
fn diverged_branches_get_a_merge_commit() {
    let lab = Lab::new();
    let branch = worker(&lab, "new.txt", "new\n");
    fs::remove_file(lab.repo.join("empty")).unwrap();
    lab.commit("human");
    assert_eq!(kind(&merge_branch(&lab.repo, &branch, "Merge the work").unwrap()), MergeKind::Merge);
    assert!(lab.repo.join("new.txt").exists() && !lab.repo.join("empty").exists());
    assert_eq!(git(&lab.repo, &["status", "--porcelain"]), "");
    assert_eq!(git(&lab.repo, &["log", "-1", "--format=%s %p"]).split_whitespace().count(), 5);
    git(&lab.repo, &["fsck", "--strict"]);
}

#[test]
fn a_conflict_names_its_paths_and_changes_nothing() {
    let lab = Lab::new();
    let branch = worker(&lab, "src/b.txt", "theirs\n");
    lab.write("src/b.txt", "ours\n");
    lab.commit("human");
    let before = git(&lab.repo, &["rev-parse", "HEAD"]);
    let merged = merge_branch(&lab.repo, &branch, "m").unwrap();
    assert_eq!(merged, Merged::Conflict { paths: vec!["src/b.txt".into()] });
    assert_eq!(git(&lab.repo, &["rev-parse", "HEAD"]), before);
    assert_eq!(git(&lab.repo, &["status", "--porcelain"]), "");
}

#[test]
fn untracked_files_in_the_way_are_never_overwritten() {
    let lab = Lab::new();
    let branch = worker(&lab, "new.txt", "theirs\n");
    lab.write("new.txt", "mine\n");
    let merged = merge_branch(&lab.repo, &branch, "m").unwrap();
    assert_eq!(merged, Merged::Conflict { paths: vec!["new.txt".into()] });
    assert_eq!(fs::read_to_string(lab.repo.join("new.txt")).unwrap(), "mine\n");
    assert_eq!(git(&lab.repo, &["status", "--porcelain"]), "?? new.txt\n");
}

#[test]
fn a_dirty_detached_or_busy_checkout_is_refused() {
    let lab = Lab::new();
    let branch = worker(&lab, "new.txt", "new\n");
    assert!(matches!(merge_branch(&lab.repo, "nothing", "m"), Err(GitError::UnknownBranch { .. })));
    lab.write("README.md", "dirty\n");
    assert!(matches!(merge_branch(&lab.repo, &branch, "m"), Err(GitError::MainDirty { files: 1, .. })));
    git(&lab.repo, &["checkout", "-q", "."]);
    fs::write(lab.repo.join(".git/MERGE_HEAD"), "").unwrap();
    assert!(matches!(merge_branch(&lab.repo, &branch, "m"), Err(GitError::InProgress { .. })));
    fs::remove_file(lab.repo.join(".git/MERGE_HEAD")).unwrap();
    git(&lab.repo, &["checkout", "-q", "--detach"]);
    assert!(matches!(merge_branch(&lab.repo, &branch, "m"), Err(GitError::DetachedHead { .. })));
}
