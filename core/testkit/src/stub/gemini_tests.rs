//! Tables for the Gemini wire.

use super::*;
use crate::stub::{End, compose};

const STREAM: &str = "/v1beta/models/gemini-x:streamGenerateContent";
const PLAIN: &str = "/v1beta/models/gemini-x:generateContent";

fn request() -> Value {
    json!({
        "systemInstruction": {"role": "user", "parts": [{"text": "[[no]]"}]},
        "tools": [{"functionDeclarations": [{"name": "run_shell_command"}, {"name": "read_file"}]}],
        "contents": [
            {"role": "user", "parts": [{"text": "context"}, {"text": "go [[x]]"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "run_shell_command", "args": {}}}]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "run_shell_command", "response": {"output": "plain"}}},
                {"functionResponse": {"name": "read_file", "response": {"error": "no"}}}]},
        ],
    })
}

fn rendered(step: &Step, path: &str) -> Reply {
    let conversation = read(path, &request());
    let answer = compose(step, &conversation).unwrap();
    reply(&conversation, step, &answer, step.fault(0), "1")
}

fn chunks(reply: &Reply) -> Vec<Value> {
    let data = reply.frames.iter().map(|frame| frame.strip_prefix("data: ").unwrap());
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn parts(chunks: &[Value]) -> Vec<Value> {
    let parts = chunks.iter().flat_map(|chunk| items(&chunk["candidates"][0]["content"]["parts"]));
    parts.cloned().collect()
}

#[test]
fn a_request_is_read_into_texts_results_and_tools() {
    let conversation = read(STREAM, &request());
    assert_eq!((conversation.model.as_str(), conversation.stream), ("gemini-x", true));
    assert!(!read(PLAIN, &request()).stream);
    assert_eq!(conversation.tools, ["run_shell_command", "read_file"]);
    let first = Entry::User { texts: vec!["context".into(), "go [[x]]".into()], results: vec![] };
    let last = Entry::User { texts: vec![], results: vec!["plain".into(), r#"{"error":"no"}"#.into()] };
    assert_eq!(conversation.entries, [first, Entry::Assistant, last]);
}

#[test]
fn a_stream_carries_thoughts_text_calls_and_usage() {
    let usage = Usage { input: 1, output: 20, cache_read: 3, cache_write: 4, reasoning: 5 };
    let step = Step {
        thinking: Some("hm".into()),
        bash: Some("ls".into()),
        usage,
        ..Step::text("a text of two deltas")
    };
    let chunks = chunks(&rendered(&step, STREAM));
    let parts = parts(&chunks);
    assert_eq!(parts[0], json!({"text": "hm", "thought": true}));
    let text: String = parts[1..3].iter().map(|part| part["text"].as_str().unwrap()).collect();
    assert_eq!(text, "a text of two deltas");
    assert_eq!(parts[3]["functionCall"]["name"], "run_shell_command");
    assert_eq!(parts[3]["functionCall"]["args"]["command"], "ls");
    let last = &chunks[chunks.len() - 1];
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    let counts = json!({"promptTokenCount": 8, "cachedContentTokenCount": 3, "candidatesTokenCount": 15,
        "thoughtsTokenCount": 5, "totalTokenCount": 28});
    assert_eq!(last["usageMetadata"], counts);
}

#[test]
fn a_plain_answer_says_the_same_as_the_stream() {
    let step = Step { bash: Some("ls".into()), ..Step::text("a text of two deltas") };
    let whole: Value = serde_json::from_str(&rendered(&step, PLAIN).frames[0]).unwrap();
    let parts = parts(std::slice::from_ref(&whole));
    assert_eq!(parts[0], json!({"text": "a text of two deltas"}));
    assert_eq!(parts[1]["functionCall"]["name"], "run_shell_command");
    assert_eq!((&whole["candidates"][0]["finishReason"], parts.len()), (&json!("STOP"), 2));
}

#[test]
fn faults_shape_stream_and_plain_answer() {
    let error = StreamError { kind: "UNAVAILABLE".into(), message: "full".into() };
    let failing = Step { stream_error: Some(error), ..Step::text("hi") };
    let failed = chunks(&rendered(&failing, STREAM));
    assert_eq!((failed.len(), &failed[1]["error"]["code"]), (2, &json!(503)));
    assert_eq!(rendered(&failing, PLAIN).status, 503);

    let hanging = Step { hang: true, ..Step::text("hi") };
    let reply = rendered(&hanging, STREAM);
    assert_eq!((reply.frames.len(), reply.end), (1, End::Hang));
    let cut = Step { disconnect_after: Some(1), ..Step::text("a text of two deltas") };
    let reply = rendered(&cut, STREAM);
    assert_eq!((reply.frames.len(), reply.end), (1, End::Cut));
    assert_eq!(rendered(&cut, PLAIN).end, End::Cut);
}

#[test]
fn a_quota_names_its_period_and_its_delay() {
    let body = |step: &Step| -> Value {
        let reply = rendered(step, STREAM);
        assert_eq!(reply.status, 429);
        serde_json::from_str(&reply.frames[0]).unwrap()
    };
    let mut minute = Step::limit(Limit::Rate);
    minute.error.as_mut().unwrap().retry_after = Some(7);
    let minute = body(&minute);
    assert_eq!(minute["error"]["status"], "RESOURCE_EXHAUSTED");
    let quota = |body: &Value| body["error"]["details"][0]["violations"][0].clone();
    assert_eq!(quota(&minute)["quotaId"], "GenerateRequestsPerMinutePerProjectPerModel");
    assert_eq!(quota(&minute)["quotaDimensions"]["model"], "gemini-x");
    assert_eq!(minute["error"]["details"][1]["retryDelay"], "7s");
    let day = body(&Step::limit(Limit::Usage));
    assert_eq!(quota(&day)["quotaId"], "GenerateRequestsPerDayPerProjectPerModel");
    assert_eq!(day["error"]["details"].as_array().unwrap().len(), 1);
}

#[test]
fn models_and_token_counts() {
    let list: Value = serde_json::from_str(&models(&["a".into()]).frames[0]).unwrap();
    assert_eq!(list["models"][0]["name"], "models/a");
    let counted: Value = serde_json::from_str(&count_tokens(&json!({"a": "b"})).frames[0]).unwrap();
    assert_eq!(counted["totalTokens"], 2);
}
