//! The stub over real HTTP: the wire, the faults, the log and the control endpoints.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use sandboxed_testkit::stub::{Outcome, Script, Step, StubModel};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);

struct Asking {
    stub: StubModel,
    client: Client,
}

impl Asking {
    async fn start(script: Script) -> Self {
        Self { stub: StubModel::start(script).await.unwrap(), client: Client::new() }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.stub.base_url())
    }

    async fn ask(&self, key: &str, text: &str, stream: bool) -> Response {
        let body = json!({
            "model": "m", "stream": stream, "tools": [{"name": "Bash"}, {"name": "Read"}],
            "messages": [{"role": "user", "content": text}],
        });
        let request = self.client.post(self.url("/v1/messages?beta=true")).header("x-api-key", key);
        request.json(&body).send().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Response {
        self.client.post(self.url(path)).json(&body).send().await.unwrap()
    }

    async fn get_json(&self, path: &str) -> Value {
        self.client.get(self.url(path)).send().await.unwrap().json().await.unwrap()
    }
}

#[tokio::test]
async fn plain_and_streamed_answers_arrive_whole_and_are_logged() {
    let asking = Asking::start(Script::default().scenario("hi", [Step::text("hello")])).await;
    let plain: Value = asking.ask("k1", "[[hi]]", false).await.json().await.unwrap();
    assert_eq!(plain["content"][0]["text"], "hello");
    let streamed = asking.ask("k2", "[[hi]]", true).await;
    assert_eq!(streamed.headers()["content-type"], "text/event-stream; charset=utf-8");
    assert!(streamed.text().await.unwrap().ends_with("{\"type\":\"message_stop\"}\n\n"));

    let complete = |r: &sandboxed_testkit::stub::RequestRecord| r.outcome == Outcome::Complete;
    let requests = asking.stub.wait_for_requests(2, complete, SOON).await.unwrap();
    let seen: Vec<_> = requests.iter().map(|r| (r.id, r.key.as_str(), r.answer.as_str(), r.status)).collect();
    assert_eq!(seen, [(1, "k1", "hi/0", 200), (2, "k2", "hi/0", 200)]);
    assert_eq!((requests[0].path.as_str(), requests[0].query.as_str()), ("/v1/messages", "beta=true"));
    assert_eq!(requests[0].body["messages"][0]["content"], "[[hi]]");
}

#[tokio::test]
async fn a_fault_with_times_is_counted_for_each_key() {
    let failing = Step { times: Some(1), ..Step::error(429) };
    let step = Step { text: Some("recovered".into()), ..failing };
    let asking = Asking::start(Script::default().scenario("e", [step])).await;
    let mut statuses = Vec::new();
    for key in ["a", "b", "a", "b"] {
        statuses.push(asking.ask(key, "[[e]]", true).await.status().as_u16());
    }
    assert_eq!(statuses, [429, 429, 200, 200]);
    asking.stub.reset();
    assert_eq!(asking.ask("a", "[[e]]", true).await.status(), 429);
}

#[tokio::test]
async fn a_cut_delivers_its_events_and_then_breaks_the_connection() {
    let step = Step { disconnect_after: Some(2), ..Step::text("hello") };
    let asking = Asking::start(Script::default().scenario("cut", [step])).await;
    let mut streamed = asking.ask("k", "[[cut]]", true).await;
    let mut received = String::new();
    let error = loop {
        match streamed.chunk().await {
            Ok(Some(bytes)) => received.push_str(&String::from_utf8_lossy(&bytes)),
            Ok(None) => panic!("the stream ended properly"),
            Err(error) => break error,
        }
    };
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_eq!(received.matches("event: ").count(), 2);
    assert!(asking.ask("k", "[[cut]]", false).await.bytes().await.is_err());
    asking.stub.wait_for_requests(2, |r| r.outcome == Outcome::Cut, SOON).await.unwrap();
}

#[tokio::test]
async fn a_hang_lasts_until_the_client_leaves_or_the_stub_stops() {
    let step = Step { hang: true, ..Step::text("hello") };
    let asking = Asking::start(Script::default().scenario("hang", [step])).await;
    let mut first = asking.ask("k", "[[hang]]", true).await;
    first.chunk().await.unwrap().unwrap();
    assert_eq!(asking.stub.requests()[0].outcome, Outcome::Open);
    drop(first);
    asking.stub.wait_for_request(|r| r.outcome == Outcome::ClientLeft, SOON).await.unwrap();

    let second = asking.ask("k", "[[hang]]", true).await;
    drop(asking.stub);
    assert!(second.bytes().await.is_err());
}

