//! A Library of this machine alone: its first files, edits, commits, history and undoing, over HTTP and by command.

use std::io::Write;
use std::process::{Command, Stdio};

use sandboxed_domain::api::{
    ErrorCode, LibraryChange, LibraryChangeKind, LibraryCommitParams, LibraryFileParams,
    LibraryHistoryParams, LibraryRevertParams,
};
use sandboxed_domain::library::LibraryKind;

use crate::shelf::{commit, folder, try_write, write};
use crate::support::{Daemon, git};

fn at(path: &str) -> LibraryFileParams {
    LibraryFileParams { path: path.to_owned(), commit: None }
}

#[tokio::test]
async fn the_first_start_makes_a_library_with_the_platforms_skills_and_the_next_one_keeps_it() {
    let mut daemon = Daemon::start().await;
    let client = daemon.client();
    let view = client.library().await.unwrap();
    assert_eq!(view.problems, []);
    let names: Vec<_> = view.items.iter().map(|item| (item.kind, item.name.as_str())).collect();
    let skills = [(LibraryKind::Skill, "orchestrator-boss"), (LibraryKind::Skill, "orchestrator-worker")];
    assert_eq!(names, skills);
    assert!(view.items.iter().all(|item| !item.description.is_empty()));
    let status = client.library_status().await.unwrap();
    assert_eq!((status.changes.len(), status.remote, status.ahead), (0, None, 1));
    assert_eq!(git(&folder(&daemon), &["status", "--porcelain"]), "");
    daemon.restart().await;
    assert_eq!(daemon.client().library_status().await.unwrap().head, status.head);
    daemon.finish().await;
}

/// A Library that an older build began: one of its skills is as it was, the other the user's by now, the README gone.
#[tokio::test]
async fn a_newer_build_renews_what_nobody_changed() {
    let mut daemon = Daemon::start().await;
    let folder = folder(&daemon);
    let path = |name: &str| format!("skills/{name}/SKILL.md");
    let newest = std::fs::read_to_string(folder.join(path("orchestrator-worker"))).unwrap();
    daemon.stop().await;
    std::fs::remove_dir_all(folder.join(".git")).unwrap();
    let old = |name: &str| format!("---\nname: {name}\ndescription: Old\n---\nOld.\n");
    for name in ["orchestrator-boss", "orchestrator-worker"] {
        std::fs::write(folder.join(path(name)), old(name)).unwrap();
    }
    git(&folder, &["init", "-q", "-b", "main"]);
    git(&folder, &["add", "-A"]);
    git(&folder, &["commit", "-qm", "Start the Library"]);
    let own = old("orchestrator-boss") + "And mine.\n";
    std::fs::write(folder.join(path("orchestrator-boss")), &own).unwrap();
    git(&folder, &["rm", "-q", "README.md"]);
    git(&folder, &["commit", "-qam", "Mine"]);
    std::fs::create_dir_all(folder.join("rules")).unwrap();
    std::fs::write(folder.join("rules/new.md"), "Not committed yet.\n").unwrap();

    daemon.restart().await;
    let read = |name: &str| std::fs::read_to_string(folder.join(path(name))).unwrap();
    assert_eq!((read("orchestrator-worker"), read("orchestrator-boss")), (newest, own));
    assert!(!folder.join("README.md").exists());
    let log = || git(&folder, &["log", "--format=%s", "--name-only", "-1"]);
    let renewal = log();
    assert_eq!(renewal.lines().last(), Some("skills/orchestrator-worker/SKILL.md"), "{renewal}");
    assert_eq!(git(&folder, &["status", "--porcelain"]), "?? rules/");
    assert!(daemon.log().contains("skills/orchestrator-boss/SKILL.md"), "{}", daemon.log());
    daemon.restart().await;
    assert_eq!(log(), renewal, "once");
    daemon.finish().await;
}

