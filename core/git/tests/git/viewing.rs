//! Looking: the same as the real git says, and nothing that a repository asks for.

use std::fs;
use std::path::Path;

use sandboxed_git::view::{Between, Side, View};
use sandboxed_git::{ChangeKind, GitError};

use crate::fixture::{Lab, commit, git, git_raw, write};

fn view(dir: &Path) -> View {
    View::open(dir, dir).unwrap()
}

/// `git status --short`, in the same letters.
fn status(view: &View) -> Vec<String> {
    let letter = |kind: Option<ChangeKind>| kind.map_or(' ', ChangeKind::letter);
    let changes = view.changes().unwrap();
    let tracked =
        changes.tracked.iter().map(|c| format!("{}{} {}", letter(c.staged), letter(c.unstaged), c.path));
    tracked.chain(changes.untracked.iter().map(|path| format!("?? {path}"))).collect()
}

fn text(view: &View, base: &str, new: Side, only: &[String]) -> String {
    let difference = view.difference(&Between { base: base.to_owned(), new }, only).unwrap();
    difference.each().map(|file| file.unwrap().text).collect()
}

/// Lines that say what is in and out, without headers, which say the same in other words.
fn body(text: &str) -> Vec<&str> {
    let noise = ["diff ", "index ", "--- ", "+++ ", "new file", "deleted file", "old mode", "new mode"];
    text.lines().filter(|line| !noise.iter().any(|n| line.starts_with(n))).collect()
}

