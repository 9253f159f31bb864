//! Handshakes, the list of tools, arguments, errors, and a clean end.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    client::{Era, Mcp, soon},
    fake::{Fake, Reply},
};

const OLD: Era = Era::Legacy("2025-06-18");
const NEW: Era = Era::Modern { tasks: false };
const INSIDE: &[(&str, &str)] = &[("SANDBOXED_SH_MISSION_ID", "m")];

fn quiet() -> Fake {
    Fake::start(|call| panic!("unexpected {call:?}"))
}

/// `UPDATE_GOLDEN=1` writes the file anew.
#[tokio::test]
async fn the_list_of_tools_is_the_one_checked_in() {
    let url = "unix:/nonexistent";
    let mut mcp = Mcp::start_with(url, OLD, "x", &[], INSIDE).await;
    let tools = mcp.ask("tools/list", json!({})).await["tools"].take();
    let text = format!("{}\n", serde_json::to_string_pretty(&tools).unwrap());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(tools, golden, "tools/list changed: if that is meant, run this test with UPDATE_GOLDEN=1");
}

#[tokio::test]
async fn every_era_sees_the_same_tools_and_instructions() {
    let fake = quiet();
    let mut seen = Vec::new();
    for era in [Era::Legacy("2024-11-05"), OLD, Era::Legacy("2025-11-25"), NEW] {
        let mut mcp = Mcp::start(&fake.url(), era, "x", &[]).await;
        if let Era::Legacy(version) = era {
            assert_eq!(mcp.info["protocolVersion"], version);
        }
        let instructions = mcp.info["instructions"].as_str().unwrap().to_owned();
        assert!(instructions.starts_with("batch_create_workers"), "{instructions}");
        let tools = mcp.ask("tools/list", json!({})).await["tools"].take();
        seen.push((instructions, tools));
        assert!(mcp.hang_up().await.success());
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn report_outcome_is_offered_to_missions_only() {
    let fake = quiet();
    // The variable alone, without a mission's socket, makes no mission.
    let mut boss = Mcp::start_with(&fake.url(), OLD, "x", &[], INSIDE).await;
    let names = |list: Value| -> Vec<String> {
        list["tools"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap().to_owned()).collect()
    };
    let outside = names(boss.ask("tools/list", json!({})).await);
    assert!(!outside.contains(&"report_outcome".to_owned()));
    let call = json!({"name": "report_outcome", "arguments": {"outcome": "DONE", "summary": "s"}});
    assert_eq!(boss.ask_raw("tools/call", call).await["error"]["code"], -32602);
    let mut worker = Mcp::start_with("unix:/nonexistent", OLD, "x", &[], INSIDE).await;
    let inside = names(worker.ask("tools/list", json!({})).await);
    assert!(inside.contains(&"report_outcome".to_owned()));
    assert!(worker.info["instructions"].as_str().unwrap().starts_with("You are a worker"));
}

#[tokio::test]
async fn a_call_carries_who_calls_and_comes_back_as_text_and_structure() {
    let mut fake = Fake::start(|_| Reply::Json(json!({"workers": [], "next_cursor": "c"})));
    for era in [OLD, NEW] {
        let mut mcp = Mcp::start(&fake.url(), era, "x", &["--boss", "b", "--workspace", "host"]).await;
        let result = mcp.call("list_workers", json!({"status": ["failed"]})).await;
        let want = json!({"workers": [], "next_cursor": "c"});
        assert_eq!(result["structuredContent"], want);
        let text = result["content"][0]["text"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), want);
        let call = soon(fake.calls.recv()).await.unwrap();
        assert_eq!(call.params, json!({"status": ["failed"]}));
        assert_eq!((&call.caller["boss"], &call.caller["workspace"]), (&json!("b"), &json!("host")));
    }
}

#[tokio::test]
async fn a_boss_without_a_name_is_its_working_directory() {
    let mut fake = Fake::start(|_| Reply::Json(json!({"workers": []})));
    let mut mcp = Mcp::start(&fake.url(), OLD, "x", &[]).await;
    mcp.call("list_workers", json!({})).await;
    let caller = soon(fake.calls.recv()).await.unwrap().caller;
    assert!(caller["boss"].as_str().unwrap().starts_with('/'));
    assert_eq!(caller["boss"], caller["working_directory"]);
}

#[tokio::test]
async fn a_refusal_of_the_daemon_is_a_tool_error_with_all_its_parts() {
    let problem = json!({"title": "t", "status": 404, "code": "unknown_worker", "detail": "no worker w",
        "field": "worker_id", "hint": "list_workers"});
    let fake = Fake::start(move |_| Reply::Problem(404, problem.clone()));
    for era in [OLD, NEW] {
        let mut mcp = Mcp::start(&fake.url(), era, "x", &[]).await;
        let error = mcp.call_failing("get_worker", json!({"worker_id": "w"})).await;
        let want = json!({"code": "unknown_worker", "message": "no worker w", "field": "worker_id",
            "hint": "list_workers"});
        assert_eq!(error, want);
    }
}

#[tokio::test]
async fn a_bad_argument_never_reaches_the_daemon() {
    let fake = quiet();
    let mut mcp = Mcp::start(&fake.url(), OLD, "x", &[]).await;
    let error = mcp.call_failing("get_worker", json!({"worker_id": "w", "veiw": "log"})).await;
    assert_eq!((&error["code"], &error["field"]), (&json!("unknown_field"), &json!("veiw")));
    let error = mcp.call_failing("wait_for_any_worker", json!({"timeout_seconds": -1})).await;
    assert_eq!((&error["code"], &error["field"]), (&json!("invalid_argument"), &json!("timeout_seconds")));
    let error = mcp.call_failing("cancel_worker", json!({"all": "yes"})).await;
    assert_eq!((&error["code"], &error["field"]), (&json!("invalid_argument"), &json!("all")));
    let answer = mcp.ask_raw("tools/call", json!({"name": "no_such_tool", "arguments": {}})).await;
    assert_eq!(answer["error"]["code"], -32602);
}

#[tokio::test]
async fn an_answer_beyond_its_bound_is_refused() {
    let rows: Vec<_> = (0..2000)
        .map(|i| {
            json!({"worker_id": "01234567-0000-0000-0000-000000000000", "title": i.to_string(),
            "backend": "command", "status": "active", "seconds": 1})
        })
        .collect();
    let fake = Fake::start(move |_| Reply::Json(json!({"workers": rows})));
    let mut mcp = Mcp::start(&fake.url(), OLD, "x", &[]).await;
    assert_eq!(mcp.call_failing("list_workers", json!({})).await["code"], "too_large");
}

#[tokio::test]
async fn the_end_of_stdin_and_sigterm_are_clean_ends_also_during_a_wait() {
    let (dropped, _) = tokio::sync::mpsc::unbounded_channel();
    let mut fake = Fake::start(move |_| Reply::Hang(dropped.clone()));
    for waiting in [false, true] {
        let mut mcp = Mcp::start(&fake.url(), OLD, "x", &[]).await;
        if waiting {
            mcp.start_call("wait_for_any_worker", json!({})).await;
            soon(fake.calls.recv()).await.unwrap();
        }
        let pid = Pid::from_raw(mcp.child.id().unwrap().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        assert!(mcp.exit().await.success(), "SIGTERM, waiting {waiting}");
    }
    let mcp = Mcp::start(&fake.url(), NEW, "x", &[]).await;
    assert!(mcp.hang_up().await.success());
}
