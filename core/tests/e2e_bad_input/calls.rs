//! Calls with wrong fields, wrong values, somebody else's ids and paths that lead out.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use sandboxed_domain::api::{ErrorCode, EventBody};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::raw::Http;
use crate::support::{Daemon, git, ids, script};

/// Branches, worktrees, rows and directories: what a refused call must leave as it was.
fn traces(daemon: &Daemon) -> Vec<String> {
    let repo = daemon.repo();
    let mut found = vec![git(&repo, &["branch", "-a"]), git(&repo, &["worktree", "list"])];
    let database = rusqlite::Connection::open(daemon.data().join("missions/missions.db")).unwrap();
    for table in ["missions", "messages", "runs", "events", "attention", "batches"] {
        let count: i64 =
            database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        found.push(format!("{table} {count}"));
    }
    for entry in fs::read_dir(daemon.data().join("workspaces")).unwrap().flatten() {
        for kind in ["missions", "worktrees"] {
            let names = fs::read_dir(entry.path().join(kind)).into_iter().flatten().flatten();
            found.extend(names.map(|name| name.path().display().to_string()));
        }
    }
    found
}

/// Follows a mission's events until there is one like this.
pub async fn wait_for(daemon: &Daemon, mission: Uuid, wanted: impl Fn(&EventBody) -> bool) {
    let mut stream = Box::pin(daemon.client().stream(Some(mission), Some(0)).await.unwrap());
    let found = async {
        loop {
            let frame = stream.next().await.unwrap().unwrap();
            if frame.event().is_some_and(|event| wanted(&event.body)) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), found).await.unwrap();
}

