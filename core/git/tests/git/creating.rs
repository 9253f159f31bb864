//! Creating worktrees: right content, refusals, nothing half-made.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use sandboxed_domain::api::ErrorCode;
use sandboxed_git::{self as ours, GitError, Route, Spares, WorktreeRequest};

use crate::fixture::{Lab, git, git_raw, write};

fn assert_sound(lab: &Lab, path: &Path) {
    assert_eq!(git(path, &["status", "--porcelain", "--ignored"]), "");
    assert_eq!(git(path, &["diff-files"]), "");
    git(&lab.repo, &["fsck", "--strict"]);
    assert_eq!(fs::read_link(path.join("link")).unwrap(), Path::new("src/b.txt"));
    assert_eq!(fs::metadata(path.join("run.sh")).unwrap().permissions().mode() & 0o111, 0o111);
    assert_eq!(fs::metadata(path.join("README.md")).unwrap().permissions().mode() & 0o111, 0);
    assert_eq!(fs::metadata(path.join("README.md")).unwrap().nlink(), 1, "no hard links");
}

/// Makes the main checkout's index older than "now", so that its stat data proves something.
fn settle(lab: &Lab) {
    let past = std::time::SystemTime::now() - Duration::from_secs(60);
    for file in ["README.md", "src/b.txt", "src/deep/er/a.txt", "run.sh"] {
        fs::File::options().append(true).open(lab.repo.join(file)).unwrap().set_modified(past).unwrap();
    }
    std::thread::sleep(Duration::from_millis(1_050)); // change times have the kernel's clock, which nothing sets
    git(&lab.repo, &["update-index", "--refresh", "--force-write-index"]);
}

#[test]
fn a_new_worktree_is_clean_whole_and_without_upstream() {
    let lab = Lab::new();
    let config = fs::read(lab.repo.join(".git/config")).unwrap();
    let made = lab.make("w1").unwrap();
    assert_eq!(made.route, Route::Written);
    assert_sound(&lab, &made.path);
    assert_eq!(git(&made.path, &["branch", "--show-current"]), "work/w1\n");
    assert_eq!(git(&made.path, &["rev-parse", "HEAD"]).trim(), made.base_oid);
    assert_eq!(fs::read(lab.repo.join(".git/config")).unwrap(), config, "no config was written");
    for dir in ["objects", "refs/heads", "logs/refs/heads", "worktrees"] {
        assert!(lab.repo.join(".git").join(dir).is_dir(), "{dir}");
    }
    git(&lab.repo, &["worktree", "prune", "--expire=now"]);
    assert_eq!(lab.counts(), (2, 2));
    write(&made.path, "new", "x");
    crate::fixture::commit(&made.path, "work");
    git(&lab.repo, &["worktree", "remove", made.path.to_str().unwrap()]);
}

#[test]
fn files_copied_from_a_clean_checkout_are_the_commits_and_changed_ones_are_not_taken() {
    let lab = Lab::new();
    settle(&lab);
    // As sly as can be: same length, and the old modification time put back. Only the change time tells.
    let victim = lab.repo.join("README.md");
    let time = fs::metadata(&victim).unwrap().modified().unwrap();
    fs::write(&victim, "HELLO\n").unwrap();
    fs::File::options().append(true).open(&victim).unwrap().set_modified(time).unwrap();
    let made = lab.make("w1").unwrap();
    assert_eq!(fs::read_to_string(made.path.join("README.md")).unwrap(), "hello\n");
    assert_sound(&lab, &made.path);
}

#[test]
fn a_spare_becomes_the_worktree_once() {
    let lab = Lab::new();
    let spares = Spares::new(lab.out("spares"));
    assert_eq!(spares.prepare(&lab.repo, None, 2).unwrap(), 2);
    assert_eq!(spares.prepare(&lab.repo, None, 2).unwrap(), 0, "already there");
    let routes: Vec<Route> = (0..3)
        .map(|n| {
            let valid = ours::validate(&lab.request(&format!("w{n}"))).unwrap();
            let made = ours::create(&valid, Some(&spares)).unwrap();
            assert_sound(&lab, &made.path);
            made.route
        })
        .collect();
    assert_eq!(routes, [Route::Spare, Route::Spare, Route::Written]);
    assert_eq!(spares.ready(&lab.repo, None).unwrap(), 0);
}

#[test]
fn spares_of_a_tree_that_the_base_has_left_are_removed() {
    let lab = Lab::new();
    let spares = Spares::new(lab.out("spares"));
    for round in 0..3 {
        lab.write("round", &round.to_string());
        lab.commit("round");
        spares.prepare(&lab.repo, None, 1).unwrap();
    }
    assert_eq!(fs::read_dir(lab.out("spares")).unwrap().count(), 1);
    assert_eq!(spares.ready(&lab.repo, None).unwrap(), 1);
}