#[test]
fn status_and_differences_are_those_of_git() {
    let lab = Lab::new();
    lab.write("staged new", "n\n");
    lab.write("README.md", "hello\nworld\n");
    git(&lab.repo, &["add", "staged new", "README.md"]);
    lab.write("README.md", "hello\nworld\nagain\n");
    lab.write("src/deep/er/a.txt", "one\n2\nthree\n");
    fs::remove_file(lab.repo.join("src/b.txt")).unwrap();
    fs::remove_file(lab.repo.join("empty")).unwrap();
    std::os::unix::fs::symlink("README.md", lab.repo.join("empty")).unwrap();
    lab.write("untracked", "u\n");
    lab.write("x.log", "ignored\n");
    let view = view(&lab.repo);
    let theirs = git(&lab.repo, &["-c", "core.quotePath=false", "status", "--short"]).replace('"', "");
    assert_eq!(status(&view), theirs.lines().collect::<Vec<_>>());
    for (ours, theirs) in [
        (text(&view, "", Side::Files, &[]), &["diff", "HEAD"][..]),
        (text(&view, "", Side::Index, &[]), &["diff", "--cached"]),
        (text(&view, "", Side::Files, &["src/deep".to_owned()]), &["diff", "HEAD", "--", "src/deep"]),
    ] {
        let theirs = git(&lab.repo, theirs);
        // A link and a file at one place are two differences for git and one here.
        let plain = |text: &str| {
            let lines =
                body(text).into_iter().filter(|line| !line.contains("README.md") && !line.starts_with('\\'));
            lines.map(str::to_owned).filter(|line| !line.contains("@@ -0,0 +1 @@")).collect::<Vec<_>>()
        };
        assert_eq!(plain(&ours), plain(&theirs));
    }
    assert_eq!(view.standing().unwrap().branch.as_deref(), Some("main"));
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn commits_are_compared_and_listed() {
    let lab = Lab::new();
    git(&lab.repo, &["checkout", "-q", "-b", "side"]);
    lab.write("side.txt", "s\n");
    lab.commit("on the side\n\nwith a body");
    git(&lab.repo, &["checkout", "-q", "main"]);
    lab.write("README.md", "main goes on\n");
    lab.commit("on main");
    git(&lab.repo, &["tag", "v1"]);
    git(&lab.repo, &["merge", "-q", "--no-edit", "side"]);
    let view = view(&lab.repo);
    let subjects = |from: &str, path: Option<&str>| -> Vec<String> {
        let found = view.history(from, path, 0, 50).unwrap();
        sorted(found.commits.into_iter().map(|commit| commit.subject).collect())
    };
    // All are of the same second: git orders the two sides of the merge as it likes.
    let theirs = |args: &[&str]| -> Vec<String> {
        let mut all = vec!["log", "--format=%s"];
        all.extend(args);
        sorted(git(&lab.repo, &all).lines().map(str::to_owned).collect())
    };
    let newest = view.history("", None, 0, 1).unwrap().commits.remove(0);
    assert_eq!((newest.subject.as_str(), newest.parents), ("Merge branch 'side'", 2));
    assert_eq!(subjects("", None), theirs(&[]));
    assert_eq!(subjects("side", None), theirs(&["side"]));
    assert_eq!(subjects("side..main", None), theirs(&["side..main"]));
    assert_eq!(subjects("", Some("side.txt")), theirs(&["--", "side.txt"]));
    assert_eq!(subjects("", Some("src")), theirs(&["--", "src"]));
    let page = view.history("", None, 1, 1).unwrap();
    assert!(page.more && page.commits.len() == 1);
    let tagged = view.history("v1", None, 0, 1).unwrap().commits.remove(0);
    assert_eq!(tagged.names, ["v1"]);
    let side = view.history("side", None, 0, 1).unwrap().commits.remove(0);
    assert_eq!((side.subject.as_str(), side.body.as_str()), ("on the side", "with a body"));
    // What a branch did since it left, and both sides of it.
    assert_eq!(
        body(&text(&view, "v1...", Side::Commit("side".into()), &[])),
        ["@@ -0,0 +1 @@", "+s"],
        "the change of main is not the side's"
    );
    assert!(text(&view, "v1", Side::Commit("side".into()), &[]).contains("-main goes on"));
    assert!(matches!(view.history("nothing", None, 0, 1), Err(GitError::UnknownBase { .. })));
}

#[test]
fn a_linked_worktree_is_its_own_and_all_are_listed() {
    let lab = Lab::new();
    let tree = lab.make("one").unwrap();
    write(&tree.path, "mine", "m\n");
    commit(&tree.path, "in the worktree");
    let view = view(&tree.path);
    let standing = view.standing().unwrap();
    assert_eq!(
        (standing.branch.as_deref(), standing.subject.as_deref()),
        (Some("work/one"), Some("in the worktree"))
    );
    assert_eq!(view.history("HEAD~1..HEAD", None, 0, 9).unwrap().commits.len(), 1, "HEAD is the worktree's");
    let trees = view.worktrees();
    let seen: Vec<_> =
        trees.iter().map(|t| (t.path.clone(), t.branch.clone().unwrap(), t.main, t.here)).collect();
    assert_eq!(
        seen,
        [(lab.repo.clone(), "main".to_owned(), true, false), (tree.path, "work/one".to_owned(), false, true)]
    );
}

#[test]
fn nothing_that_a_repository_names_is_run() {
    let lab = Lab::new();
    let mark = lab.out("it-ran");
    let program = lab.out("program.sh");
    fs::write(&program, format!("#!/bin/sh\ntouch {}\ncat\n", mark.display())).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = program.to_str().unwrap();
    for (key, value) in [
        ("core.fsmonitor", program),
        ("core.hooksPath", lab.repo.parent().unwrap().to_str().unwrap()),
        ("diff.external", program),
        ("diff.x.command", program),
        ("diff.x.textconv", program),
        ("filter.x.clean", program),
        ("filter.x.smudge", program),
        ("filter.x.process", program),
        ("core.pager", program),
        ("gpg.program", program),
        ("log.showSignature", "true"),
    ] {
        git(&lab.repo, &["config", key, value]);
    }
    lab.write(".gitattributes", "* filter=x diff=x\n");
    lab.write("README.md", "changed\n");
    for hook in ["post-index-change", "fsmonitor-watchman", "reference-transaction"] {
        let path = lab.repo.join(".git/hooks").join(hook);
        fs::copy(program, &path).unwrap();
    }
    let view = view(&lab.repo);
    assert!(status(&view).contains(&" M README.md".to_owned()));
    assert!(text(&view, "", Side::Files, &[]).contains("+changed"));
    view.history("", None, 0, 10).unwrap();
    assert!(!mark.exists());
    // The same things are run by a git that is not careful.
    git_raw(&lab.repo, &["diff"]);
    assert!(mark.exists(), "the traps are real");
}

#[test]
fn a_repository_elsewhere_is_not_read_by_a_trick() {
    let (lab, other) = (Lab::new(), Lab::new());
    let place = lab.out("place");
    fs::create_dir(&place).unwrap();
    let refused = |why: &str| match View::open(&place, &place) {
        Err(GitError::Redirected { .. } | GitError::NotARepository { .. }) => {}
        Err(error) => panic!("{why}: {error}"),
        Ok(_) => panic!("{why}: it was opened"),
    };
    fs::write(place.join(".git"), format!("gitdir: {}\n", other.repo.join(".git").display())).unwrap();
    refused("a .git file that names a repository elsewhere");
    fs::remove_file(place.join(".git")).unwrap();
    std::os::unix::fs::symlink(other.repo.join(".git"), place.join(".git")).unwrap();
    refused("a link to a repository elsewhere");
    fs::remove_file(place.join(".git")).unwrap();
    git(&place, &["init", "-q"]);
    git(&place, &["config", "core.worktree", other.repo.to_str().unwrap()]);
    refused("files elsewhere");
    git(&place, &["config", "--unset", "core.worktree"]);
    fs::write(place.join(".git/commondir"), other.repo.join(".git").to_str().unwrap()).unwrap();
    refused("objects elsewhere");
    // A worktree that the repository names is no trick, nor is a repository above what is looked at.
    let tree = lab.make("one").unwrap();
    View::open(&tree.path, &tree.path).unwrap();
    let deep = lab.repo.join("src");
    assert!(View::open(&deep, &lab.repo).is_ok());
    assert!(matches!(View::open(&deep, &deep), Err(GitError::NotARepository { .. })));
}

#[test]
fn a_pipe_in_a_repository_is_told_and_not_waited_for() {
    for name in ["config", "index", "packed-refs", "info/exclude", "objects/info/alternates"] {
        let lab = Lab::new();
        let path = lab.repo.join(".git").join(name);
        let _ = fs::remove_file(&path);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(
            matches!(View::open(&lab.repo, &lab.repo), Err(GitError::SpecialFile { .. })),
            "{name} is a pipe"
        );
    }
}
