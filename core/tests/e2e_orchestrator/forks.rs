//! Workers with a sandbox of their own that begins with what the workspace has.

use std::time::Instant;

use sandboxed_domain::api::{ApplyParams, ErrorCode, LayerChange, WorkspaceView};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use serde_json::{Value, json};

use crate::support::{Daemon, git, ids, script};

fn fork(text: &str, more: Value) -> Value {
    let mut worker = script("fork", text);
    worker["isolation"] = json!("fork");
    worker.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    worker
}

async fn forks(daemon: &Daemon) -> Vec<WorkspaceView> {
    let all = daemon.client().list_workspaces().await.unwrap();
    all.into_iter().filter(|workspace| workspace.forked_from.is_some()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_begins_as_its_workspace_is_and_gives_back_only_what_goes_through_git() {
    let daemon = Daemon::start().await;
    daemon.run("boss", "echo parent > /root/mark; rm /etc/hostname; echo new > /etc/own").await;
    let repo = daemon.repo();
    let text = format!(
        "cat /root/mark /etc/own; test -e /etc/hostname || echo removed; echo fork > /root/mark; \
         touch {repo}/stray 2>/dev/null && echo writable; ls {repo} > /dev/null && echo readable; \
         echo work > made.txt && git add made.txt && git -c user.name=W -c user.email=w@x commit -qm Made",
        repo = repo.display()
    );
    let record = daemon.run_worker("boss", fork(&text, json!({"worktree": {"branch": "task/fork"}}))).await;
    assert_eq!((record.status, record.terminal_reason), (S::Completed, Some(R::Done)), "{record:?}");
    assert_eq!(daemon.printed(record.worker_id).await, "parent\nnew\nremoved\nreadable\n");
    assert_eq!(git(&repo, &["log", "-1", "--format=%s", "task/fork"]), "Made");
    let after = daemon.run("boss", "cat /root/mark").await;
    assert_eq!(daemon.printed(after.worker_id).await, "parent\n", "the workspace has not changed");

    let made = forks(&daemon).await;
    assert_eq!(made.len(), 1, "{made:?}");
    let all = daemon.client().list_workspaces().await.unwrap();
    let parent = all.iter().find(|workspace| Some(workspace.id) == made[0].forked_from).unwrap();
    assert!(parent.binds == made[0].binds && parent.forked_from.is_none());
    // What the fork has is its own for as long as the worker is kept.
    let resume = json!({"worker_id": record.worker_id, "prompt": "cat /root/mark"});
    let seen = daemon.wait("boss", json!({"timeout_seconds": 1})).await;
    let _: Value = daemon.call("boss", "resume_worker", resume).await;
    let ended = daemon.wait("boss", json!({"cursor": seen.cursor, "timeout_seconds": 240})).await;
    assert_eq!(ended.events[0].status, S::Completed, "{ended:?}");
    assert!(daemon.printed(record.worker_id).await.ends_with("readable\nfork\n"));
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_goes_with_its_worker() {
    let daemon = Daemon::start().await;
    let record = daemon.run_worker("boss", fork("echo alone; pwd", json!({}))).await;
    assert_eq!(record.status, S::Completed, "{record:?}");
    let made = forks(&daemon).await;
    let root = std::path::PathBuf::from(&made[0].root);
    assert!(root.is_dir());
    daemon.client().delete_mission(record.worker_id).await.unwrap();
    assert!(forks(&daemon).await.is_empty() && !root.exists());
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_forked_is_refused() {
    let daemon = Daemon::start().await;
    let repo = daemon.repo().display().to_string();
    for (boss, worker, field) in [
        ("boss@host", fork("true", json!({})), "isolation"),
        ("boss", fork("true", json!({"working_directory": repo})), "working_directory"),
    ] {
        let answer = daemon.create(boss, json!([worker])).await;
        let error = answer.workers[0].error.clone().unwrap();
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{error:?}");
        assert_eq!(error.field.unwrap(), format!("workers[0].{field}"));
    }
    assert!(forks(&daemon).await.is_empty());
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_forks_run_at_once() {
    let daemon = Daemon::start_with(&[("SANDBOXED_SH_MAX_PARALLEL", "64")]).await;
    daemon.run("boss", "echo parent > /root/mark").await;
    // Each waits for all: the last one opens the gate, a pipe in the repository's git data that all of them see.
    let gate = daemon.repo().join(".git/logs/gate");
    std::fs::create_dir(&gate).unwrap();
    let text = format!(
        "cat /root/mark; touch {gate}/$SANDBOXED_SH_MISSION_ID; \
         until [ $(ls {gate} | wc -l) -ge 64 ]; do sleep 0.2; done",
        gate = gate.display()
    );
    let workers: Vec<_> = (0..64)
        .map(|n| fork(&text, json!({"worktree": {"branch": format!("task/{n}")}, "timeout_seconds": 240})))
        .collect();
    let begun = Instant::now();
    let all = ids(&daemon.create("boss", json!(workers)).await);
    daemon.wait_all("boss", &all).await;
    println!("64 forks with worktrees, created to ended: {:?}", begun.elapsed());
    for id in &all {
        let record = daemon.record("boss", *id).await;
        assert_eq!((record.status, record.terminal_reason), (S::Completed, Some(R::Done)), "{record:?}");
    }
    assert_eq!(forks(&daemon).await.len(), 64);
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_fork_changed_is_shown_and_carried_over_when_asked_and_leads_nowhere_else() {
    let daemon = Daemon::start().await;
    let victim = daemon.root().join("victim");
    std::fs::create_dir(&victim).unwrap();
    // Where the fork has a directory the workspace has, by then, a link that on the host leads to the victim's.
    let begin = "mkdir /root/d; for f in kept changed gone both; do echo $f > /root/$f; done";
    daemon.run("boss", begin).await;
    let text = "cd /root; echo new > changed; rm gone; echo fork > both; mkdir -p fresh/empty d/sub; echo a > fresh/file; \
                echo b > d/file; ln -s /etc/passwd link; chmod 4755 fresh/file";
    let record = daemon.run_worker("boss", fork(text, json!({}))).await;
    assert_eq!(record.status, S::Completed, "{record:?}");
    daemon
        .run(
            "boss",
            &format!("echo workspace > /root/both; rmdir /root/d; ln -s {} /root/d", victim.display()),
        )
        .await;

    let client = daemon.client();
    let id = forks(&daemon).await[0].id.to_string();
    let diff = client.workspace_diff(&id).await.unwrap();
    let shown = |changes: &[LayerChange]| -> Vec<String> {
        let lines =
            changes.iter().map(|c| format!("{:?} {}{}", c.kind, c.path, if c.conflict { " !" } else { "" }));
        lines.filter(|line| line.contains("/root/")).collect()
    };
    let expected = [
        "Changed /root/both !",
        "Changed /root/changed",
        "Added /root/d/file",
        "Added /root/d/sub",
        "Added /root/fresh/empty",
        "Added /root/fresh/file",
        "Removed /root/gone",
        "Added /root/link",
    ];
    assert_eq!(shown(&diff.changes), expected, "{diff:?}");

    let apply = async |paths: &[&str], force| {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        client.apply_workspace(&id, &ApplyParams { paths, force }).await
    };
    let read = async |text: &str| {
        let record = daemon.run("boss", text).await;
        daemon.printed(record.worker_id).await
    };
    assert_eq!(apply(&["/root/nothing"], false).await.unwrap_err().code, ErrorCode::InvalidArgument);
    let error = apply(&["/root"], false).await.unwrap_err();
    assert!(error.code == ErrorCode::Conflict && error.message.contains("/root/both"), "{error:?}");
    assert_eq!(read("cat /root/changed /root/gone").await, "changed\ngone\n", "nothing was carried over");
    assert_eq!(shown(&apply(&["/root/fresh", "/root/gone"], false).await.unwrap().applied).len(), 3);
    let seen = "cd /root; cat changed fresh/file; stat -c %a fresh/file; ls gone fresh 2>/dev/null";
    assert_eq!(read(seen).await, "changed\na\n4755\nfresh:\nempty\nfile\n");
    apply(&["/root/both", "/root/changed", "/root/link"], true).await.unwrap();
    assert_eq!(
        read("cd /root; cat both changed kept; readlink link").await,
        "fork\nnew\nkept\n/etc/passwd\n"
    );
    // Within the workspace the link leads into nothing, as no such place is there; outside nothing is touched.
    let _ = apply(&["/root/d"], false).await;
    assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 0);
    let parent = diff.forked_from.to_string();
    assert_eq!(client.workspace_diff(&parent).await.unwrap_err().code, ErrorCode::InvalidArgument);
    let left = std::fs::read_dir(daemon.data().join("workspaces")).unwrap().flatten();
    let left: Vec<_> =
        left.filter_map(|w| std::fs::read_dir(w.path().join("missions")).ok()).flatten().flatten().collect();
    assert!(left.iter().all(|entry| !entry.file_name().to_string_lossy().starts_with(".apply")), "{left:?}");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forks_of_one_state_share_one_copy_which_goes_with_the_last() {
    let daemon = Daemon::start().await;
    let layers = daemon.data().join("layers");
    let copies = || std::fs::read_dir(&layers).map_or(0, Iterator::count);
    daemon.run("boss", "head -c 20000000 /dev/urandom > /root/big; echo one > /root/mark").await;
    // What has just been written is not told from what comes next.
    daemon.run("boss", "sleep 0.1").await;
    let workers: Vec<_> = (0..4).map(|_| fork("cat /root/mark; echo mine > /root/big", json!({}))).collect();
    let all = ids(&daemon.create("boss", json!(workers)).await);
    daemon.wait_all("boss", &all).await;
    assert_eq!(copies(), 1, "one copy for all of them");
    daemon.run("boss", "echo two > /root/mark; sleep 0.1").await;
    let later = daemon.run_worker("boss", fork("cat /root/mark", json!({}))).await;
    assert_eq!(daemon.printed(later.worker_id).await, "two\n");
    assert_eq!(daemon.printed(all[0]).await, "one\n");
    assert_eq!(copies(), 2, "the earlier one as long as a fork stands on it");
    for id in all {
        daemon.client().delete_mission(id).await.unwrap();
    }
    assert_eq!(copies(), 1);
    // A fork of a fork stands on both.
    let parent = forks(&daemon).await[0].id;
    let mut nested = fork(
        "cat /root/mark; ls -s --block-size=1M /root/big | cut -d' ' -f1",
        json!({"workspace_id": parent}),
    );
    nested["workspace_id"] = json!(parent);
    let nested = daemon.run_worker("boss", nested).await;
    assert_eq!(daemon.printed(nested.worker_id).await, "two\n20\n", "{nested:?}");
    daemon.finish().await;
}

/// What a fork stands on is on the disk with its first run. A power cut before that leaves its record as it was made, and
/// some of a layer in which nothing has run.
#[tokio::test(flavor = "multi_thread")]
async fn a_fork_whose_layers_were_lost_in_a_power_cut_takes_them_anew() {
    let mut daemon = Daemon::start_with(&[("SANDBOXED_SH_MAX_PARALLEL", "1")]).await;
    daemon.run("boss", "echo parent > /root/mark").await;
    let gate = daemon.repo().join("gate");
    let first = script("first", &format!("until [ -e {} ]; do sleep 0.2; done", gate.display()));
    // It waits for the slot, so its record is as it was made.
    let second = fork("cat /root/mark; ls /root/half", json!({}));
    let both = ids(&daemon.create("boss", json!([first, second])).await);
    let root = std::path::PathBuf::from(&forks(&daemon).await[0].root);
    daemon.kill9();
    let half = root.join("layer/upper/root");
    std::fs::create_dir_all(&half).unwrap();
    std::fs::write(half.join("half"), "").unwrap();
    daemon.restart().await;
    std::fs::write(&gate, "").unwrap();
    daemon.wait_all("boss", &both).await;
    assert_eq!(daemon.printed(both[1]).await, "parent\n");
    assert!(root.join("layer/upper").is_dir() && !half.join("half").exists());
    daemon.finish().await;
}

/// Nothing of a copy is synced: of one that was made before a power cut, parts may be missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_fork_takes_nothing_of_a_copy_of_an_earlier_start_of_the_machine() {
    let mut daemon = Daemon::start().await;
    daemon.run("boss", "echo parent > /root/mark").await;
    let printed = async |daemon: &Daemon| {
        let record = daemon.run_worker("boss", fork("cat /root/mark", json!({}))).await;
        daemon.printed(record.worker_id).await
    };
    // The first copy may be too close to the last change to be used again.
    assert_eq!((printed(&daemon).await, printed(&daemon).await), ("parent\n".into(), "parent\n".into()));
    daemon.stop().await;
    let copies = std::fs::read_dir(daemon.data().join("layers")).unwrap().flatten();
    for copy in copies.map(|entry| entry.path()) {
        assert!(std::fs::metadata(copy.join("boot")).unwrap().len() > 0);
        std::fs::write(copy.join("boot"), "another").unwrap();
        std::fs::write(copy.join("tree/root/mark"), "").unwrap();
    }
    daemon.restart().await;
    assert_eq!(printed(&daemon).await, "parent\n");
    daemon.finish().await;
}
