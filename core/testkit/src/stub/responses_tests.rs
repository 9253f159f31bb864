//! Tables for the wire of the Responses API.

use super::*;
use crate::stub::{End, Limit, compose};

fn request() -> Value {
    json!({
        "model": "m", "stream": true,
        "tools": [
            {"type": "function", "name": "exec_command"}, {"type": "web_search"},
            {"type": "namespace", "name": "mcp__s", "tools": [{"name": "t"}]},
        ],
        "input": [
            {"type": "additional_tools", "role": "developer", "tools": [
                {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]}]},
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "[[no]]"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go [[a]]"}]},
            {"type": "reasoning", "summary": []},
            {"type": "function_call", "name": "exec_command", "arguments": "{}", "call_id": "c"},
            {"type": "function_call_output", "call_id": "c", "output": "{\"n\":1}"},
            {"type": "custom_tool_call_output", "call_id": "d", "output": [
                {"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
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
    let name = |event: &Value| event["type"].as_str().unwrap().replace("response.", "");
    events(reply).iter().map(name).collect()
}

#[test]
fn the_conversation_is_what_user_tools_and_model_said() {
    let conversation = read("", &request());
    assert_eq!(conversation.tools, ["exec_command", "web_search", "mcp__s.t", "functions.exec"]);
    let user = Entry::User { texts: vec!["go [[a]]".into()], results: vec![] };
    let result = |text: &str| Entry::User { texts: vec![], results: vec![text.into()] };
    let expected = [user, Entry::Assistant, Entry::Assistant, result("{\"n\":1}"), result("a\nb")];
    assert_eq!(conversation.entries, expected);
}

#[test]
fn a_call_names_its_namespace_and_its_kind() {
    let tool = |name: &str, input: Value| {
        item(&Conversation::default(), &Block::Tool { name: name.into(), input }, "i", 0)
    };
    for name in ["mcp__s.do_it", "mcp__s__do_it"] {
        let mcp = tool(name, json!({"a": 1}));
        assert_eq!((&mcp["namespace"], &mcp["name"]), (&json!("mcp__s"), &json!("do_it")));
    }
    let own = tool("exec_command", json!({"a": 1}));
    assert_eq!((&own["namespace"], &own["name"]), (&Value::Null, &json!("exec_command")));
    assert_eq!((&own["type"], &own["arguments"]), (&json!("function_call"), &json!("{\"a\":1}")));
    let custom = tool("functions.exec", json!("text(1)"));
    assert_eq!((&custom["type"], &custom["input"]), (&json!("custom_tool_call"), &json!("text(1)")));
    assert_eq!(custom["namespace"], "functions");
}

#[test]
fn a_stream_says_every_block_in_pieces_and_whole() {
    let usage = Usage { input: 1, output: 20, cache_read: 3, cache_write: 4, reasoning: 5 };
    let step = Step { thinking: Some("hm".into()), usage, ..Step::text("a text of two deltas") };
    let reply = rendered(&step, true);
    let expected = "created \
        output_item.added reasoning_summary_part.added reasoning_summary_text.delta output_item.done \
        output_item.added content_part.added output_text.delta output_text.delta output_item.done \
        completed";
    assert_eq!(types(&reply).join(" "), expected);
    let events = events(&reply);
    assert_eq!(events[9]["item"]["content"][0]["text"], "a text of two deltas");
    let said: String = events[7..9].iter().map(|event| event["delta"].as_str().unwrap()).collect();
    assert_eq!(said, "a text of two deltas");
    let counts = json!({"input_tokens": 8, "input_tokens_details": {"cached_tokens": 3},
        "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 28});
    assert_eq!(events[10]["response"]["usage"], counts);
    assert!(reply.frames[0].starts_with("event: response.created\ndata: {"));
}

#[test]
fn a_plain_answer_says_the_same_as_the_stream() {
    let step = Step { bash: Some("ls".into()), ..Step::text("hi") };
    let whole: Value = serde_json::from_str(&rendered(&step, false).frames[0]).unwrap();
    assert_eq!(
        (&whole["status"], &whole["output"][1]["name"]),
        (&json!("completed"), &json!("exec_command"))
    );
    let streamed = events(&rendered(&step, true));
    assert_eq!(streamed[streamed.len() - 1]["response"], whole);
}

#[test]
fn faults_shape_stream_and_plain_answer() {
    let error = StreamError { kind: "server_is_overloaded".into(), message: "busy".into() };
    let failing = Step { stream_error: Some(error), ..Step::text("hi") };
    let failed = events(&rendered(&failing, true));
    let last = &failed[failed.len() - 1];
    assert_eq!((failed.len(), &last["type"]), (5, &json!("response.failed")));
    assert_eq!(last["response"]["error"]["code"], "server_is_overloaded");
    assert_eq!(rendered(&failing, false).status, 503);

    let reply = rendered(&Step { hang: true, ..Step::text("hi") }, true);
    assert_eq!(
        (types(&reply)[3].as_str(), reply.frames.len(), reply.end),
        ("output_text.delta", 4, End::Hang)
    );
    let reply = rendered(&Step { disconnect_after: Some(2), ..Step::text("hi") }, true);
    assert_eq!((reply.frames.len(), reply.end), (2, End::Cut));
    let limited = rendered(&Step::limit(Limit::Usage), true);
    assert!(limited.frames[0].contains("usage_limit_reached"));
}

#[test]
fn a_compacted_conversation_keeps_what_the_user_said() {
    let conversation = read_compact("", &request());
    assert!(conversation.is_side_request());
    let step = Step::text("short");
    let answer = compose(&step, &conversation).unwrap();
    let reply = reply_compact(&conversation, &step, &answer, None, "1");
    let compacted: Value = serde_json::from_str(&reply.frames[0]).unwrap();
    assert_eq!(compacted["output"][0]["content"][0]["text"], "go [[a]]");
    assert_eq!(compacted["output"][1]["type"], "compaction");
    assert_eq!(compacted["output"][1]["encrypted_content"], "short");
    let again = read("", &json!({"input": compacted["output"]}));
    assert_eq!(again.entries, [Entry::User { texts: vec!["go [[a]]".into()], results: vec![] }]);
    let failing = Step::error(500);
    let refused = reply_compact(&conversation, &failing, &answer, failing.fault(0), "1");
    assert_eq!(refused.status, 500);
}

#[test]
fn a_trigger_at_the_end_asks_for_a_compaction_too() {
    let mut body = request();
    body["input"].as_array_mut().unwrap().push(json!({"type": "compaction_trigger"}));
    let conversation = read("", &body);
    assert!(conversation.is_side_request());
    let step = Step::text("short");
    let answer = compose(&step, &conversation).unwrap();
    let reply = reply(&conversation, &step, &answer, None, "1");
    assert_eq!(types(&reply), ["created", "output_item.added", "output_item.done", "completed"]);
    let item = &events(&reply)[2]["item"];
    assert_eq!((&item["type"], &item["encrypted_content"]), (&json!("compaction"), &json!("short")));
}
