//! The clean-up matrix: what is not proven worthless stays.

use std::fs;

use sandboxed_git::{CreatedWorktree, KeptBecause, Removal, remove};

use crate::fixture::{Lab, commit, git, git_raw, write};

type Change = fn(&Lab, &CreatedWorktree);
type Case = (&'static str, Change, fn(&KeptBecause) -> bool);

fn outcome(change: Change) -> (Removal, Lab, CreatedWorktree) {
    let lab = Lab::new();
    let made = lab.make("w").unwrap();
    change(&lab, &made);
    (remove(&made.path, &lab.repo, &made.branch).unwrap(), lab, made)
}

#[test]
fn work_that_is_nowhere_else_is_kept_and_untouched() {
    let cases: [Case; 14] = [
        ("dirty", |_, w| write(&w.path, "README.md", "x"), |k| *k == KeptBecause::Dirty(1)),
        ("deleted", |_, w| fs::remove_file(w.path.join("empty")).unwrap(), |k| *k == KeptBecause::Dirty(1)),
        ("untracked", |_, w| write(&w.path, "new/er", "x"), |k| *k == KeptBecause::Untracked(1)),
        ("staged", |_, w| stage(w), |k| *k == KeptBecause::Dirty(1)),
        ("hidden by a flag", |_, w| hide(w), |k| *k == KeptBecause::Dirty(1)),
        ("nested repository", |_, w| nest(w), |k| *k == KeptBecause::Untracked(1)),
        ("commits", |_, w| two_commits(w), |k| *k == KeptBecause::Unmerged(2)),
        ("detached commits", |_, w| detached(w), |k| *k == KeptBecause::Unmerged(2)),
        ("mid-rebase", |_, w| rebase(w), |k| *k == KeptBecause::InProgress("a rebase")),
        ("index.lock", |lab, _| entry_file(lab, "index.lock"), |k| *k == KeptBecause::Locked),
        ("git worktree lock", |lab, _| entry_file(lab, "locked"), |k| *k == KeptBecause::Locked),
        ("corrupt index", |lab, _| entry_file(lab, "index"), |k| matches!(k, KeptBecause::Unsure(_))),
        (
            "no .git file",
            |_, w| fs::remove_file(w.path.join(".git")).unwrap(),
            |k| matches!(k, KeptBecause::Unsure(_)),
        ),
        ("submodule", |_, w| submodule(w), |k| *k == KeptBecause::Submodules),
    ];
    for (what, change, expected) in cases {
        let (removal, lab, made) = outcome(change);
        let Removal::Kept { why, path } = removal else { panic!("{what}: removed") };
        assert!(expected(&why), "{what}: {why:?}");
        assert_eq!(path, made.path);
        assert!(made.path.join("src/b.txt").exists(), "{what}");
        assert!(lab.repo.join(".git/worktrees/w/HEAD").exists(), "{what}");
        assert!(git_raw(&lab.repo, &["rev-parse", "-q", "--verify", "work/w"]).status.success(), "{what}");
    }
}

#[test]
fn a_worktree_with_nothing_of_its_own_goes_wholly() {
    let cases: [(&str, Change); 4] = [
        ("clean", |_, _| {}),
        ("ignored only", |_, w| write(&w.path, "build/out.log", "x")),
        ("merged", |lab, w| {
            two_commits(w);
            git(&lab.repo, &["merge", "-q", "work/w"]);
        }),
        ("failing hook and signing on", |lab, _| {
            write(&lab.repo, ".git/hooks/reference-transaction", "#!/bin/sh\nexit 1\n");
            git(&lab.repo, &["config", "commit.gpgSign", "true"]);
        }),
    ];
    for (what, change) in cases {
        let (removal, lab, made) = outcome(change);
        assert_eq!(removal, Removal::Removed { branch_kept: false }, "{what}");
        assert!(!made.path.exists(), "{what}");
        lab.assert_untouched();
        git(&lab.repo, &["fsck", "--strict"]);
    }
}

fn stage(w: &CreatedWorktree) {
    write(&w.path, "staged", "x");
    git(&w.path, &["add", "staged"]);
}

fn hide(w: &CreatedWorktree) {
    git(&w.path, &["update-index", "--assume-unchanged", "README.md"]);
    write(&w.path, "README.md", "hidden");
}

fn nest(w: &CreatedWorktree) {
    git(&w.path, &["init", "-q", "nested"]);
}

fn two_commits(w: &CreatedWorktree) {
    for n in ["1", "2"] {
        write(&w.path, n, n);
        commit(&w.path, n);
    }
}

fn detached(w: &CreatedWorktree) {
    git(&w.path, &["switch", "-q", "--detach"]);
    two_commits(w);
}

fn rebase(w: &CreatedWorktree) {
    two_commits(w);
    git(&w.path, &["-c", "sequence.editor=sed -i 1ibreak", "rebase", "-q", "-i", "HEAD~1"]);
}

fn entry_file(lab: &Lab, name: &str) {
    fs::write(lab.repo.join(".git/worktrees/w").join(name), "x").unwrap();
}

fn submodule(w: &CreatedWorktree) {
    let head = git(&w.path, &["rev-parse", "HEAD"]);
    git(&w.path, &["update-index", "--add", "--cacheinfo", &format!("160000,{},sub", head.trim())]);
}
