//! Facts and diffs of a worker's work.

use std::fs;

use sandboxed_git::{diff_page, facts};

use crate::fixture::{Lab, commit, git, write};

#[test]
fn facts_count_what_was_committed_changed_and_added() {
    let lab = Lab::new();
    let made = lab.make("w").unwrap();
    let clean = facts(&made.path, &lab.repo, Some(&made.base_oid), Some(&made.branch)).unwrap();
    assert_eq!((clean.dirty, clean.untracked, clean.commits_ahead, clean.pushed), (0, 0, 0, None));
    write(&made.path, "src/b.txt", "b\nc\nd\n");
    write(&made.path, "new.txt", "1\n2\n");
    commit(&made.path, "one");
    fs::remove_file(made.path.join("new.txt")).unwrap();
    commit(&made.path, "two");
    write(&made.path, "README.md", "changed\n");
    write(&made.path, "staged", "x\n");
    git(&made.path, &["add", "staged"]);
    fs::remove_file(made.path.join("empty")).unwrap();
    write(&made.path, "plain/untracked/one", "");
    write(&made.path, "plain/untracked/two", "");
    write(&made.path, "noise.log", "");
    write(&made.path, "build/out", "");
    let facts = facts(&made.path, &lab.repo, Some(&made.base_oid), Some(&made.branch)).unwrap();
    assert_eq!(facts.branch.as_deref(), Some("work/w"));
    assert_eq!(facts.base.as_deref(), Some(made.base_oid.as_str()));
    assert_eq!(facts.head, git(&made.path, &["rev-parse", "HEAD"]).trim());
    assert_eq!((facts.commits_ahead, facts.files_changed, facts.insertions, facts.deletions), (2, 1, 2, 0));
    assert_eq!((facts.dirty, facts.untracked), (3, 2));
}

#[test]
fn the_branch_is_what_it_is_now() {
    let lab = Lab::new();
    let made = lab.make("w").unwrap();
    let branch = || facts(&made.path, &lab.repo, Some(&made.base_oid), Some(&made.branch)).unwrap().branch;
    git(&made.path, &["switch", "-q", "-c", "other"]);
    assert_eq!(branch().as_deref(), Some("other"));
    git(&made.path, &["switch", "-q", "--detach"]);
    assert_eq!(branch(), None);
}

#[test]
fn pushed_means_that_a_remote_tracking_branch_has_the_head() {
    let lab = Lab::new();
    git(lab.dir.path(), &["init", "-q", "--bare", "far"]);
    git(&lab.repo, &["remote", "add", "origin", lab.out("far").to_str().unwrap()]);
    let made = lab.make("w").unwrap();
    let pushed = || facts(&made.path, &lab.repo, None, None).unwrap().pushed;
    assert_eq!(pushed(), Some(false));
    git(&made.path, &["push", "-q", "origin", "work/w"]);
    assert_eq!(pushed(), Some(true));
    write(&made.path, "x", "x");
    commit(&made.path, "more");
    assert_eq!(pushed(), Some(false));
}

#[test]
fn a_plain_directory_has_the_facts_of_its_checkout() {
    let lab = Lab::new();
    lab.write("src/b.txt", "changed\n");
    let facts = facts(&lab.repo.join("src/deep"), &lab.repo, None, None).unwrap();
    assert_eq!((facts.branch.as_deref(), facts.dirty, facts.untracked), (Some("main"), 1, 0));
}

#[test]
fn flags_in_the_index_do_not_hide_changes() {
    let lab = Lab::new();
    let made = lab.make("w").unwrap();
    git(&made.path, &["update-index", "--assume-unchanged", "README.md"]);
    git(&made.path, &["update-index", "--skip-worktree", "src/b.txt"]);
    write(&made.path, "README.md", "hidden\n");
    write(&made.path, "src/b.txt", "hidden\n");
    assert_eq!(git(&made.path, &["status", "--porcelain"]), "", "git itself is fooled");
    assert_eq!(facts(&made.path, &lab.repo, None, None).unwrap().dirty, 2);
}

#[test]
fn pages_of_the_diff_join_to_the_whole_and_show_committed_and_uncommitted_work() {
    let lab = Lab::new();
    let made = lab.make("w").unwrap();
    write(&made.path, "committed.txt", "grün\nüber\n");
    commit(&made.path, "one");
    write(&made.path, "src/b.txt", "b\nuncommitted ß\n");
    fs::remove_file(made.path.join("README.md")).unwrap();
    write(&made.path, "huge", &"x".repeat(2 << 20));
    git(&made.path, &["add", "huge"]);
    write(&made.path, "nobody-knows", "secret content");
    let page = |cursor: Option<&str>, max| {
        diff_page(&made.path, &lab.repo, Some(&made.base_oid), cursor, max).unwrap()
    };
    let (whole, end) = page(None, 1 << 20);
    assert_eq!(end, None);
    for part in
        ["+grün", "+uncommitted ß", "-hello", "deleted file", "untracked: nobody-knows\n", "binary or larger"]
    {
        assert!(whole.contains(part), "{part} in {whole}");
    }
    assert!(!whole.contains("secret content") && !whole.contains("xxxx"));
    let (mut joined, mut cursor) = (String::new(), None);
    loop {
        let (text, next) = page(cursor.as_deref(), 37);
        assert!(text.len() <= 37);
        joined.push_str(&text);
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(joined, whole);
}
