//! Batches: 64 at once, the same key once, and a bad entry alone.

use std::collections::BTreeSet;
use std::time::Instant;

use futures::future::join_all;
use sandboxed_domain::api::{ApiError, BatchCreateResponse, ErrorCode, EventBody};
use sandboxed_domain::mission::MissionStatus;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Daemon, git, ids, script};

/// Slots of the big batch.
const SLOTS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_workers_with_worktrees_are_taken_at_once_and_run_as_slots_allow() {
    let daemon = Daemon::start_with(&[("SANDBOXED_SH_MAX_PARALLEL", &SLOTS.to_string())]).await;
    let worker = |n: usize| {
        json!({"title": format!("w{n}"), "backend": "command", "prompt": "cat README.md; sleep 0.05",
               "worktree": {"branch": format!("work/{n}")}})
    };
    let started = Instant::now();
    let made = daemon.create("boss", (0..64).map(worker).collect()).await;
    println!("64 workers taken in {:?}", started.elapsed());
    assert_eq!((made.created, made.existing, made.failed), (64, 0, 0), "{made:?}");
    let all = ids(&made);
    daemon.wait_all("boss", &all).await;
    println!("64 workers with worktrees done in {:?}", started.elapsed());
    let places: BTreeSet<String> = made.workers.iter().map(|entry| entry.worktree.clone().unwrap()).collect();
    assert_eq!(places.len(), 64);
    for place in &places {
        assert_eq!(git(place.as_ref(), &["status", "--porcelain"]), "", "{place}");
    }
    git(&daemon.repo(), &["fsck", "--full", "--strict"]);
    assert_eq!(git(&daemon.repo(), &["worktree", "list", "--porcelain"]).matches("worktree ").count(), 65);
    for id in &all {
        let record = daemon.record("boss", *id).await;
        assert_eq!((record.status, record.last_message.trim()), (MissionStatus::Completed, "# Sample"));
    }
    let most = most_at_once(&daemon, &all).await;
    assert!(most <= SLOTS, "{most} held a slot at once");
    assert!(most > 1, "nothing ran side by side");
    daemon.finish().await;
}

/// How many held a slot at the same time, from their events: the log has one order.
async fn most_at_once(daemon: &Daemon, all: &[Uuid]) -> usize {
    let mut changes = Vec::new();
    for id in all {
        for event in daemon.events(*id).await {
            if let EventBody::MissionStatusChanged { status, .. } = event.body {
                changes.push((event.sequence, *id, status));
            }
        }
    }
    changes.sort_by_key(|change| change.0);
    let (mut holding, mut most) = (BTreeSet::new(), 0);
    for (_, id, status) in changes {
        if status.holds_slot() {
            holding.insert(id)
        } else {
            holding.remove(&id)
        };
        most = most.max(holding.len());
    }
    most
}

