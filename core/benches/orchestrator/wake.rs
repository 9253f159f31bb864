//! How soon a boss hears that a worker has ended: from the last thing that the worker's process does, which is to print
//! the time, to the answer of `wait_for_any_worker`.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::mcp::Mcp;
use crate::setting::{call, caller, daemon, ended, ids, now_ns, repository};
use crate::table::{against, row};

const ROUNDS: usize = 60;

pub async fn measure() {
    let daemon = daemon(&[]).await;
    let client = daemon.client();
    let repo = repository(&daemon.root().join("r1000"), 1_000);
    let (plain, treed, mcp) = (caller("http", &daemon.repo()), caller("tree", &repo), "mcp");
    let mut session = Mcp::start(&daemon, mcp, &daemon.repo());
    let (mut by_http, mut by_mcp, mut by_tree) = (vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let made = call(&client, &plain, "batch_create_workers", json!({"workers": [worker(None)]})).await;
        let answer = call(&client, &plain, "wait_for_any_worker", waiting(&made)).await;
        let heard = now_ns();
        by_http.push(since(&answer, heard));

        let made = session.call("batch_create_workers", &json!({"workers": [worker(None)]}));
        let answer = session.call("wait_for_any_worker", &waiting(&made));
        let heard = now_ns();
        by_mcp.push(since(&answer, heard));

        let workers = json!({"workers": [worker(Some(format!("wake-{round}")))]});
        let made = call(&client, &treed, "batch_create_workers", workers).await;
        let answer = call(&client, &treed, "wait_for_any_worker", waiting(&made)).await;
        let heard = now_ns();
        by_tree.push(since(&answer, heard));
        ended(&client, &treed, &ids(&made)).await;
    }
    let floor = row("pipe round trip between two processes", pipe_round_trips());
    against("worker's end to the wait's answer over HTTP", by_http, floor);
    against("worker's end to the wait's answer over MCP stdio", by_mcp, floor);
    against("the same over HTTP, with git facts of a 1,000-file worktree", by_tree, floor);
    drop(session);
    daemon.finish().await;
}

/// Lives long enough for the wait to be there first.
fn worker(branch: Option<String>) -> Value {
    let mut worker = json!({"title": "wake", "backend": "command", "prompt": "sleep 0.3; exec date +%s%N"});
    if let Some(branch) = branch {
        worker["worktree"] = json!({"branch": branch});
    }
    worker
}

fn waiting(made: &Value) -> Value {
    json!({"worker_ids": ids(made), "timeout_seconds": 30})
}

fn since(answer: &Value, heard: u128) -> Duration {
    let summary = answer["events"][0]["summary"].as_str().unwrap_or_default();
    let told: u128 = summary.trim().parse().unwrap_or_else(|_| panic!("no time in {answer}"));
    Duration::from_nanos(u64::try_from(heard - told).unwrap())
}

/// A byte to `cat` and back.
fn pipe_round_trips() -> Vec<Duration> {
    use std::process::{Command, Stdio};
    let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut to, mut from) = (cat.stdin.take().unwrap(), cat.stdout.take().unwrap());
    let mut times = Vec::new();
    for _ in 0..1_000 {
        let begun = Instant::now();
        to.write_all(b"x").unwrap();
        from.read_exact(&mut [0]).unwrap();
        times.push(begun.elapsed());
    }
    drop(to);
    cat.wait().unwrap();
    times
}
