//! Tables for the wire of chat completions.

use super::*;
use crate::stub::{End, compose};

fn request() -> Value {
    json!({
        "model": "m", "stream": true,
        "tools": [{"type": "function", "function": {"name": "bash"}},
            {"type": "function", "function": {"name": "read"}}],
        "tool_choice": "auto",
        "messages": [
            {"role": "system", "content": "[[no]]"},
            {"role": "user", "content": "go [[x]]"},
            {"role": "assistant", "content": "", "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "bash", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "{\"n\":1}"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        ],
    })
}

fn rendered(step: &Step, stream: bool) -> Reply {
    let conversation = Conversation { stream, ..read("", &request()) };
    let answer = compose(step, &conversation).unwrap();
    reply(&conversation, step, &answer, step.fault(0), "1")
}

fn chunks(reply: &Reply) -> Vec<Value> {
    let data = reply.frames.iter().map(|frame| frame.strip_prefix("data: ").unwrap().trim());
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// What the deltas of a stream say at a pointer, joined.
fn joined(reply: &Reply, pointer: &str) -> String {
    let chunks = chunks(reply);
    let deltas = chunks.iter().filter_map(|chunk| chunk.pointer("/choices/0/delta"));
    deltas.filter_map(|delta| delta.pointer(pointer)?.as_str()).collect()
}

#[test]
fn a_request_is_read_into_texts_results_and_tools() {
    let conversation = read("", &request());
    assert_eq!(conversation.tools, ["bash", "read"]);
    let user = |texts: &[&str], results: &[&str]| Entry::User {
        texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        results: results.iter().map(|text| (*text).to_owned()).collect(),
    };
    let expected =
        [user(&["go [[x]]"], &[]), Entry::Assistant, user(&[], &["{\"n\":1}"]), user(&["a", "b"], &[])];
    assert_eq!(conversation.entries, expected);
}

#[test]
fn a_title_that_is_forced_through_one_tool_is_a_side_request() {
    let mut body = request();
    body["tools"] = json!([{"type": "function", "function": {"name": "session_title"}}]);
    assert!(!read("", &body).is_side_request());
    body["tool_choice"] = json!({"type": "function", "function": {"name": "session_title"}});
    assert!(read("", &body).is_side_request());
}

#[test]
fn a_stream_carries_reasoning_text_tools_and_usage() {
    let tools = vec![crate::stub::ToolCall::Named { name: "read".into(), input: json!({"a": 1}) }];
    let usage = Usage { input: 1, output: 20, cache_read: 3, cache_write: 4, reasoning: 5 };
    let step = Step {
        thinking: Some("hm".into()),
        bash: Some("ls".into()),
        tools,
        usage,
        ..Step::text("a longer text.")
    };
    let reply = rendered(&step, true);
    assert_eq!(
        (joined(&reply, "/reasoning_content"), joined(&reply, "/content")),
        ("hm".into(), "a longer text.".into())
    );
    let chunks = chunks(&reply);
    let calls = chunks.iter().filter_map(|chunk| chunk.pointer("/choices/0/delta/tool_calls/0"));
    let mut arguments = [String::new(), String::new()];
    let mut names = vec![];
    for call in calls {
        let at = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
        arguments[at].push_str(call["function"]["arguments"].as_str().unwrap());
        names.extend(call["function"]["name"].as_str());
    }
    assert_eq!(names, ["bash", "read"]);
    let bash: Value = serde_json::from_str(&arguments[0]).unwrap();
    assert_eq!((&bash["command"], arguments[1].as_str()), (&json!("ls"), "{\"a\":1}"));
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "tool_calls");
    let counted = &chunks[chunks.len() - 1]["usage"];
    assert_eq!((&counted["prompt_tokens"], &counted["total_tokens"]), (&json!(8), &json!(28)));
    assert_eq!(counted["prompt_tokens_details"]["cached_tokens"], 3);
    assert_eq!(counted["completion_tokens_details"]["reasoning_tokens"], 5);
    assert_eq!(reply.frames[reply.frames.len() - 1], "data: [DONE]\n\n");
}

#[test]
fn a_plain_answer_says_the_same_as_the_stream() {
    let step = Step { thinking: Some("hm".into()), bash: Some("ls".into()), ..Step::text("hi") };
    let whole: Value = serde_json::from_str(&rendered(&step, false).frames[0]).unwrap();
    let message = &whole["choices"][0]["message"];
    assert_eq!((&message["content"], &message["reasoning_content"]), (&json!("hi"), &json!("hm")));
    assert_eq!(message["tool_calls"][0]["function"]["name"], "bash");
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(whole["usage"]["completion_tokens"], 20);
}

#[test]
fn faults_shape_stream_and_plain_answer() {
    let error = StreamError { kind: "server_is_overloaded".into(), message: "full".into() };
    let failing = Step { stream_error: Some(error), ..Step::text("hi") };
    let failed = chunks(&rendered(&failing, true));
    assert_eq!(failed[failed.len() - 1]["error"]["code"], "server_is_overloaded");
    assert_eq!(rendered(&failing, false).status, 503);

    let hanging = Step { hang: true, ..Step::text("a text of two deltas") };
    let reply = rendered(&hanging, true);
    assert_eq!((joined(&reply, "/content").as_str(), reply.end), ("a text of two deltas", End::Hang));
    assert_eq!(rendered(&hanging, false).end, End::Hang);

    let cut = Step { disconnect_after: Some(2), ..Step::text("hi") };
    let reply = rendered(&cut, true);
    assert_eq!((reply.frames.len(), reply.end), (2, End::Cut));
    assert_eq!(rendered(&cut, false).end, End::Cut);

    let reply = rendered(&Step { headers: [("x-a".into(), "1".into())].into(), ..Step::error(401) }, true);
    assert_eq!((reply.status, reply.headers["x-a"].as_str()), (401, "1"));
}
