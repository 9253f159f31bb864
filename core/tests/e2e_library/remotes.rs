//! A Library with a remote: brought in, pushed, in conflict, and away.

use sandboxed_domain::api::{ErrorCode, LibraryCommitParams};
use sandboxed_domain::library::LibraryKind;
use serde_json::json;

use crate::shelf::{Remote, commit, folder, write};
use crate::support::{Daemon, git};

async fn with_remote(remote: &str) -> Daemon {
    Daemon::start_with(&[("SANDBOXED_SH_LIBRARY_REMOTE", remote)]).await
}

#[tokio::test]
async fn what_the_remote_has_comes_in_and_what_is_committed_goes_out() {
    let remote = Remote::with(&[("rules/a.md", "theirs\n"), ("README.md", "x")]);
    let daemon = with_remote(remote.path().to_str().unwrap()).await;
    let client = daemon.client();
    assert_eq!(client.library().await.unwrap().items, [], "it waits for its remote");
    let answer = client.sync_library().await.unwrap();
    assert_eq!((answer.updated, answer.status.behind, answer.status.ahead), (true, 0, 0));
    assert_eq!(answer.status.branch.as_deref(), Some("main"));
    assert_eq!(client.library().await.unwrap().items[0].name, "a");
    let second = remote.change(&[("rules/b.md", "more\n")], "Second");
    let answer = client.sync_library().await.unwrap();
    assert_eq!((answer.updated, answer.status.head.as_deref()), (true, Some(second.as_str())));
    assert!(!client.sync_library().await.unwrap().updated);

    write(&client, "rules/c.md", "ours\n").await;
    commit(&client, "Ours").await;
    assert_eq!(client.library_status().await.unwrap().ahead, 1);
    let status = client.push_library().await.unwrap();
    assert_eq!((status.ahead, status.behind), (0, 0));
    assert_eq!(remote.show("rules/c.md"), "ours");
    daemon.finish().await;
}

#[tokio::test]
async fn an_empty_remote_is_filled_from_the_starter() {
    let remote = Remote::empty();
    let daemon = with_remote(remote.path().to_str().unwrap()).await;
    let client = daemon.client();
    client.sync_library().await.unwrap();
    assert!(client.library().await.unwrap().items.iter().all(|item| item.kind == LibraryKind::Skill));
    client.push_library().await.unwrap();
    assert!(remote.show("skills/orchestrator-boss/SKILL.md").starts_with("---"));
    daemon.finish().await;
}

#[tokio::test]
async fn changes_of_both_sides_are_merged_and_conflicts_are_shown_and_never_forced() {
    let remote = Remote::with(&[("rules/a.md", "one\n"), ("rules/b.md", "one\n")]);
    let daemon = with_remote(remote.path().to_str().unwrap()).await;
    let client = daemon.client();
    client.sync_library().await.unwrap();
    write(&client, "rules/a.md", "ours\n").await;
    commit(&client, "Ours").await;
    let theirs = remote.change(&[("rules/b.md", "theirs\n")], "Theirs");
    // The remote has moved on: nothing is pushed over it.
    let error = client.push_library().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict, "{error:?}");
    assert_eq!(git(&remote.path(), &["rev-parse", "main"]), theirs);
    let answer = client.sync_library().await.unwrap();
    assert_eq!((answer.updated, answer.status.ahead, answer.status.behind), (true, 2, 0));
    client.push_library().await.unwrap();
    assert_eq!(
        (remote.show("rules/a.md"), remote.show("rules/b.md")),
        ("ours".to_owned(), "theirs".to_owned())
    );

    git(&remote.theirs(), &["pull", "-q", "origin", "main"]);
    remote.change(&[("rules/a.md", "theirs now\n")], "Theirs again");
    write(&client, "rules/a.md", "ours now\n").await;
    // Not committed yet, and the remote changes the same file.
    let error = client.sync_library().await.unwrap_err();
    assert_eq!((error.code, error.message.contains("rules/a.md")), (ErrorCode::Conflict, true), "{error:?}");
    commit(&client, "Ours again").await;
    let head = client.library_status().await.unwrap().head;
    let error = client.sync_library().await.unwrap_err();
    assert_eq!((error.code, error.message.contains("rules/a.md")), (ErrorCode::Conflict, true), "{error:?}");
    let status = client.library_status().await.unwrap();
    assert_eq!((status.head, status.conflicts.as_slice()), (head, &["rules/a.md".to_owned()][..]));
    assert_eq!((status.ahead, status.behind, status.changes.len()), (1, 1, 0));
    assert_eq!(std::fs::read_to_string(folder(&daemon).join("rules/a.md")).unwrap(), "ours now\n");

    // Settled by hand, as the error says.
    git(&folder(&daemon), &["merge", "-q", "-X", "ours", "-m", "Settle", "refs/remotes/origin/library"]);
    client.push_library().await.unwrap();
    assert_eq!(remote.show("rules/a.md"), "ours now");
    daemon.finish().await;
}

