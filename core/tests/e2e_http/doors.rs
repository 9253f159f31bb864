//! Who is let in, and how the daemon says no.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::raw::{Answer, Http};
use crate::support::Daemon;

const NOBODY: &str = "00000000-0000-4000-8000-000000000001";

#[tokio::test(flavor = "multi_thread")]
async fn health_is_open_and_says_no_more_than_it_must() {
    let daemon = Daemon::start().await;
    let health = Http::with_token(daemon.settings(), None).get("/api/health").await.ok();
    let mut fields: Vec<_> = health.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    assert_eq!(fields, ["auth_required", "build_id", "pid", "status", "version"]);
    assert_eq!((&health["status"], &health["auth_required"]), (&json!("ok"), &json!(true)));
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_route_wants_the_token() {
    let daemon = Daemon::start().await;
    let routes = [
        ("GET", "/api/control/missions"),
        ("POST", "/api/control/missions"),
        ("GET", "/api/control/missions/x"),
        ("DELETE", "/api/control/missions/x"),
        ("GET", "/api/control/missions/x/events"),
        ("POST", "/api/control/missions/x/cancel"),
        ("POST", "/api/control/missions/x/resume"),
        ("POST", "/api/control/missions/x/load"),
        ("POST", "/api/control/message"),
        ("GET", "/api/control/stream"),
        ("GET", "/api/control/progress"),
        ("GET", "/api/control/running"),
        ("GET", "/api/control/queue"),
        ("DELETE", "/api/control/queue/x"),
        ("GET", "/api/control/diagnostics/command"),
        ("GET", "/api/control/requests"),
        ("POST", "/api/control/requests/x/answer"),
        ("GET", "/api/workspaces"),
        ("POST", "/api/workspaces"),
        ("POST", "/api/workspaces/host/exec"),
        ("GET", "/api/backends"),
        ("GET", "/metrics"),
        ("POST", "/api/orchestrator/list_workers"),
        ("GET", "/no/such/route"),
    ];
    let tokens = [None, Some(String::new()), Some("wrong".to_owned())];
    for token in tokens {
        let http = Http::with_token(daemon.settings(), token);
        for (method, path) in routes {
            let answer = Answer::of(http.request(method, path)).await;
            let problem = answer.problem(401, "unauthorized", Some("Authorization"));
            assert!(!problem.to_string().contains("wrong"), "{problem}");
        }
    }
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_a_problem_that_names_it() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    for (method, path) in [("GET", "/api/nope"), ("PUT", "/api/control/missions"), ("GET", "/")] {
        let problem = Answer::of(http.request(method, path)).await.problem(404, "not_found", None);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(method) && detail.contains(path), "{detail}");
    }
    for id in [NOBODY, "x"] {
        let path = format!("/api/control/missions/{id}");
        http.get(&path).await.problem(404, "not_found", Some("mission_id"));
        http.delete(&path).await.problem(404, "not_found", Some("mission_id"));
        http.get(&format!("{path}/events")).await.problem(404, "not_found", Some("mission_id"));
        for verb in ["cancel", "resume", "load"] {
            http.post(&format!("{path}/{verb}"), json!({})).await.problem(
                404,
                "not_found",
                Some("mission_id"),
            );
        }
        let path = format!("/api/workspaces/{id}");
        http.get(&path).await.problem(404, "unknown_workspace", Some("workspace_id"));
        http.delete(&path).await.problem(404, "unknown_workspace", Some("workspace_id"));
    }
    http.delete("/api/control/queue/x").await.problem(404, "not_found", Some("id"));
    http.post("/api/control/requests/x/answer", json!({"decision": "allow"})).await.problem(
        404,
        "not_found",
        Some("request_id"),
    );
    http.get("/api/control/diagnostics/vi").await.problem(400, "unknown_backend", Some("backend"));
    http.post("/api/orchestrator/nope", json!({"caller": {"boss": "b"}})).await.problem(
        404,
        "not_found",
        None,
    );
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_cannot_be_read_is_refused_by_field() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    let list = "/api/control/missions";
    let cases = [
        ("limit=0", "invalid_argument", "limit"),
        ("limit=201", "invalid_argument", "limit"),
        ("limit=many", "invalid_argument", "limit"),
        ("cursor=zzz", "invalid_argument", "cursor"),
        ("status=done", "invalid_argument", "status"),
        ("parent=x", "invalid_argument", "parent"),
        ("colour=red", "unknown_field", "colour"),
    ];
    for (query, code, field) in cases {
        http.get(&format!("{list}?{query}")).await.problem(400, code, Some(field));
    }
    http.get("/api/control/stream?since_seq=x").await.problem(400, "invalid_argument", Some("since_seq"));
    http.get("/api/control/stream?foo=x").await.problem(400, "unknown_field", Some("foo"));
    http.get(&format!("/api/control/stream?mission={NOBODY}")).await.problem(
        404,
        "not_found",
        Some("mission_id"),
    );
    let stream = http.request("GET", "/api/control/stream").header("Last-Event-ID", "x");
    Answer::of(stream).await.problem(400, "invalid_argument", Some("Last-Event-ID"));
    let none: Value = http.get(list).await.ok();
    assert_eq!(none["missions"], json!([]));
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_those_described_and_tell_what_is_there() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    http.post("/api/workspaces", json!({"name": "one"})).await.ok();
    http.post("/api/workspaces/one/start", json!({})).await.ok();
    daemon.run("boss@host", "true").await;
    let text = daemon.client().metrics().await.unwrap();
    let value = |series: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {text}")).parse().unwrap()
    };
    assert_eq!(value("sandboxed_sh_missions{status=\"completed\"}"), 1.0);
    assert_eq!(value("sandboxed_sh_missions{status=\"failed\"}"), 0.0);
    assert_eq!(value("sandboxed_sh_workspaces{state=\"ready\"}"), 2.0);
    assert!(value("sandboxed_sh_workspace_memory_bytes{workspace=\"one\"}") > 0.0);
    assert!(value("sandboxed_sh_workspace_cpu_seconds_total{workspace=\"one\"}") > 0.0);
    assert!(value("sandboxed_sh_workspace_disk_bytes{workspace=\"one\"}") > 0.0);
    assert!(value("sandboxed_sh_workspace_processes{workspace=\"one\"}") >= 1.0);
    assert!(value("sandboxed_sh_events_total") > 1.0 && value("sandboxed_sh_disk_free_bytes") > 0.0);
    let name = |line: &str| line.split(['{', ' ']).next().unwrap().to_owned();
    let served: BTreeSet<_> = text.lines().filter(|line| !line.starts_with('#')).map(name).collect();
    let reference =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference.md")).unwrap();
    let words = reference.split('`').filter(|word| word.starts_with("sandboxed_sh_") && !word.contains('.'));
    assert_eq!(served, words.map(str::to_owned).collect::<BTreeSet<_>>());
    daemon.finish().await;
}
