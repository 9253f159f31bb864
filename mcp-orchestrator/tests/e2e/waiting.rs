//! `wait_for_any_worker` as a client sees it: progress, limits, cancellation, tasks.

use serde_json::json;
use tokio::sync::mpsc::unbounded_channel;

use crate::{
    client::{Era, Mcp, soon},
    fake::{Fake, Reply, wait_answer},
};

const OLD: Era = Era::Legacy("2025-06-18");

#[tokio::test]
async fn progress_comes_before_the_daemon_has_answered_anything() {
    for era in [OLD, Era::Modern { tasks: false }] {
        let (dropped, _keep) = unbounded_channel();
        let fake = Fake::start(move |_| Reply::Hang(dropped.clone()));
        let mut mcp = Mcp::start(&fake.url(), era, "x", &[]).await;
        let id = mcp.start_call("wait_for_any_worker", json!({})).await;
        let message = mcp.receive().await;
        assert_eq!(message["method"], "notifications/progress", "{message}");
        assert_eq!(message["params"]["progressToken"], id);
    }
}

#[tokio::test]
async fn progress_rises_and_says_who_runs() {
    // The third look has something: the first two long polls end without an event.
    let polls = std::sync::atomic::AtomicU32::new(0);
    let fake = Fake::start(move |_| match polls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 | 1 => Reply::Json(wait_answer("timeout")),
        _ => Reply::Json(wait_answer("event")),
    });
    let mut mcp = Mcp::start(&fake.url(), OLD, "x", &[]).await;
    let id = mcp.start_call("wait_for_any_worker", json!({})).await;
    let (mut values, mut words) = (Vec::new(), Vec::new());
    let answer = loop {
        let message = mcp.receive().await;
        if message["id"] == id {
            break message;
        }
        values.push(message["params"]["progress"].as_f64().unwrap());
        words.push(message["params"]["message"].as_str().unwrap().to_owned());
    };
    assert_eq!(answer["result"]["structuredContent"]["status"], "event");
    assert_eq!(values.len(), 3);
    assert!(values[0] < 1.0 && values.windows(2).all(|v| v[0] < v[1]), "{values:?}");
    assert_eq!(words[1], "1 running: 01234567 active 1m12s");
}

#[tokio::test]
async fn a_time_out_is_an_answer_and_every_poll_has_the_callers_cursor() {
    let mut fake = Fake::start(|_| Reply::Json(wait_answer("timeout")));
    let mut mcp = Mcp::start(&fake.url(), OLD, "x", &[]).await;
    let result = mcp.call("wait_for_any_worker", json!({"cursor": "5", "timeout_seconds": 0.2})).await;
    assert_eq!(
        (&result["isError"], &result["structuredContent"]["status"]),
        (&json!(false), &json!("timeout"))
    );
    drop(mcp);
    fake.calls.close();
    let mut polls = 0;
    while let Some(call) = soon(fake.calls.recv()).await {
        assert_eq!(call.params["cursor"], "5");
        assert!(call.params["timeout_seconds"].as_f64().unwrap() <= 0.2);
        polls += 1;
    }
    assert!(polls > 0);
}

#[tokio::test]
async fn max_wait_bounds_the_block_whatever_the_caller_asks() {
    let mut fake = Fake::start(|_| Reply::Json(wait_answer("timeout")));
    let mut mcp = Mcp::start(&fake.url(), OLD, "codex-mcp-client", &["--max-wait", "0"]).await;
    mcp.call("wait_for_any_worker", json!({"timeout_seconds": 500})).await;
    assert_eq!(soon(fake.calls.recv()).await.unwrap().params["timeout_seconds"], 0.0);
}

#[tokio::test]
async fn a_cancelled_wait_drops_only_itself() {
    for era in [OLD, Era::Modern { tasks: false }] {
        let (dropped, mut seen) = unbounded_channel();
        let mut fake = Fake::start(move |call| match call.tool.as_str() {
            "wait_for_any_worker" => Reply::Hang(dropped.clone()),
            _ => Reply::Json(json!({"workers": []})),
        });
        let mut mcp = Mcp::start(&fake.url(), era, "x", &[]).await;
        let id = mcp.start_call("wait_for_any_worker", json!({})).await;
        soon(fake.calls.recv()).await.unwrap();
        mcp.notify("notifications/cancelled", json!({"requestId": id, "reason": "r"})).await;
        soon(seen.recv()).await.unwrap();
        let other = mcp.request("tools/call", json!({"name": "list_workers", "arguments": {}})).await;
        // Nothing is said any more about the cancelled call.
        assert!(mcp.answer_to(other).await["result"]["isError"] == false);
    }
}

#[tokio::test]
async fn a_client_with_tasks_gets_a_task_and_then_the_answer() {
    let fake = Fake::start(|call| {
        if call.params["timeout_seconds"] == 0.0 {
            Reply::Json(wait_answer("timeout"))
        } else {
            Reply::Json(wait_answer("event"))
        }
    });
    let mut mcp = Mcp::start(&fake.url(), Era::Modern { tasks: true }, "x", &[]).await;
    let task = mcp.call("wait_for_any_worker", json!({})).await;
    assert_eq!((&task["resultType"], &task["pollIntervalMs"]), (&json!("task"), &json!(3000)), "{task}");
    let id = task["taskId"].clone();
    let done = loop {
        let state = mcp.ask("tasks/get", json!({"taskId": id})).await;
        if state["status"] != "working" {
            break state;
        }
    };
    assert_eq!(done["status"], "completed");
    assert_eq!(done["result"]["structuredContent"]["status"], "event", "{done}");
}

#[tokio::test]
async fn a_cancelled_task_ends_its_wait() {
    let (dropped, mut seen) = unbounded_channel();
    let mut fake = Fake::start(move |call| {
        if call.params["timeout_seconds"] == 0.0 {
            Reply::Json(wait_answer("timeout"))
        } else {
            Reply::Hang(dropped.clone())
        }
    });
    let mut mcp = Mcp::start(&fake.url(), Era::Modern { tasks: true }, "x", &[]).await;
    let task = mcp.call("wait_for_any_worker", json!({})).await["taskId"].take();
    // The first look, then the task's own.
    soon(fake.calls.recv()).await.unwrap();
    soon(fake.calls.recv()).await.unwrap();
    mcp.ask("tasks/cancel", json!({"taskId": task})).await;
    soon(seen.recv()).await.unwrap();
}

#[tokio::test]
async fn what_is_already_known_needs_no_task() {
    let fake = Fake::start(|_| Reply::Json(wait_answer("nothing_to_wait_for")));
    let mut mcp = Mcp::start(&fake.url(), Era::Modern { tasks: true }, "x", &[]).await;
    let result = mcp.call("wait_for_any_worker", json!({})).await;
    assert_eq!(result["structuredContent"]["status"], "nothing_to_wait_for");
}
