//! Waiting: fast, by cursor, nothing twice and nothing lost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sandboxed_domain::api::{ErrorCode, WaitResponse, WaitStatus};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Daemon, ids, script};

/// A worker that ends when something is written into the pipe at `gate`.
fn gated(daemon: &Daemon, name: &str) -> (std::path::PathBuf, serde_json::Value) {
    let gate = daemon.repo().join(name);
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    let worker = script(name, &format!("cat {}", gate.display()));
    (gate, worker)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_wakes_at_once_when_a_worker_ends() {
    let daemon = Daemon::start().await;
    let mut times = Vec::new();
    let mut cursor = None::<String>;
    for n in 0..8 {
        let (gate, worker) = gated(&daemon, &format!("gate{n}"));
        let worker = ids(&daemon.create("boss", json!([worker])).await)[0];
        let params = json!({"cursor": cursor, "timeout_seconds": 240});
        let opened = tokio::task::spawn_blocking(move || {
            // Opening waits for the worker to read.
            std::fs::write(gate, "go\n").unwrap();
            Instant::now()
        });
        let answer = daemon.wait("boss", params).await;
        let returned = Instant::now();
        assert_eq!(answer.status, WaitStatus::Event, "{answer:?}");
        assert_eq!(answer.events.iter().map(|e| e.worker_id).collect::<Vec<_>>(), [worker]);
        times.push(returned.duration_since(opened.await.unwrap()));
        cursor = Some(answer.cursor);
    }
    times.sort();
    println!("a worker's end to its boss's wake: median {:?}, longest {:?}", times[4], times[7]);
    // The median: a busy machine may hold any of them up.
    assert!(times[4] < Duration::from_secs(1), "{times:?}");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_cursor_nothing_comes_twice_and_nothing_is_lost_over_filters_and_time_outs() {
    let daemon = Daemon::start().await;
    let (gate, held) = gated(&daemon, "held");
    let mut workers: Vec<_> = (0..24).map(|n| script(&format!("w{n}"), "sleep 0.01")).collect();
    workers.push(held);
    let all = ids(&daemon.create("boss", json!(workers)).await);
    let (quick, held) = (&all[..24], all[24]);
    let mut seen = BTreeMap::<Uuid, u32>::new();
    let note = |answer: &WaitResponse, seen: &mut BTreeMap<Uuid, u32>| {
        assert!(serde_json::to_vec(answer).unwrap().len() < 2048, "under 2 kB");
        answer.events.iter().for_each(|event| *seen.entry(event.worker_id).or_default() += 1);
        answer.cursor.clone()
    };
    // A wait for one that does not end times out, which is no error and moves nothing.
    let timeout = daemon.wait("boss", json!({"worker_ids": [held], "timeout_seconds": 0.2})).await;
    assert_eq!((timeout.status, timeout.events.len()), (WaitStatus::Timeout, 0));
    assert_eq!(timeout.running.iter().map(|r| r.worker_id).collect::<Vec<_>>(), [held]);
    let mut cursor = note(&timeout, &mut seen);
    // The later half first: what is in between stays unseen.
    while quick[12..].iter().any(|id| !seen.contains_key(id)) {
        let params = json!({"worker_ids": quick[12..], "cursor": cursor, "timeout_seconds": 120});
        cursor = note(&daemon.wait("boss", params).await, &mut seen);
    }
    assert_eq!(seen.len(), 12, "a filter lets only its own through");
    while quick.iter().any(|id| !seen.contains_key(id)) {
        let params = json!({"cursor": cursor, "timeout_seconds": 120});
        cursor = note(&daemon.wait("boss", params).await, &mut seen);
    }
    let look = daemon.wait("boss", json!({"cursor": cursor, "timeout_seconds": 0})).await;
    assert_eq!((look.status, look.events.len()), (WaitStatus::Timeout, 0), "all seen, one runs: {look:?}");
    // Another session of the same boss, without a cursor, starts from what was acknowledged.
    let again = daemon.wait("boss", json!({"timeout_seconds": 0})).await;
    assert_eq!(again.events.len(), 0, "{again:?}");
    tokio::task::spawn_blocking(move || std::fs::write(gate, "go\n").unwrap()).await.unwrap();
    let last = daemon.wait("boss", json!({"timeout_seconds": 120})).await;
    assert_eq!(last.events.iter().map(|e| e.worker_id).collect::<Vec<_>>(), [held]);
    note(&last, &mut seen);
    let repeated = daemon.wait("boss", json!({"timeout_seconds": 0})).await;
    assert_eq!(repeated.events, last.events, "observed, not consumed, until a later cursor says so");
    let end = daemon.wait("boss", json!({"cursor": last.cursor, "timeout_seconds": 120})).await;
    assert_eq!((end.status, end.events.len()), (WaitStatus::NothingToWaitFor, 0));
    assert!(seen.len() == 25 && seen.values().all(|times| *times == 1), "{seen:?}");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_nobody_returns_at_once_and_one_for_a_stranger_is_refused() {
    let daemon = Daemon::start().await;
    let nothing = daemon.wait("boss", json!({"timeout_seconds": 120})).await;
    assert_eq!(nothing.status, WaitStatus::NothingToWaitFor);
    let theirs = ids(&daemon.create("another", json!([script("w", "true")])).await)[0];
    let table = [
        (json!({"worker_ids": [Uuid::now_v7()]}), ErrorCode::UnknownWorker),
        (json!({"worker_ids": [theirs]}), ErrorCode::UnknownWorker),
        (json!({"worker_ids": ["nonsense"]}), ErrorCode::UnknownWorker),
        (json!({"cursor": "nonsense"}), ErrorCode::InvalidArgument),
        (json!({"timeout_seconds": -1}), ErrorCode::InvalidArgument),
    ];
    for (params, code) in table {
        let error = daemon.tool("boss", "wait_for_any_worker", params.clone()).await.unwrap_err();
        assert_eq!(error.code, code, "{params}: {error:?}");
        assert!(!error.hint.is_empty(), "{error:?}");
    }
    for tool in ["get_worker", "resume_worker", "send_message_to_worker"] {
        let mut params = json!({"worker_id": theirs});
        match tool {
            "resume_worker" => params["prompt"] = json!("x"),
            "send_message_to_worker" => params["content"] = json!("x"),
            _ => {}
        }
        let error = daemon.tool("boss", tool, params).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::UnknownWorker, "{tool}: {error:?}");
    }
    daemon.finish().await;
}