#[tokio::test]
async fn a_remote_that_plants_links_hooks_and_attributes_gets_nothing_run_and_nothing_read() {
    let remote = Remote::with(&[("rules/a.md", "theirs\n")]);
    let daemon = with_remote(remote.path().to_str().unwrap()).await;
    let witness = remote.root().join("witness");
    let theirs = remote.theirs();
    std::os::unix::fs::symlink(daemon.data().join("token"), theirs.join("rules/leak.md")).unwrap();
    std::os::unix::fs::symlink(daemon.data(), theirs.join("commands")).unwrap();
    let module = format!("[submodule \"x\"]\n\tpath = x\n\turl = ext::touch {}\n", witness.display());
    let client = daemon.client();
    // As another daemon of the machine may leave it.
    let config = folder(&daemon).join(".git/config");
    let planted = format!("[filter \"x\"]\n\tsmudge = touch {0}\n\tclean = touch {0}\n", witness.display());
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text + &planted).unwrap();
    let hook = folder(&daemon).join(".git/hooks/reference-transaction");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", witness.display())).unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    remote.change(&[(".gitattributes", "* filter=x\n"), (".gitmodules", &module)], "Plant");
    client.sync_library().await.unwrap();
    write(&client, "rules/ours.md", "ours\n").await;
    commit(&client, "Ours").await;
    client.push_library().await.unwrap();
    assert!(!witness.exists(), "something of the remote's was run");
    let root = folder(&daemon);
    assert!(!root.join("rules/leak.md").is_symlink() && !root.join("commands").is_symlink());
    let token = std::fs::read_to_string(daemon.data().join("token")).unwrap();
    assert!(!std::fs::read_to_string(root.join("rules/leak.md")).unwrap().contains(token.trim()));
    assert_eq!(remote.show("rules/ours.md"), "ours");
    daemon.finish().await;
}

#[tokio::test]
async fn without_its_remote_a_mission_starts_with_what_was_last_brought_in_and_is_told() {
    let remote = Remote::with(&[("rules/a.md", "theirs\n")]);
    let mut daemon = with_remote(remote.path().to_str().unwrap()).await;
    daemon.client().sync_library().await.unwrap();
    std::fs::rename(remote.path(), remote.root().join("away")).unwrap();
    daemon.restart().await;
    let client = daemon.client();
    let error = client.sync_library().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::GitFailed, "{error:?}");
    let status = client.library_status().await.unwrap();
    assert!(status.fetch_error.is_some_and(|why| why.contains("lib.git")));
    assert_eq!(client.library().await.unwrap().items.len(), 1);
    std::fs::rename(remote.root().join("away"), remote.path()).unwrap();
    client.sync_library().await.unwrap();
    assert_eq!(client.library_status().await.unwrap().fetch_error, None);
    daemon.finish().await;
}

#[tokio::test]
async fn what_a_mission_names_and_the_library_lacks_is_refused_before_anything_starts() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    for (more, field, code) in [
        (json!({"config_profile": "nobody"}), "config_profile", ErrorCode::InvalidArgument),
        (json!({"mcps": ["nobody"]}), "mcps", ErrorCode::NotAvailable),
        (json!({"agent": "nobody"}), "agent", ErrorCode::NotAvailable),
    ] {
        let mut mission = json!({"backend": "command", "prompt": "true", "title": "t"});
        mission.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = client.create_mission(&serde_json::from_value(mission).unwrap()).await.unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (code, Some(field)), "{error:?}");
    }
    let empty = LibraryCommitParams { message: " ".to_owned(), paths: Vec::new() };
    assert_eq!(client.commit_library(&empty).await.unwrap_err().field.as_deref(), Some("message"));
    daemon.finish().await;
}
