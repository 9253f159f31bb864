//! Missions: created, listed, read by page, and talked to.

use serde_json::{Value, json};

use crate::raw::Http;
use crate::support::Daemon;

const MISSIONS: &str = "/api/control/missions";

async fn create(http: &Http, body: Value) -> String {
    http.post(MISSIONS, body).await.ok()["id"].as_str().unwrap().to_owned()
}

/// A mission on the host that runs a script, when it has ended.
async fn ended(daemon: &Daemon, http: &Http, script: &str) -> String {
    let id = create(http, json!({"backend": "command", "workspace_id": "host", "prompt": script})).await;
    crate::stream::wait_for_status(daemon, &id, "completed").await;
    id
}

fn ids(page: &Value) -> Vec<String> {
    page["missions"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_read_by_pages_newest_first_and_by_status() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    let mut made = Vec::new();
    for n in 0..5 {
        // Without a prompt nothing runs: they wait for a message.
        let body = json!({"title": format!("mission {n}"), "backend": "command", "workspace_id": "host"});
        made.push(create(&http, body).await);
    }
    http.post(&format!("{MISSIONS}/{}/cancel", made[1]), json!({})).await.ok();
    made.reverse();
    let (mut seen, mut query) = (Vec::new(), "limit=2".to_owned());
    loop {
        let page = http.get(&format!("{MISSIONS}?{query}")).await.ok();
        assert!(ids(&page).len() <= 2);
        seen.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("limit=2&cursor={}", cursor.replace('|', "%7C").replace('+', "%2B"));
    }
    assert_eq!(seen, made);
    let cancelled = http.get(&format!("{MISSIONS}?status=cancelled")).await.ok();
    assert_eq!(ids(&cancelled), [made[3].clone()]);
    assert_eq!(cancelled["missions"][0]["terminal_reason"], "cancelled_by_user");
    let both = http.get(&format!("{MISSIONS}?status=waiting,cancelled&limit=200")).await.ok();
    assert_eq!(ids(&both), made);
    let sql = "SELECT id, status, created_at FROM missions ORDER BY created_at DESC";
    let database = rusqlite::Connection::open(daemon.data().join("missions/missions.db")).unwrap();
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(rows.map(Result::unwrap).collect::<Vec<_>>(), made);
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_read_by_limit_offset_sequence_and_type() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    let id = ended(&daemon, &http, "echo out").await;
    let read = async |query: &str| http.get(&format!("{MISSIONS}/{id}/events?{query}")).await.ok();
    let all = read("").await;
    let events = all["events"].as_array().unwrap().clone();
    let sequences: Vec<i64> = events.iter().map(|e| e["sequence"].as_i64().unwrap()).collect();
    assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
    assert_eq!(all["total"], events.len());
    assert!(events.len() >= 6, "{events:#?}");
    for event in &events {
        assert_eq!(event["mission_id"], json!(id));
        assert!(event["timestamp"].is_string() && event["type"].is_string());
    }
    let page = read("limit=2&offset=1").await;
    assert_eq!(page["events"].as_array().unwrap()[..], events[1..3]);
    assert_eq!((&page["total"], &page["next_since_seq"]), (&all["total"], &json!(sequences[2])));
    let rest = read(&format!("since_seq={}", sequences[2])).await;
    assert_eq!(rest["events"].as_array().unwrap()[..], events[3..]);
    let chosen = read("types=user_message,text_delta").await;
    let types: Vec<_> =
        chosen["events"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["user_message", "text_delta"]);
    assert_eq!(chosen["total"], 2);
    let mission = http.get(&format!("{MISSIONS}/{id}")).await.ok();
    assert_eq!((&mission["status"], &mission["terminal_reason"]), (&json!("completed"), &json!("done")));
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_the_next_turn_or_waits_for_it() {
    // A program that is native and says nothing stands for the agent: here it never gets its slot.
    let env =
        [("SANDBOXED_SH_MAX_PARALLEL", "1"), ("CLAUDE_CLI_PATH", "/bin/true"), ("ANTHROPIC_API_KEY", "none")];
    let daemon = Daemon::start_with(&env).await;
    let http = Http::new(daemon.settings());
    http.post("/api/control/message", json!({"content": "hello"})).await.problem(
        400,
        "invalid_argument",
        Some("mission_id"),
    );
    let open = create(&http, json!({"backend": "command", "workspace_id": "host"})).await;
    let sent = http.post("/api/control/message", json!({"content": "echo $$; exec sleep 600"})).await.ok();
    assert_eq!((&sent["queued"], &sent["mission_id"]), (&json!(false), &json!(open)));
    crate::stream::wait_for_status(&daemon, &open, "active").await;
    let pending =
        create(&http, json!({"backend": "claudecode", "workspace_id": "host", "prompt": "first"})).await;
    let body = json!({"content": "second", "mission_id": pending});
    let sent = http.post("/api/control/message", body).await.ok();
    assert_eq!(sent["queued"], true);
    let queue = http.get("/api/control/queue").await.ok();
    let contents: Vec<_> = queue.as_array().unwrap().iter().map(|m| m["content"].as_str().unwrap()).collect();
    assert_eq!(contents, ["first", "second"]);
    let path = format!("/api/control/queue/{}", sent["id"].as_str().unwrap());
    assert_eq!(http.delete(&path).await.status, 204);
    http.delete(&path).await.problem(404, "not_found", Some("id"));
    http.post("/api/control/message", json!({"content": " ", "mission_id": pending})).await.problem(
        400,
        "invalid_argument",
        Some("content"),
    );
    http.post("/api/control/message", json!({"content": "x", "mission_id": open})).await.problem(
        501,
        "not_available",
        Some("mission_id"),
    );
    http.post(&format!("{MISSIONS}/{pending}/cancel"), json!({})).await.ok();
    http.post("/api/control/message", json!({"content": "x", "mission_id": pending})).await.problem(
        409,
        "wrong_state",
        Some("mission_id"),
    );
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_of_a_mission_that_still_runs_that_it_is_being_cancelled() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    // It takes its time to end, so that the answer comes before.
    let script = "trap '' TERM; echo begun; sleep 600 & wait; wait";
    let id = create(&http, json!({"backend": "command", "workspace_id": "host", "prompt": script})).await;
    crate::stream::wait_for_status(&daemon, &id, "active").await;
    let cancel = crate::images::cli(&daemon, &["mission", "cancel", &id]);
    let said = String::from_utf8(cancel.stderr).unwrap();
    assert!(cancel.status.success() && said.contains("being cancelled"), "{said}");
    crate::stream::wait_for_status(&daemon, &id, "cancelled").await;
    let again = crate::images::cli(&daemon, &["mission", "cancel", &id]);
    assert_eq!(again.status.code(), Some(4), "{again:?}");
    daemon.finish().await;
}
