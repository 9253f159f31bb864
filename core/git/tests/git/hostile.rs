//! A repository and worktrees that a worker has booby-trapped: nothing runs, nothing leads astray, nothing hangs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sandboxed_git::{self as ours, GitError, KeptBecause, Removal, Spares};

use crate::fixture::{Lab, commit, git_raw, write};

/// Every way known to make git run a program, each leaving the sentinel.
fn plant(lab: &Lab, sentinel: &Path) {
    let bomb = lab.out("bomb.sh");
    fs::write(&bomb, format!("#!/bin/sh\ntouch {}\ncat 2>/dev/null\n", sentinel.display())).unwrap();
    fs::set_permissions(&bomb, fs::Permissions::from_mode(0o755)).unwrap();
    let hooks = lab.repo.join(".git/hooks");
    fs::create_dir_all(&hooks).unwrap();
    for hook in [
        "post-checkout",
        "pre-commit",
        "post-commit",
        "post-merge",
        "reference-transaction",
        "post-index-change",
    ] {
        let _ = fs::remove_file(hooks.join(hook));
        std::os::unix::fs::symlink(&bomb, hooks.join(hook)).unwrap();
    }
    let bomb = bomb.to_str().unwrap();
    let hooks = hooks.to_str().unwrap();
    for (key, value) in [
        ("core.fsmonitor", bomb),
        ("core.hooksPath", hooks),
        ("core.pager", bomb),
        ("core.editor", bomb),
        ("core.sshCommand", bomb),
        ("core.alternateRefsCommand", bomb),
        ("diff.external", bomb),
        ("diff.x.command", bomb),
        ("diff.x.textconv", bomb),
        ("filter.x.clean", bomb),
        ("filter.x.smudge", bomb),
        ("filter.x.process", bomb),
        ("merge.x.driver", bomb),
        ("gpg.program", bomb),
        ("commit.gpgSign", "true"),
        ("credential.helper", bomb),
    ] {
        git_config(&lab.repo, key, value);
    }
    fs::create_dir_all(lab.repo.join(".git/info")).unwrap();
    fs::write(lab.repo.join(".git/info/attributes"), "* filter=x diff=x merge=x\n").unwrap();
}

/// Writes configuration without git reading what is there.
fn git_config(repo: &Path, key: &str, value: &str) {
    let (section, name) = key.rsplit_once('.').unwrap();
    let section =
        section.split_once('.').map_or(format!("[{section}]"), |(s, sub)| format!("[{s} \"{sub}\"]"));
    let path = repo.join(".git/config");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("{text}{section}\n\t{name} = {value}\n")).unwrap();
}

#[test]
fn no_planted_program_runs_whatever_is_called() {
    let lab = Lab::new();
    let sentinel = lab.out("sentinel");
    let worker = lab.make("worker").unwrap();
    write(&worker.path, "work.txt", "work\n");
    commit(&worker.path, "work");
    write(&worker.path, ".gitattributes", "* filter=x diff=x merge=x\n");
    write(&worker.path, "src/b.txt", "dirty\n");
    lab.write("human.txt", "x");
    lab.commit("human");
    plant(&lab, &sentinel);

    ours::discover(&lab.repo).unwrap();
    ours::find_repositories(&worker.path).unwrap();
    let spares = Spares::new(lab.out("spares"));
    spares.prepare(&lab.repo, None, 1).unwrap();
    for name in ["one", "two"] {
        ours::create(&ours::validate(&lab.request(name)).unwrap(), Some(&spares)).unwrap();
    }
    let base = Some(worker.base_oid.as_str());
    assert_eq!(ours::facts(&worker.path, &lab.repo, base, None).unwrap().dirty, 1);
    let (text, _) = ours::diff_page(&worker.path, &lab.repo, base, None, 10_000).unwrap();
    assert!(text.contains("+dirty"), "{text}");
    assert!(matches!(ours::remove(&worker.path, &lab.repo, &worker.branch).unwrap(), Removal::Kept { .. }));
    assert!(matches!(ours::merge_branch(&lab.repo, &worker.branch, "m").unwrap(), ours::Merged::Done { .. }));
    ours::remove(&lab.out("one"), &lab.repo, "work/one").unwrap();
    ours::reclaim(&lab.repo).unwrap();
    assert!(!sentinel.exists(), "a planted program ran");

    git_raw(&lab.repo, &["status"]);
    assert!(sentinel.exists(), "the control: git itself runs what was planted");
}