#[test]
fn attributes_that_change_content_get_a_real_checkout() {
    let lab = Lab::new();
    lab.write(".gitattributes", "*.crlf text eol=crlf\n*.c ident\n");
    lab.write("a.crlf", "one\r\ntwo\r\n");
    lab.write("a.c", "$Id$\n");
    lab.commit("attributes");
    let made = lab.make("w1").unwrap();
    assert_eq!(fs::read_to_string(made.path.join("a.crlf")).unwrap(), "one\r\ntwo\r\n");
    assert!(fs::read_to_string(made.path.join("a.c")).unwrap().starts_with("$Id: "));
    assert_sound(&lab, &made.path);
}

#[test]
fn a_base_may_be_a_branch_a_tag_or_a_short_commit() {
    let lab = Lab::new();
    git(&lab.repo, &["tag", "-a", "-m", "t", "v1"]);
    let first = git(&lab.repo, &["rev-parse", "HEAD"]);
    lab.write("later", "x");
    lab.commit("second");
    for (name, base) in [("t", "v1"), ("c", &first[..8]), ("p", "main~1")] {
        let request = WorktreeRequest { base: Some(base.into()), ..lab.request(name) };
        let made = ours::create(&ours::validate(&request).unwrap(), None).unwrap();
        assert_eq!(made.base_oid, first.trim());
        assert!(!made.path.join("later").exists());
        assert_eq!(git(&made.path, &["status", "--porcelain"]), "");
    }
}

#[test]
fn a_bad_request_is_refused_with_its_code_and_changes_nothing() {
    let lab = Lab::new();
    git(&lab.repo, &["branch", "taken"]);
    fs::create_dir(lab.out("there")).unwrap();
    let base = lab.request("w");
    type Change = fn(&Lab, &mut WorktreeRequest);
    let cases: [(&str, Change, ErrorCode); 9] = [
        ("no repository", |lab, r| r.repo_root = lab.dir.path().into(), ErrorCode::NotARepository),
        ("branch with two dots", |_, r| r.branch = "a..b".into(), ErrorCode::InvalidArgument),
        ("branch like an option", |_, r| r.branch = "-x".into(), ErrorCode::InvalidArgument),
        ("branch exists", |_, r| r.branch = "taken".into(), ErrorCode::BranchExists),
        ("base unknown", |_, r| r.base = Some("nowhere".into()), ErrorCode::UnknownBaseRef),
        ("path taken", |lab, r| r.path = lab.out("there"), ErrorCode::Conflict),
        ("path relative", |_, r| r.path = "x".into(), ErrorCode::PathOutsideWorkspace),
        ("path in .git", |lab, r| r.path = lab.repo.join(".git/x"), ErrorCode::PathOutsideWorkspace),
        ("name with a slash", |_, r| r.name = "../x".into(), ErrorCode::InvalidArgument),
    ];
    for (what, change, code) in cases {
        let mut request = base.clone();
        change(&lab, &mut request);
        let error = ours::validate(&request).expect_err(what);
        assert_eq!(error.code(), code, "{what}: {error}");
        assert!(!error.hint().is_empty());
    }
    assert_eq!(lab.counts(), (2, 1));
    let error = ours::validate(&Lab::empty().request("w")).unwrap_err();
    assert!(matches!(error, GitError::NoCommits { .. }), "{error}");
}

#[test]
fn a_full_disk_leaves_nothing_and_says_so() {
    let lab = Lab::new();
    lab.write("big", &"x".repeat(3_000_000));
    lab.commit("big");
    let small = lab.out("small");
    fs::create_dir(&small).unwrap();
    let options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"];
    let mounted = std::process::Command::new("mount").args(options).arg(&small).status().unwrap();
    if !mounted.success() {
        eprintln!("not allowed to mount: the case of a full disk is not tested");
        return;
    }
    let request = WorktreeRequest { path: small.join("w"), ..lab.request("w") };
    let result = ours::create(&ours::validate(&request).unwrap(), None);
    let left = fs::read_dir(&small).unwrap().count();
    assert!(std::process::Command::new("umount").arg(&small).status().unwrap().success());
    assert_eq!(result.unwrap_err().code(), ErrorCode::DiskFull);
    assert_eq!(left, 0);
    lab.assert_untouched();
}

