//! Workers that print too much, fork too much or eat too much: bounded, typed, and no bother to their neighbours.

use std::time::{Duration, Instant};

use sandboxed_domain::api::{CreateWorkspaceParams, ExecParams, ExecResponse, GetWorkerResponse, Limits};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use serde_json::{Value, json};

use crate::support::{Daemon, ids, script};

/// Most memory of the daemon while and after a worker floods.
const MOST_RSS_KIB: u64 = 150 * 1024;
/// How much longer than three times before the median of a neighbour's exec may be while a bomb goes off, on a machine
/// that has nothing else to do.
const NEIGHBOUR: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_prints_without_end_is_bounded_in_every_answer_and_in_memory() {
    let daemon = Daemon::start().await;
    let flood = "yes 'a line of eighty characters that says nothing at all, again and again and again...' | head -c 200000000";
    let started = Instant::now();
    let record = daemon.run("boss", flood).await;
    println!("200 MB printed and followed in {:?}", started.elapsed());
    assert_eq!(record.status, S::Completed, "{record:?}");
    let paths = record.log_paths.clone().unwrap();
    assert_eq!(std::fs::metadata(paths.stdout).unwrap().len(), 200_000_000);
    for view in ["result", "log", "transcript"] {
        for max_bytes in [256_usize, 4096, 32768] {
            let mut cursor = Value::Null;
            for _ in 0..3 {
                let params = json!({"worker_id": record.worker_id, "view": view, "max_bytes": max_bytes, "cursor": cursor});
                let answer: Value = daemon.call("boss", "get_worker", params).await;
                let size = serde_json::to_vec(&answer).unwrap().len();
                assert!(
                    size <= if view == "result" { max_bytes.max(1500) } else { max_bytes },
                    "{view} within {max_bytes}: {size}"
                );
                let page: GetWorkerResponse = serde_json::from_value(answer).unwrap();
                match page.next_cursor {
                    Some(next) => cursor = json!(next),
                    None => break,
                }
            }
        }
    }
    let peak = peak_rss_kib(daemon.pid());
    println!("the daemon's peak: {} MiB", peak / 1024);
    assert!(peak < MOST_RSS_KIB, "{peak} KiB");
    daemon.finish().await;
}

fn peak_rss_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

async fn exec_true(daemon: &Daemon, workspace: &str) -> Duration {
    let started = Instant::now();
    let params = ExecParams { argv: vec!["/bin/true".into()], ..Default::default() };
    let answer: ExecResponse = daemon.client().exec(workspace, &params).await.unwrap();
    assert_eq!(answer.exit_code, Some(0), "{answer:?}");
    started.elapsed()
}

/// How many wait for each processor already, at least one: what others do to this machine is not the bomb's doing.
fn busy_with_others() -> f64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let load: f64 = load.split(' ').next().unwrap().parse().unwrap();
    let cores = std::thread::available_parallelism().unwrap().get();
    (load / cores as f64).max(1.0)
}

/// Sets bombs off in one workspace, one after the other, and measures `true` in another while they go off, until there
/// are enough figures; returns how the last bomb ended.
async fn with_neighbour(daemon: &Daemon, name: &str, limits: Limits, bomb: &str) -> (S, Option<R>) {
    let client = daemon.client();
    let of = |name: String, limits| CreateWorkspaceParams { name, limits, ..Default::default() };
    client.create_workspace(&of(format!("{name}-bomb"), limits)).await.unwrap();
    client.start_workspace(&format!("{name}-bomb")).await.unwrap();
    let neighbour = client.create_workspace(&of(format!("{name}-calm"), Limits::default())).await.unwrap();
    let neighbour = neighbour.id.to_string();
    client.start_workspace(&neighbour).await.unwrap();
    let others = busy_with_others();
    let mut calm = Vec::new();
    while calm.len() < 20 {
        calm.push(exec_true(daemon, &neighbour).await);
    }
    calm.sort();
    let mut worker = script(name, bomb);
    worker["workspace_id"] = json!(format!("{name}-bomb"));
    let mut times = Vec::new();
    loop {
        let bomb = ids(&daemon.create("boss", json!([worker])).await)[0];
        let bombs = [bomb];
        let mut ended = std::pin::pin!(daemon.wait_all("boss", &bombs));
        loop {
            tokio::select! {
                _ = &mut ended => break,
                time = exec_true(daemon, &neighbour) => times.push(time),
            }
        }
        let record = daemon.record("boss", bomb).await;
        println!("{name}: ended after {:.2} s as {:?}", record.seconds, record.terminal_reason);
        if times.len() >= 20 {
            times.sort();
            let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
            println!(
                "{name}: a neighbour's exec of true: median {median:?} (before {:?}), longest {longest:?}",
                calm[10]
            );
            // What a slow machine takes without a bomb is not its doing either.
            assert!(
                median < NEIGHBOUR.mul_f64(others) + calm[10] * 3,
                "before {:?}, then {times:?}",
                calm[10]
            );
            return (record.status, record.terminal_reason);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_ends_as_such_and_its_neighbour_does_not_notice() {
    let daemon = Daemon::start().await;
    let limits = Limits { pids: Some(256), ..Limits::default() };
    let end = with_neighbour(&daemon, "forks", limits, "bomb() { bomb | bomb & }; bomb; sleep 60").await;
    assert_eq!(end, (S::Failed, Some(R::ProcessesExceeded)));
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_bomb_ends_as_such_and_its_neighbour_does_not_notice() {
    let daemon = Daemon::start().await;
    let limits = Limits { memory_bytes: Some(128 << 20), ..Limits::default() };
    // A variable that doubles until there is no more.
    let end = with_neighbour(&daemon, "memory", limits, "x=0123456789abcdef; while :; do x=$x$x; done").await;
    assert_eq!(end, (S::Failed, Some(R::MemoryExceeded)));
    daemon.finish().await;
}