/// `base` with one field changed.
fn with(base: &Value, field: &str, value: Value) -> Value {
    let mut changed = base.clone();
    changed[field] = value;
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_cannot_be_made_fails_alone_by_index_and_field_and_leaves_nothing() {
    let daemon = Daemon::start().await;
    // The boss's workspace is made at its first use.
    let _: Value = daemon.call("boss", "get_workspace_layout", json!({})).await;
    let outside = daemon.root().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, daemon.repo().join("link")).unwrap();
    let plain = daemon.repo().join("src");
    let before = traces(&daemon);
    let good = script("t", "true");
    let long = "x".repeat(20_000_000);
    let tree = |tree: Value| with(&good, "worktree", tree);
    let place = |path: &Path| with(&good, "working_directory", json!(path.display().to_string()));
    let cases = [
        (with(&good, "colour", json!("red")), ErrorCode::UnknownField, "colour"),
        (with(&good, "title", json!(1)), ErrorCode::InvalidArgument, "title"),
        (with(&good, "prompt", json!(["x"])), ErrorCode::InvalidArgument, "prompt"),
        (with(&good, "prompt", json!("")), ErrorCode::InvalidArgument, "prompt"),
        (with(&good, "prompt", json!(" \n\t")), ErrorCode::InvalidArgument, "prompt"),
        (with(&good, "prompt", json!(long)), ErrorCode::TooLarge, "prompt"),
        (with(&good, "backend", json!("vi")), ErrorCode::UnknownBackend, "backend"),
        (with(&good, "timeout_seconds", json!(0)), ErrorCode::InvalidArgument, "timeout_seconds"),
        (with(&good, "timeout_seconds", json!(-1)), ErrorCode::InvalidArgument, "timeout_seconds"),
        (with(&good, "workspace_id", json!("nowhere")), ErrorCode::UnknownWorkspace, "workspace_id"),
        (with(&good, "isolation", json!("knife")), ErrorCode::InvalidArgument, "isolation"),
        (with(&good, "budget_usd", json!(1.0)), ErrorCode::NotAvailable, "budget_usd"),
        (with(&good, "env", json!({"A B": "x"})), ErrorCode::InvalidArgument, "env.A B"),
        (tree(json!({"branch": "a", "colour": 1})), ErrorCode::UnknownField, "worktree.colour"),
        (tree(json!({})), ErrorCode::InvalidArgument, "worktree.branch"),
        (tree(json!({"branch": "a..b"})), ErrorCode::InvalidArgument, "worktree.branch"),
        (tree(json!({"branch": "a", "base": "no-such-ref"})), ErrorCode::UnknownBaseRef, "worktree.base"),
        (tree(json!({"branch": "main"})), ErrorCode::BranchExists, "worktree.branch"),
        (tree(json!({"branch": "a", "repo": "relative"})), ErrorCode::InvalidArgument, "worktree.repo"),
        (tree(json!({"branch": "a", "repo": outside})), ErrorCode::PathOutsideWorkspace, "worktree.repo"),
        (place(&daemon.repo().join("../outside")), ErrorCode::PathOutsideWorkspace, "working_directory"),
        (place(&daemon.repo().join("link")), ErrorCode::PathOutsideWorkspace, "working_directory"),
        (place(&daemon.repo().join("absent")), ErrorCode::InvalidArgument, "working_directory"),
        (place(&daemon.repo().join("README.md")), ErrorCode::InvalidArgument, "working_directory"),
        (place(Path::new("/etc")), ErrorCode::PathOutsideWorkspace, "working_directory"),
        (json!("not an object"), ErrorCode::InvalidArgument, ""),
    ];
    let mut batches = 0;
    for (worker, code, field) in cases {
        let shown = worker.to_string().chars().take(200).collect::<String>();
        let answer = daemon.create("boss", json!([worker])).await;
        batches += 1;
        assert_eq!((answer.created, answer.failed), (0, 1), "{shown}");
        let error = answer.workers[0].error.clone().unwrap();
        let at = if field.is_empty() { "workers[0]".to_owned() } else { format!("workers[0].{field}") };
        assert_eq!((error.code, error.field), (code, Some(at)), "{shown}: {}", error.message);
        assert!(!error.hint.is_empty() && error.message.len() < 1000, "{shown}: {}", error.message);
    }
    assert_eq!(traces(&daemon), before, "after {batches} refused batches");
    // A directory of the repository is fine, and a bad neighbour does not matter.
    let bad = with(&good, "backend", json!("vi"));
    let mixed = daemon.create("boss", json!([place(&plain), bad, good])).await;
    assert_eq!((mixed.created, mixed.failed), (2, 1), "{mixed:?}");
    assert_eq!(mixed.workers[1].error.clone().unwrap().field.unwrap(), "workers[1].backend");
    let made: Vec<_> = mixed.workers.iter().filter_map(|worker| worker.worker_id).collect();
    daemon.wait_all("boss", &made).await;
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_none_is_said_to_be_none() {
    let daemon = Daemon::start().await;
    let plain = daemon.root().join("plain");
    let broken = daemon.root().join("broken");
    fs::create_dir_all(&plain).unwrap();
    fs::create_dir_all(broken.join(".git")).unwrap();
    for directory in [&plain, &broken] {
        let worker = with(&script("t", "true"), "worktree", json!({"branch": "a", "repo": directory}));
        let answer = daemon.create("boss@host", json!([worker])).await;
        let error = answer.workers[0].error.clone().unwrap();
        assert_eq!(
            (error.code, error.field.as_deref()),
            (ErrorCode::NotARepository, Some("workers[0].worktree.repo")),
            "{error}"
        );
        assert!(
            error.message.contains(&directory.display().to_string()) && !error.hint.is_empty(),
            "{error}"
        );
    }
    // Neither is a repository without a commit.
    let empty = daemon.root().join("empty");
    fs::create_dir(&empty).unwrap();
    git(&empty, &["init", "-q"]);
    let worker = with(&script("t", "true"), "worktree", json!({"branch": "a", "repo": empty}));
    let error = daemon.create("boss@host", json!([worker])).await.workers[0].error.clone().unwrap();
    assert_eq!(error.code, ErrorCode::UnknownBaseRef, "{error}");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_bosss_worker_is_unknown_whatever_is_asked_of_it() {
    let daemon = Daemon::start().await;
    let made = ids(&daemon.create("mine@host", json!([script("t", "exec sleep 600")])).await);
    let before = daemon.events(made[0]).await.len();
    let foreign = made[0].to_string();
    let nobody = "00000000-0000-4000-8000-000000000001".to_owned();
    for id in [foreign.clone(), nobody, "x".to_owned(), String::new()] {
        let calls = [
            ("get_worker", json!({"worker_id": id})),
            ("resume_worker", json!({"worker_id": id, "prompt": "go on"})),
            ("send_message_to_worker", json!({"worker_id": id, "content": "hello"})),
        ];
        for (tool, params) in calls {
            let error = daemon.tool("other@host", tool, params).await.unwrap_err();
            assert_eq!(
                (error.code, error.field.as_deref()),
                (ErrorCode::UnknownWorker, Some("worker_id")),
                "{tool}"
            );
            assert!(!error.hint.is_empty());
        }
        let waited = daemon.tool("other@host", "wait_for_any_worker", json!({"worker_ids": [id]})).await;
        assert_eq!(waited.unwrap_err().code, ErrorCode::UnknownWorker);
        let answer: Value = daemon.call("other@host", "cancel_worker", json!({"worker_ids": [id]})).await;
        assert_eq!(answer["unknown"], json!([id]));
    }
    let none: Value = daemon.call("other@host", "cancel_worker", json!({"all": true})).await;
    assert_eq!(none["cancelled"], json!([]));
    let listed: Value = daemon.call("other@host", "list_workers", json!({})).await;
    assert_eq!(listed["workers"], json!([]));
    let after = daemon.events(made[0]).await;
    let ended = after.iter().skip(before).any(|event| format!("{:?}", event.body).contains("Cancelled"));
    assert!(!ended, "{after:?}");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_that_cannot_be_made_is_refused_by_field_and_leaves_nothing() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    let before = traces(&daemon);
    let good = json!({"backend": "command", "workspace_id": "host", "prompt": "true"});
    let post = async |body: Value| http.post("/api/control/missions", body).await;
    let cases = [
        (with(&good, "colour", json!(1)), 400, "unknown_field", "colour"),
        (with(&good, "prompt", json!(1)), 400, "invalid_argument", "prompt"),
        (with(&good, "prompt", json!("  ")), 400, "invalid_argument", "prompt"),
        (with(&good, "prompt", json!("x".repeat(20_000_000))), 413, "too_large", "prompt"),
        (with(&good, "prompt", json!("x".repeat(80_000_000))), 413, "too_large", "body"),
        (with(&good, "backend", json!("vi")), 400, "unknown_backend", "backend"),
        (with(&good, "agent", json!("x")), 501, "not_available", "agent"),
        (with(&good, "workspace_id", json!("nowhere")), 404, "unknown_workspace", "workspace_id"),
        (with(&good, "working_directory", json!("/no/such")), 400, "invalid_argument", "working_directory"),
        (
            with(&good, "working_directory", json!("/tmp/../etc")),
            400,
            "path_outside_workspace",
            "working_directory",
        ),
        (with(&good, "parent_mission_id", json!("x")), 400, "invalid_argument", "parent_mission_id"),
        (with(&good, "model_effort", json!("huge")), 400, "invalid_argument", "model_effort"),
    ];
    for (body, status, code, field) in cases {
        post(body).await.problem(status, code, Some(field));
    }
    http.post("/api/control/missions", json!([1])).await.problem(400, "invalid_argument", Some("[0]"));
    let text = http.request("POST", "/api/control/missions").body("{\"prompt\": ");
    crate::raw::Answer::of(text).await.problem(400, "invalid_argument", Some("body"));
    assert_eq!(traces(&daemon), before);
    daemon.finish().await;
}
