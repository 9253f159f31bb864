//! Workers with a sandbox of their own that begins with what the workspace has.

use std::time::Instant;

use sandboxed_domain::api::{ErrorCode, WorkspaceView};
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
    let ended = daemon.wait("boss", json!({"cursor": seen.cursor, "timeout_seconds": 60})).await;
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