#[tokio::test]
async fn an_edit_is_a_change_a_commit_history_and_can_be_undone() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let file = write(&client, "rules/style.md", "Short words.\n").await;
    assert_eq!((file.content.as_str(), file.problems.len()), ("Short words.\n", 0));
    let status = client.library_status().await.unwrap();
    let added = LibraryChange { path: "rules/style.md".to_owned(), change: LibraryChangeKind::Added };
    assert_eq!(status.changes, [added]);
    let first = commit(&client, "Say how we write").await;
    write(&client, "rules/style.md", "Long words.\n").await;
    write(&client, "rules/other.md", "Other.\n").await;
    let only = LibraryCommitParams {
        message: "Change our mind".to_owned(),
        paths: vec!["rules/style.md".to_owned()],
    };
    let second = client.commit_library(&only).await.unwrap();
    assert_eq!(second.paths, ["rules/style.md"]);
    let left = client.library_status().await.unwrap().changes;
    assert_eq!((left.len(), left[0].path.as_str()), (1, "rules/other.md"));

    let history = |path: Option<&str>, limit, cursor| LibraryHistoryParams {
        path: path.map(str::to_owned),
        limit,
        cursor,
    };
    let page = client.library_history(&history(Some("rules/style.md"), Some(1), None)).await.unwrap();
    assert_eq!((page.commits.len(), page.commits[0].message.as_str()), (1, "Change our mind"));
    let rest =
        client.library_history(&history(Some("rules/style.md"), None, page.next_cursor)).await.unwrap();
    assert_eq!(rest.commits.iter().map(|commit| commit.id.as_str()).collect::<Vec<_>>(), [first.as_str()]);
    let then = LibraryFileParams { path: "rules/style.md".to_owned(), commit: Some(first.clone()) };
    assert_eq!(client.library_file(&then).await.unwrap().content, "Short words.\n");

    let undo = LibraryRevertParams { commit: Some(second.id.clone()), paths: Vec::new() };
    let undone = client.revert_library(&undo).await.unwrap().unwrap();
    assert!(undone.message.contains("Change our mind") && undone.message.contains(&second.id), "{undone:?}");
    assert_eq!(client.library_file(&at("rules/style.md")).await.unwrap().content, "Short words.\n");
    assert_eq!(client.revert_library(&undo).await.unwrap_err().code, ErrorCode::WrongState);
    let drop = LibraryRevertParams { commit: None, paths: vec!["rules/other.md".to_owned()] };
    assert_eq!(client.revert_library(&drop).await.unwrap(), None);
    assert!(!folder(&daemon).join("rules/other.md").exists());
    assert_eq!(git(&folder(&daemon), &["status", "--porcelain"]), "");
    git(&folder(&daemon), &["fsck", "--strict"]);
    daemon.finish().await;
}

#[tokio::test]
async fn a_commit_that_later_changes_stand_against_is_not_undone_by_force() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    write(&client, "rules/a.md", "one\n").await;
    commit(&client, "One").await;
    write(&client, "rules/a.md", "two\n").await;
    let second = commit(&client, "Two").await;
    write(&client, "rules/a.md", "three\n").await;
    let undo = LibraryRevertParams { commit: Some(second), paths: Vec::new() };
    let error = client.revert_library(&undo).await.unwrap_err();
    assert_eq!((error.code, error.message.contains("rules/a.md")), (ErrorCode::Conflict, true), "{error:?}");
    assert_eq!(client.library_file(&at("rules/a.md")).await.unwrap().content, "three\n");
    commit(&client, "Three").await;
    let error = client.revert_library(&undo).await.unwrap_err();
    assert_eq!((error.code, error.message.contains("rules/a.md")), (ErrorCode::Conflict, true), "{error:?}");
    assert_eq!(client.library_file(&at("rules/a.md")).await.unwrap().content, "three\n");
    assert_eq!(client.library_status().await.unwrap().changes, []);
    daemon.finish().await;
}