async fn ten_times(daemon: &Daemon, params: &Value) -> Vec<BatchCreateResponse> {
    let calls = (0..10).map(|_| daemon.call("boss", "batch_create_workers", params.clone()));
    join_all(calls).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_from_ten_callers_at_once_gives_one_set_of_workers() {
    let daemon = Daemon::start().await;
    let workers: Vec<_> = (0..4).map(|n| script(&format!("w{n}"), "echo once >> once")).collect();
    let params = json!({"workers": workers, "idempotency_key": "same"});
    let sets: BTreeSet<Vec<Uuid>> = ten_times(&daemon, &params).await.iter().map(ids).collect();
    assert_eq!(sets.len(), 1, "{sets:?}");

    let keyed = json!([
        {"title": "a", "backend": "command", "prompt": "echo once >> once", "task_key": "a"},
        {"title": "b", "backend": "command", "prompt": "echo once >> once", "task_key": "b"},
    ]);
    let answers = ten_times(&daemon, &json!({"workers": keyed})).await;
    let by_key: BTreeSet<Vec<Uuid>> = answers.iter().map(ids).collect();
    assert_eq!(by_key.len(), 1, "{by_key:?}");
    assert_eq!(answers.iter().map(|answer| answer.created).sum::<u32>(), 2);
    assert_eq!(answers.iter().map(|answer| answer.existing).sum::<u32>(), 18);

    let other = json!({"workers": [script("x", "echo other")], "idempotency_key": "same"});
    let error = daemon.tool("boss", "batch_create_workers", other.clone()).await.unwrap_err();
    assert_eq!((error.code, error.field.as_deref()), (ErrorCode::Conflict, Some("idempotency_key")));
    let theirs: BatchCreateResponse = daemon.call("another", "batch_create_workers", other).await;
    assert_eq!(theirs.created, 1, "keys are each boss's own");

    let all: Vec<Uuid> = sets.into_iter().chain(by_key).flatten().collect();
    assert_eq!(all.len(), 6);
    daemon.wait_all("boss", &all).await;
    for id in all {
        let directory = daemon.record("boss", id).await.working_directory.unwrap();
        assert_eq!(std::fs::read_to_string(format!("{directory}/once")).unwrap(), "once\n");
    }
    daemon.finish().await;
}

/// What is wrong with an entry: fields over a good one, the code, and the field's end.
struct Bad(Value, ErrorCode, &'static str);

fn bad_entries(daemon: &Daemon) -> Vec<Bad> {
    use ErrorCode as E;
    let (root, repo) = (daemon.root().display(), daemon.repo());
    std::os::unix::fs::symlink(daemon.root(), repo.join("out")).unwrap();
    std::fs::create_dir(daemon.root().join("empty")).unwrap();
    let worktree = |branch: &str| json!({"worktree": {"branch": branch}});
    vec![
        Bad(json!({"backend": "nobody"}), E::UnknownBackend, "backend"),
        Bad(json!({"bakend": "command"}), E::UnknownField, "bakend"),
        Bad(json!({"title": 7}), E::InvalidArgument, "title"),
        Bad(json!({"prompt": ""}), E::InvalidArgument, "prompt"),
        Bad(json!({"timeout_seconds": "long"}), E::InvalidArgument, "timeout_seconds"),
        Bad(json!({"budget_usd": 1.5}), E::NotAvailable, "budget_usd"),
        Bad(json!({"isolation": "fork", "working_directory": "/"}), E::InvalidArgument, "working_directory"),
        Bad(json!({"workspace_id": "nowhere"}), E::UnknownWorkspace, "workspace_id"),
        Bad(worktree("taken"), E::BranchExists, "worktree.branch"),
        Bad(worktree("good/first"), E::BranchExists, "worktree.branch"),
        Bad(worktree("no..good"), E::InvalidArgument, "worktree.branch"),
        Bad(json!({"worktree": {"branch": "b", "base": "nothing"}}), E::UnknownBaseRef, "worktree.base"),
        Bad(json!({"worktree": {"branch": "b", "bases": "x"}}), E::UnknownField, "worktree.bases"),
        Bad(
            json!({"worktree": {"branch": "b", "repo": format!("{root}/empty")}}),
            E::PathOutsideWorkspace,
            "worktree.repo",
        ),
        Bad(
            json!({"worktree": {"branch": "b", "repo": format!("{root}/empty")}, "workspace_id": "host"}),
            E::NotARepository,
            "worktree.repo",
        ),
        Bad(
            json!({"working_directory": format!("{}/../x", repo.display())}),
            E::PathOutsideWorkspace,
            "working_directory",
        ),
        Bad(
            json!({"working_directory": format!("{}/out", repo.display())}),
            E::PathOutsideWorkspace,
            "working_directory",
        ),
        Bad(json!({"working_directory": "/etc"}), E::PathOutsideWorkspace, "working_directory"),
        Bad(json!({"working_directory": "src"}), E::InvalidArgument, "working_directory"),
    ]
}

fn entry(fields: &Value) -> Value {
    let mut entry = script("w", "true");
    for (name, value) in fields.as_object().unwrap() {
        entry[name] = value.clone();
    }
    entry
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_entry_fails_alone_with_its_reason_and_leaves_neither_worktree_nor_branch() {
    let daemon = Daemon::start().await;
    git(&daemon.repo(), &["branch", "taken"]);
    let bad = bad_entries(&daemon);
    let mut workers = vec![entry(&json!({"worktree": {"branch": "good/first"}}))];
    workers.extend(bad.iter().map(|bad| entry(&bad.0)));
    workers.push(entry(&json!({"worktree": {"branch": "good/last"}})));
    let made = daemon.create("boss", json!(workers)).await;
    let failed = u32::try_from(bad.len()).unwrap();
    for (n, Bad(fields, code, field)) in bad.iter().enumerate() {
        let entry = &made.workers[n + 1];
        let error = entry.error.clone().unwrap_or_else(|| panic!("{fields} was taken: {entry:?}"));
        assert_eq!(error.code, *code, "{fields}: {error:?}");
        assert_eq!(error.field.as_deref(), Some(format!("workers[{}].{field}", n + 1).as_str()), "{error:?}");
        assert!(!error.hint.is_empty(), "a hint says what to do: {error:?}");
        assert_eq!(
            (entry.index as usize, entry.worker_id, entry.status.as_str()),
            (n + 1, None, "not_created")
        );
    }
    assert_eq!((made.created, made.existing, made.failed), (2, 0, failed), "{made:#?}");
    let good: Vec<Uuid> = made.workers.iter().filter_map(|entry| entry.worker_id).collect();
    daemon.wait_all("boss", &good).await;
    let branches = git(&daemon.repo(), &["branch", "--format=%(refname:short)"]);
    assert_eq!(branches.lines().collect::<Vec<_>>(), ["good/first", "good/last", "main", "taken"]);
    let worktrees = git(&daemon.repo(), &["worktree", "list"]);
    assert_eq!(worktrees.lines().count(), 3, "{worktrees}");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_none_is_refused_as_a_whole() {
    let daemon = Daemon::start().await;
    let good = script("w", "true");
    let refused = |error: ApiError| (error.code, error.field.unwrap_or_default());
    let table = [
        (json!({"workers": []}), ErrorCode::InvalidArgument, "workers"),
        (json!({"workers": vec![good.clone(); 65]}), ErrorCode::TooLarge, "workers"),
        (json!({"workers": [good], "key": "x"}), ErrorCode::UnknownField, "key"),
        (json!({"workers": "all"}), ErrorCode::InvalidArgument, "workers"),
    ];
    for (params, code, field) in table {
        let error = daemon.tool("boss", "batch_create_workers", params).await.unwrap_err();
        assert_eq!(refused(error), (code, field.to_owned()));
    }
    daemon.finish().await;
}
