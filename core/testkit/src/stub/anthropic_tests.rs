//! Tables for the Anthropic wire.

use super::*;
use crate::stub::{End, Script, compose};

fn request() -> Value {
    json!({
        "model": "m", "stream": true, "tools": [{"name": "Bash"}, {"name": "Read"}],
        "messages": [
            {"role": "user", "content": "go [[x]]"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "[[y]]"}]},
                {"type": "tool_result", "tool_use_id": "u", "content": "plain"},
                {"type": "text", "text": "reminder"}]},
        ],
    })
}

fn rendered(step: &Step, stream: bool) -> Reply {
    let conversation = Conversation { stream, ..read("", &request()) };
    let answer = compose(step, &conversation).unwrap();
    reply(&conversation, step, &answer, step.fault(0), "1")
}

fn events(reply: &Reply) -> Vec<Value> {
    let data = |frame: &String| serde_json::from_str(frame.split_once("data: ").unwrap().1).unwrap();
    reply.frames.iter().map(data).collect()
}

fn types(reply: &Reply) -> Vec<String> {
    events(reply)
        .iter()
        .map(|event| event["type"].as_str().unwrap().replace("content_block", "block"))
        .collect()
}

#[test]
fn a_request_is_read_into_texts_results_and_tools() {
    let conversation = read("", &request());
    assert_eq!(conversation.tools, ["Bash", "Read"]);
    assert!(!conversation.is_side_request());
    let last = Entry::User { texts: vec!["reminder".into()], results: vec!["[[y]]".into(), "plain".into()] };
    let first = Entry::User { texts: vec!["go [[x]]".into()], results: vec![] };
    assert_eq!(conversation.entries, [first, Entry::Assistant, last]);
}

#[test]
fn a_stream_carries_thinking_text_and_tool_in_well_formed_events() {
    let step =
        Step { thinking: Some("hm".into()), bash: Some("ls".into()), ..Step::text("a text of twenty-five.") };
    let reply = rendered(&step, true);
    let expected = "message_start \
        block_start block_delta block_delta block_stop \
        block_start block_delta block_delta block_stop \
        block_start block_delta block_delta block_delta block_delta block_stop \
        message_delta message_stop";
    assert_eq!(types(&reply).join(" "), expected);
    let joined = |kind: &str, field: &str| -> String {
        let events = events(&reply);
        let deltas = events.iter().filter(|event| event["delta"]["type"] == kind);
        deltas.map(|event| event["delta"][field].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(joined("text_delta", "text"), "a text of twenty-five.");
    let input: Value = serde_json::from_str(&joined("input_json_delta", "partial_json")).unwrap();
    assert_eq!(input["command"], "ls");
    assert!(reply.frames[0].starts_with("event: message_start\ndata: {"));
}

#[test]
fn a_plain_answer_says_the_same_as_the_stream() {
    let usage = Usage { input: 1, output: 2, cache_read: 3, cache_write: 4, reasoning: 0 };
    let step = Step { bash: Some("ls".into()), usage, ..Step::text("hi") };
    let message: Value = serde_json::from_str(&rendered(&step, false).frames[0]).unwrap();
    assert_eq!(message["content"][0], json!({"type": "text", "text": "hi"}));
    assert_eq!(message["content"][1]["name"], "Bash");
    assert_eq!(message["stop_reason"], "tool_use");
    let counts = json!({"input_tokens": 1, "output_tokens": 2,
        "cache_read_input_tokens": 3, "cache_creation_input_tokens": 4});
    assert_eq!(message["usage"], counts);
    let streamed = events(&rendered(&step, true));
    assert_eq!(streamed[streamed.len() - 2]["usage"], counts);
}

#[test]
fn faults_shape_stream_and_plain_answer() {
    let error = StreamError { kind: "overloaded_error".into(), message: "full".into() };
    let failing = Step { stream_error: Some(error), ..Step::text("hi") };
    assert_eq!(types(&rendered(&failing, true)), ["message_start", "block_start", "block_delta", "error"]);
    assert_eq!(rendered(&failing, false).status, 529);

    let hanging = Step { hang: true, ..Step::text("hi") };
    let reply = rendered(&hanging, true);
    assert_eq!((types(&reply).len(), reply.end), (3, End::Hang));
    assert_eq!(rendered(&hanging, false).end, End::Hang);

    let cut = Step { disconnect_after: Some(2), ..Step::text("hi") };
    let reply = rendered(&cut, true);
    assert_eq!((types(&reply), reply.end), (vec!["message_start".into(), "block_start".into()], End::Cut));
    let reply = rendered(&cut, false);
    assert!(serde_json::from_str::<Value>(&reply.frames[0]).is_err());
    assert_eq!(reply.end, End::Cut);
}

#[test]
fn an_error_carries_status_headers_and_body() {
    let script = r#"{"scenarios": {"e": {"steps": [{"headers": {"x-a": "1"}, "times": 1, "error":
        {"status": 429, "retry_after": 7, "headers": {"x-b": "2"}}}]}}}"#;
    let script = Script::from_json(script).unwrap();
    let reply = rendered(&script.scenarios["e"].steps[0], true);
    let headers =
        [("retry-after", "7"), ("x-a", "1"), ("x-b", "2")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!((reply.status, reply.headers), (429, headers.into()));
    let body: Value = serde_json::from_str(&reply.frames[0]).unwrap();
    assert_eq!(body["error"]["type"], "rate_limit_error");
    let own = Step {
        error: Some(ErrorReply { status: 400, body: Some(json!({"a": 1})), ..Default::default() }),
        ..Step::default()
    };
    assert_eq!(rendered(&own, false).frames, [r#"{"a":1}"#]);
}

#[test]
fn what_is_used_up_is_told_as_the_api_does() {
    let at = |limit| {
        let mut step = Step::limit(limit);
        step.error.as_mut().unwrap().resets_at = Some(5);
        rendered(&step, true)
    };
    let usage = at(Limit::Usage);
    assert_eq!(usage.status, 429);
    assert_eq!(usage.headers["anthropic-ratelimit-unified-status"], "rejected");
    assert_eq!(usage.headers["anthropic-ratelimit-unified-reset"], "5");
    let (rate, credit) = (at(Limit::Rate), at(Limit::Credit));
    assert_eq!((rate.status, rate.headers.len(), credit.status), (429, 0, 400));
    assert!(credit.frames[0].contains("credit balance is too low"));
}