#[test]
fn what_a_crash_left_half_made_is_cleared_and_made_anew() {
    let lab = Lab::new();
    let made = lab.make("w").unwrap();
    let entry = lab.repo.join(".git/worktrees/w");
    // The state after a death between the files and the last step: branch, entry and directory are there, `locked` too.
    fs::write(entry.join("locked"), "sandboxed-sh is making this worktree\n").unwrap();
    fs::remove_file(made.path.join("README.md")).unwrap();
    let again = lab.make("w").unwrap();
    assert_sound(&lab, &again.path);
    assert_eq!(lab.counts(), (2, 2));
    // The same, found at the start of the daemon.
    fs::write(entry.join("locked"), "sandboxed-sh is making this worktree\n").unwrap();
    assert_eq!(ours::reclaim(&lab.repo).unwrap(), ["w"]);
    lab.assert_untouched();
}

#[test]
fn a_finished_worktree_or_a_strangers_is_never_cleared() {
    let lab = Lab::new();
    lab.make("w").unwrap();
    assert!(matches!(lab.make("w"), Err(GitError::PathTaken { .. })));
    git(&lab.repo, &["worktree", "add", "-q", lab.out("human").to_str().unwrap()]);
    fs::write(lab.repo.join(".git/worktrees/human/locked"), "sandboxed-sh is making this worktree\n")
        .unwrap();
    assert!(matches!(lab.make("human"), Err(GitError::PathTaken { .. })));
    assert_eq!(ours::reclaim(&lab.repo).unwrap(), Vec::<String>::new());
    assert!(lab.out("w/README.md").exists() && lab.out("human/README.md").exists());
}

#[test]
fn discovery_finds_the_repository_that_holds_the_path_and_only_that() {
    let lab = Lab::new();
    let info = ours::discover(&lab.repo.join("src/deep")).unwrap();
    assert_eq!(
        (info.root.as_path(), info.branch.as_deref(), info.dirty),
        (lab.repo.as_path(), Some("main"), false)
    );
    assert_eq!(info.head.unwrap(), git(&lab.repo, &["rev-parse", "HEAD"]).trim());
    lab.write("README.md", "changed\n");
    assert!(ours::discover(&lab.repo).unwrap().dirty);
    let made = lab.make("w").unwrap();
    let linked = ours::discover(&made.path).unwrap();
    assert_eq!((linked.root, linked.common_dir), (made.path, lab.repo.join(".git")));
    assert_eq!(ours::find_repositories(lab.dir.path()).unwrap(), []);
    git(lab.dir.path(), &["init", "-q", "--bare", "bare"]);
    assert!(matches!(ours::discover(&lab.dir.path().join("bare")), Err(GitError::Bare { .. })));
}

#[test]
fn the_sample_is_a_clean_repository_with_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sample");
    let oid = ours::init_sample(&path, ("Someone", "someone@example.org")).unwrap();
    assert_eq!(git(&path, &["log", "--format=%H %an %D"]).trim(), format!("{oid} Someone HEAD -> main"));
    assert_eq!(git(&path, &["status", "--porcelain"]), "");
    assert!(git_raw(&path, &["fsck", "--strict"]).status.success());
    assert!(ours::init_sample(&path, ("a", "b")).is_err(), "never over something");
}

#[test]
fn a_users_repository_stays_the_users_when_the_daemon_is_root() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not root: nothing to test");
        return;
    }
    let lab = Lab::new();
    let own = |args: &[&str]| {
        std::process::Command::new(args[0]).args(&args[1..]).current_dir(&lab.repo).output().unwrap()
    };
    let top = lab.dir.path().to_str().unwrap();
    own(&["chown", "-R", "1000:1000", top]);
    let spares = Spares::new(lab.out("spares"));
    spares.prepare(&lab.repo, None, 1).unwrap();
    for name in ["one", "two"] {
        let made = ours::create(&ours::validate(&lab.request(name)).unwrap(), Some(&spares)).unwrap();
        let user = |script: &str| {
            let script = format!("cd {} && export HOME={top} && {script}", made.path.display());
            let out =
                own(&["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "sh", "-ec", &script]);
            assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8(out.stdout).unwrap()
        };
        let who = "-c user.name=a -c user.email=a@example.org";
        assert_eq!(user("git status --porcelain"), "");
        user(&format!(
            "echo {name} > {name} && rm src/b.txt && echo b > src/b.txt && git add . && git {who} commit -qm x"
        ));
        ours::merge_branch(&lab.repo, &made.branch, "m").unwrap();
        assert_eq!(user("git -C ../repo status --porcelain"), "");
    }
    let foreign = own(&[
        "find",
        ".git",
        "../one",
        "../two",
        "-not",
        "-user",
        "1000",
        "-not",
        "-path",
        ".git/sandboxed-sh*",
    ]);
    assert_eq!(String::from_utf8(foreign.stdout).unwrap(), "");
}
