//! A daemon that dies and is replaced while clients talk to it.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tokio::sync::mpsc::unbounded_channel;

use crate::{
    client::{Era, Mcp, soon},
    fake::{Fake, Reply, wait_answer},
};

const OLD: Era = Era::Legacy("2025-06-18");

#[tokio::test]
async fn a_wait_survives_the_daemon_being_killed_and_replaced() {
    let (dropped, _keep) = unbounded_channel();
    let mut first = Fake::start(move |_| Reply::Hang(dropped.clone()));
    let mut mcp = Mcp::start(&first.url(), OLD, "claude-code", &[]).await;
    let id = mcp.start_call("wait_for_any_worker", json!({"cursor": "5"})).await;
    let before = soon(first.calls.recv()).await.unwrap();
    let port = first.kill();
    let mut second = Fake::start_on(port, |_| Reply::Json(wait_answer("event")));
    let answer = mcp.answer_to(id).await;
    assert_eq!(answer["result"]["structuredContent"]["status"], "event", "{answer}");
    let after = soon(second.calls.recv()).await.unwrap();
    assert_eq!(
        (before.params["cursor"].clone(), before.caller),
        (after.params["cursor"].clone(), after.caller)
    );
}

#[tokio::test]
async fn a_call_goes_to_the_daemon_that_took_over() {
    let first = Fake::start(|_| Reply::Json(json!({"workers": []})));
    let mut mcp = Mcp::start(&first.url(), OLD, "x", &[]).await;
    mcp.call("list_workers", json!({})).await;
    let port = first.kill();
    let _second = Fake::start_on(port, |_| Reply::Json(json!({"workers": [], "next_cursor": "second"})));
    let result = mcp.call("list_workers", json!({})).await;
    assert_eq!(result["structuredContent"]["next_cursor"], "second");
}

fn breaks_once(answer: serde_json::Value) -> Fake {
    let broken = AtomicBool::new(false);
    Fake::start(move |_| match broken.swap(true, Ordering::SeqCst) {
        false => Reply::Break,
        true => Reply::Json(answer.clone()),
    })
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_is_sent_again_with_the_same_key() {
    let mut fake = breaks_once(json!({"created": 0, "existing": 1, "failed": 0, "workers": []}));
    let mut mcp = Mcp::start(&fake.url(), OLD, "x", &[]).await;
    let result = mcp.call("batch_create_workers", json!({"workers": [{"title": "t"}]})).await;
    assert_eq!(result["structuredContent"]["existing"], 1);
    let (one, two) = (soon(fake.calls.recv()).await.unwrap(), soon(fake.calls.recv()).await.unwrap());
    assert!(one.params["idempotency_key"].as_str().unwrap().len() > 20);
    assert_eq!(one, two);
    let result = mcp.call("batch_create_workers", json!({"workers": [], "idempotency_key": "mine"})).await;
    assert_eq!(result["isError"], false);
    assert_eq!(soon(fake.calls.recv()).await.unwrap().params["idempotency_key"], "mine");
}

#[tokio::test]
async fn a_message_whose_answer_was_lost_is_not_sent_twice() {
    let mut fake = breaks_once(json!({"queued": true, "position": 0}));
    let mut mcp = Mcp::start(&fake.url(), OLD, "x", &[]).await;
    let error = mcp.call_failing("send_message_to_worker", json!({"worker_id": "w", "content": "c"})).await;
    assert_eq!(error["code"], "daemon_unreachable");
    assert!(error["hint"].as_str().unwrap().contains("look"), "{error}");
    soon(fake.calls.recv()).await.unwrap();
    assert!(fake.calls.try_recv().is_err());
}

#[tokio::test]
async fn an_absent_daemon_is_an_error_that_says_what_to_do() {
    let port = Fake::start(|_| Reply::Break).kill();
    let url = format!("http://127.0.0.1:{port}");
    let mut mcp = Mcp::start(&url, OLD, "x", &[]).await;
    let error = mcp.call_failing("list_workers", json!({})).await;
    assert_eq!(error["code"], "daemon_unreachable");
    assert!(error["message"].as_str().unwrap().contains(&url), "{error}");
    assert!(!error["hint"].as_str().unwrap().is_empty());
}