#[tokio::test]
async fn nothing_is_read_or_written_outside_and_links_are_never_followed() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let token = daemon.data().join("token");
    for path in
        ["../token", "/etc/passwd", ".git/config", "rules/../../token", "a/.git/hooks/x", "rules//a.md"]
    {
        let error = try_write(&client, path, "x").await.unwrap_err();
        assert_eq!(
            (error.code, error.field.as_deref()),
            (ErrorCode::InvalidArgument, Some("path")),
            "{path}"
        );
        assert!(client.library_file(&at(path)).await.is_err(), "{path}");
        assert!(client.remove_library_file(&at(path)).await.is_err(), "{path}");
    }
    let root = folder(&daemon);
    std::fs::create_dir_all(root.join("rules")).unwrap();
    std::os::unix::fs::symlink(&token, root.join("rules/leak.md")).unwrap();
    std::os::unix::fs::symlink(daemon.data(), root.join("agents")).unwrap();
    assert!(client.library_file(&at("rules/leak.md")).await.is_err());
    assert!(client.library_file(&at("agents/token")).await.is_err());
    assert!(try_write(&client, "agents/planted.md", "x").await.is_err());
    assert!(try_write(&client, "rules/leak.md", "x").await.is_err());
    assert!(!daemon.data().join("planted.md").exists());
    let told = client.library().await.unwrap().problems;
    assert!(
        told.iter().any(|problem| problem.path == "rules/leak.md" && problem.message.contains("link")),
        "{told:?}"
    );
    let params = LibraryCommitParams { message: "Links".to_owned(), paths: Vec::new() };
    let error = client.commit_library(&params).await.unwrap_err();
    assert!(error.code == ErrorCode::Conflict && error.message.contains("rules/leak.md"), "{error:?}");
    let large = try_write(&client, "rules/large.md", &"x".repeat((1 << 20) + 1)).await.unwrap_err();
    assert_eq!(large.code, ErrorCode::TooLarge);
    std::fs::remove_file(root.join("rules/leak.md")).unwrap();
    std::fs::remove_file(root.join("agents")).unwrap();
    daemon.finish().await;
}

#[tokio::test]
async fn every_verb_of_the_command_line_does_what_it_says() {
    let daemon = Daemon::start().await;
    let run = |args: &[&str], input: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sandboxed-sh"))
            .arg("library")
            .args(args)
            .env("SANDBOXED_SH_DATA_DIR", daemon.data())
            .env("SANDBOXED_SH_PORT", daemon.settings().port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let agent = "---\nname: critic\n---\nBe strict.\n";
    let (status, _, err) = run(&["write", "agents/critic.md"], agent);
    assert_eq!(
        (status, err.contains("agents/critic.md:1: its front matter has no description")),
        (0, true),
        "{err}"
    );
    let (status, out, err) = run(&["list"], "");
    assert_eq!((status, out.contains("orchestrator-boss"), out.contains("critic")), (0, true, false));
    assert!(err.contains("agents/critic.md:1"), "{err}");
    let folder = folder(&daemon).display().to_string();
    let (status, out, err) = run(&["check", &folder], "");
    assert_eq!((status, out.as_str(), err.contains("agents/critic.md:1")), (1, "", true), "{err}");
    run(&["write", "agents/critic.md"], "---\ndescription: Finds faults\n---\nBe strict.\n");
    assert_eq!(run(&["check", &folder, "--json"], "").0, 0);
    let (status, out, _) = run(&["status"], "");
    assert_eq!((status, out.contains("added      agents/critic.md")), (0, true), "{out}");
    assert_eq!(run(&["commit", "-m", "Add a critic"], "").0, 0);
    assert_eq!(run(&["commit", "-m", "Nothing"], "").0, 4);
    let (_, out, _) = run(&["history"], "");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!((lines.len(), lines[0].contains("Add a critic")), (2, true), "{out}");
    let id = lines[0].split(' ').next().unwrap();
    run(&["write", "agents/critic.md"], "gone");
    assert_eq!(run(&["revert", "agents/critic.md"], "").0, 0);
    assert_eq!(run(&["show", "agents/critic.md"], "").1, "---\ndescription: Finds faults\n---\nBe strict.\n");
    assert_eq!(run(&["revert", "--commit", id], "").0, 0);
    assert_eq!(run(&["show", "agents/critic.md"], "").0, 3);
    assert_eq!(run(&["show", "agents/critic.md", "--commit", id], "").0, 0);
    assert_eq!(run(&["write", "rules/a.md"], "x").0, 0);
    assert_eq!(run(&["remove", "rules/a.md"], "").0, 0);
    for verb in ["sync", "push"] {
        let (status, _, err) = run(&[verb], "");
        assert_eq!((status, err.contains("SANDBOXED_SH_LIBRARY_REMOTE")), (4, true), "{err}");
    }
    daemon.finish().await;
}