#[tokio::test]
async fn mistakes_of_the_script_are_named_with_status_400() {
    let asking = Asking::start(Script::default().scenario("t", [Step::text("{{last:/a}}")])).await;
    for (text, named) in [("[[nope]]", "[[nope]]"), ("[[t]]", "{{last:/a}}")] {
        let response = asking.ask("k", text, true).await;
        assert_eq!(response.status(), 400);
        let body: Value = response.json().await.unwrap();
        assert!(body["error"]["message"].as_str().unwrap().contains(named), "{body}");
    }
    assert!(asking.stub.requests()[0].answer.starts_with("mistake: "));
}

#[tokio::test]
async fn models_and_token_counts_are_answered_and_other_paths_are_stray() {
    let asking = Asking::start(Script::default()).await;
    assert_eq!(asking.get_json("/v1/models").await["data"][0]["id"], "stub-model");
    let counted: Value =
        asking.post("/v1/messages/count_tokens", json!({"a": "b"})).await.json().await.unwrap();
    assert_eq!(counted["input_tokens"], 2);
    assert!(asking.stub.stray_requests().is_empty());
    assert_eq!(asking.post("/v1/nothing", json!({})).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(asking.stub.stray_requests()[0].path, "/v1/nothing");
}

#[tokio::test]
async fn every_api_answers_at_its_path() {
    let asking = Asking::start(Script::default()).await;
    let chat =
        json!({"tools": [{"function": {"name": "a"}}], "messages": [{"role": "user", "content": "x"}]});
    let responses = json!({"tools": [{"name": "a"}], "input": "x"});
    let gemini = json!({"tools": [{"functionDeclarations": [{"name": "a"}]}],
        "contents": [{"role": "user", "parts": [{"text": "x"}]}]});
    let table = [
        ("/v1/chat/completions", &chat, "/choices/0/message/content", json!("ok")),
        ("/v1/responses", &responses, "/output/0/content/0/text", json!("ok")),
        ("/v1/responses/compact", &responses, "/output/1/type", json!("compaction")),
        ("/v1beta/models/m:generateContent", &gemini, "/candidates/0/content/parts/0/text", json!("ok")),
        ("/v1beta/models/m:countTokens", &json!({"a": "b"}), "/totalTokens", json!(2)),
    ];
    for (path, body, pointer, expected) in table {
        let answer: Value = asking.post(path, body.clone()).await.json().await.unwrap();
        assert_eq!(answer.pointer(pointer), Some(&expected), "{path}: {answer}");
    }
    assert_eq!(asking.get_json("/v1beta/models").await["models"][0]["name"], "models/stub-model");
    let streamed = asking.post("/v1beta/models/m:streamGenerateContent?alt=sse", gemini).await;
    assert!(streamed.text().await.unwrap().starts_with("data: {"));
    assert!(asking.stub.stray_requests().is_empty());
    // Without the wish to upgrade, and with methods that no model has.
    assert_eq!(asking.client.get(asking.url("/v1/responses")).send().await.unwrap().status(), 404);
    assert_eq!(asking.post("/v1beta/models/m:embedContent", json!({})).await.status(), 404);
    assert_eq!(asking.stub.stray_requests().len(), 2);
}

#[tokio::test]
async fn control_replaces_the_script_and_forgets_the_log() {
    let asking = Asking::start(Script::default()).await;
    assert_eq!(asking.get_json("/__health").await["ok"], true);
    assert_eq!(asking.post("/__script", json!({"scenarioz": {}})).await.status(), 400);
    let script =
        json!({"scenarios": {"new": {"steps": [{"tool": {"name": "Read"}, "tools": [{"bash": "ls"}]}]}}});
    assert_eq!(asking.post("/__script", script).await.status(), 200);
    let answer: Value = asking.ask("k", "[[new]]", false).await.json().await.unwrap();
    assert_eq!(
        (&answer["content"][0]["name"], &answer["content"][1]["name"]),
        (&json!("Read"), &json!("Bash"))
    );
    assert_eq!(asking.get_json("/__log").await["requests"][0]["answer"], "new/0");
    asking.post("/__reset", json!(null)).await;
    assert_eq!(asking.get_json("/__log").await["requests"], json!([]));
}

#[tokio::test]
async fn a_wait_in_vain_says_what_was_seen() {
    let asking = Asking::start(Script::default()).await;
    asking.get_json("/v1/models").await;
    let error = asking.stub.wait_for_request(|r| r.path == "/other", Duration::ZERO).await.unwrap_err();
    assert_eq!(error.seen, ["GET /v1/models -> models (Complete)"]);
}