#[test]
fn a_git_file_that_leads_elsewhere_is_a_typed_error() {
    let lab = Lab::new();
    let (a, b) = (lab.make("a").unwrap(), lab.make("b").unwrap());
    let other = Lab::new();
    let link = a.path.join(".git");
    let entry = |name: &str| format!("gitdir: {}\n", lab.repo.join(".git/worktrees").join(name).display());
    let elsewhere = format!("gitdir: {}\n", other.repo.join(".git").display());
    for text in [elsewhere, entry("b"), "gitdir: /nowhere\n".into(), String::new()] {
        fs::write(&link, &text).unwrap();
        let error = ours::facts(&a.path, &lab.repo, None, None).unwrap_err();
        assert!(matches!(error, GitError::Redirected { .. }), "{text}: {error}");
        assert!(ours::diff_page(&a.path, &lab.repo, None, None, 100).is_err());
        let removal = ours::remove(&a.path, &lab.repo, "work/a").unwrap();
        assert!(matches!(removal, Removal::Kept { why: KeptBecause::Unsure(_), .. }));
    }
    fs::write(&link, entry("a")).unwrap();
    ours::facts(&a.path, &lab.repo, None, None).unwrap();
    // An entry that claims another's worktree changes nothing for its owner.
    fs::copy(lab.repo.join(".git/worktrees/b/gitdir"), lab.repo.join(".git/worktrees/a/gitdir")).unwrap();
    assert_eq!(ours::facts(&b.path, &lab.repo, None, None).unwrap().branch.as_deref(), Some("work/b"));
    // Nor does an entry that names another repository.
    fs::write(lab.repo.join(".git/worktrees/b/commondir"), other.repo.join(".git").to_str().unwrap())
        .unwrap();
    assert!(matches!(ours::facts(&b.path, &lab.repo, None, None), Err(GitError::Redirected { .. })));
}

#[test]
fn links_in_the_worktree_show_nothing_from_outside() {
    let lab = Lab::new();
    write(&lab.out("host"), "b.txt", "secret of the host\n");
    write(&lab.out("host"), "deep/er/a.txt", "secret of the host\n");
    let made = lab.make("w").unwrap();
    fs::remove_dir_all(made.path.join("src")).unwrap();
    std::os::unix::fs::symlink(lab.out("host"), made.path.join("src")).unwrap();
    fs::remove_file(made.path.join("README.md")).unwrap();
    std::os::unix::fs::symlink(lab.out("host/b.txt"), made.path.join("README.md")).unwrap();
    let (text, _) = ours::diff_page(&made.path, &lab.repo, Some(&made.base_oid), None, 100_000).unwrap();
    assert!(!text.contains("secret"), "{text}");
    assert!(text.contains("deleted file"));
    assert_eq!(ours::facts(&made.path, &lab.repo, None, None).unwrap().dirty, 3);
}

#[test]
fn pipes_where_git_reads_are_refused_and_elsewhere_ignored() {
    let lab = Lab::new();
    let made = lab.make("w").unwrap();
    let pipe = |path: &Path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::remove_file(made.path.join("README.md")).unwrap();
    pipe(&made.path.join("README.md"));
    assert_eq!(ours::facts(&made.path, &lab.repo, None, None).unwrap().dirty, 1);
    for name in ["src/.gitignore", "src/.gitattributes"] {
        pipe(&made.path.join(name));
        let result = ours::facts(&made.path, &lab.repo, None, None);
        assert!(matches!(result, Err(GitError::SpecialFile { .. })), "{result:?}");
        fs::remove_file(made.path.join(name)).unwrap();
    }
    pipe(&lab.repo.join(".git/refs/heads/work/pipe"));
    assert!(matches!(ours::facts(&made.path, &lab.repo, None, None), Err(GitError::SpecialFile { .. })));
}
