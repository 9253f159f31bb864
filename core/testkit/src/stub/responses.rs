//! The wire of the OpenAI Responses API, streamed: the part that Codex needs.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    answer::{Answer, Block},
    api::Api,
    choose::{Conversation, Entry},
    reply::{End, Reply},
    script::{ErrorReply, Fault, Step, Usage},
};

/// `POST /v1/responses`.
pub const RESPONSES: Api = Api { read, reply, mistake };

fn read(_path: &str, body: &Value) -> Conversation {
    Conversation {
        model: body["model"].as_str().unwrap_or("stub-model").to_owned(),
        stream: true,
        tools: items(&body["tools"]).flat_map(tool_names).collect(),
        forced_tool: false,
        entries: items(&body["input"]).filter_map(read_item).collect(),
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

/// A namespace holds tools of its own.
fn tool_names(tool: &Value) -> Vec<String> {
    // Built-in tools have a type only.
    let name = tool["name"].as_str().or(tool["type"].as_str()).unwrap_or_default();
    match tool["type"].as_str() {
        Some("namespace") => {
            let inner = items(&tool["tools"]).filter_map(|inner| inner["name"].as_str());
            inner.map(|inner| format!("{name}__{inner}")).collect()
        }
        _ => vec![name.to_owned()],
    }
}

/// Everything of the model's is its turn; what a developer says is no part of the conversation.
fn read_item(item: &Value) -> Option<Entry> {
    let texts = |content: &Value| match content {
        Value::String(text) => vec![text.clone()],
        blocks => items(blocks).filter_map(|block| block["text"].as_str()).map(str::to_owned).collect(),
    };
    match (item["type"].as_str(), item["role"].as_str()) {
        (Some("function_call_output" | "custom_tool_call_output"), _) => {
            let result = texts(&item["output"]).join("\n");
            Some(Entry::User { texts: vec![], results: vec![result] })
        }
        (Some("message") | None, Some("user")) => {
            Some(Entry::User { texts: texts(&item["content"]), results: vec![] })
        }
        (Some("message") | None, Some("developer" | "system")) => None,
        _ => Some(Entry::Assistant),
    }
}

fn reply(conversation: &Conversation, step: &Step, answer: &Answer, fault: Option<Fault>, id: &str) -> Reply {
    let mut reply = match fault {
        Some(Fault::Error(error)) => error_reply(error),
        _ => streamed(conversation, step, answer, fault, id),
    };
    reply.headers.extend(step.headers.clone());
    reply.first_delay = Duration::from_millis(step.first_delay_ms);
    reply.gap = Duration::from_millis(step.delay_ms);
    reply
}

fn mistake(message: &str) -> Reply {
    Reply::json(400, &error_body("invalid_request_error", &format!("stub script: {message}")))
}

fn error_reply(error: &ErrorReply) -> Reply {
    let usual = || error_body("api_error", &format!("scripted error {}", error.status));
    let mut reply = Reply::json(error.status, &error.body.clone().unwrap_or_else(usual));
    reply.headers.extend(error.retry_after.map(|seconds| ("retry-after".to_owned(), seconds.to_string())));
    reply.headers.extend(error.headers.clone());
    reply
}

fn error_body(kind: &str, message: &str) -> Value {
    json!({"error": {"type": kind, "code": kind, "message": message}})
}

fn streamed(
    conversation: &Conversation,
    step: &Step,
    answer: &Answer,
    fault: Option<Fault>,
    id: &str,
) -> Reply {
    let response = json!({"id": format!("resp_{id}"), "object": "response", "model": conversation.model});
    let mut events = vec![json!({"type": "response.created", "response": response})];
    for (at, block) in answer.blocks.iter().enumerate() {
        let item = item(block, id, at);
        events.push(json!({"type": "response.output_item.added", "output_index": at, "item": item}));
        if let Block::Text(text) = block {
            events.push(json!({"type": "response.output_text.delta", "item_id": item["id"], "delta": text}));
        }
        events.push(json!({"type": "response.output_item.done", "output_index": at, "item": item}));
    }
    let mut done = response.clone();
    done["usage"] = usage(step.usage);
    let mut unfinished = events.clone();
    unfinished.truncate(events.len() - usize::from(!answer.blocks.is_empty()));
    events.push(json!({"type": "response.completed", "response": done}));
    let (events, end) = match fault {
        Some(Fault::Disconnect(after)) => {
            events.truncate(after);
            (events, End::Cut)
        }
        Some(Fault::Hang) => (unfinished, End::Hang),
        Some(Fault::StreamError(error)) => {
            let mut failed = response;
            failed["error"] = json!({"code": error.kind, "message": error.message});
            unfinished.push(json!({"type": "response.failed", "response": failed}));
            (unfinished, End::Complete)
        }
        Some(Fault::Error(_)) | None => (events, End::Complete),
    };
    let frame =
        |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default());
    Reply { end, ..Reply::events(events.iter().map(frame).collect()) }
}

/// An item of the output. A tool of an MCP server is a function in the server's namespace.
fn item(block: &Block, id: &str, at: usize) -> Value {
    match block {
        Block::Thinking(text) => json!({
            "type": "reasoning", "id": format!("rs_{id}_{at}"),
            "summary": [{"type": "summary_text", "text": text}], "encrypted_content": null,
        }),
        Block::Text(text) => json!({
            "type": "message", "id": format!("msg_{id}_{at}"), "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        }),
        Block::Tool { name, input } => {
            let mut item = json!({
                "type": "function_call", "id": format!("fc_{id}_{at}"), "call_id": format!("call_{id}_{at}"),
                "name": name, "arguments": input.to_string(),
            });
            if let Some((space, tool)) = name.rsplit_once("__").filter(|_| name.starts_with("mcp__")) {
                (item["namespace"], item["name"]) = (json!(space), json!(tool));
            }
            item
        }
    }
}

fn usage(usage: Usage) -> Value {
    let input = usage.input + usage.cache_read + usage.cache_write;
    json!({
        "input_tokens": input, "input_tokens_details": {"cached_tokens": usage.cache_read},
        "output_tokens": usage.output, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input + usage.output,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stub::{Script, StubModel};

    #[test]
    fn the_conversation_is_what_user_tools_and_model_said() {
        let body = json!({
            "model": "m",
            "tools": [
                {"type": "function", "name": "exec_command"}, {"type": "web_search"},
                {"type": "namespace", "name": "mcp__s", "tools": [{"name": "t"}]},
            ],
            "input": [
                {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "[[no]]"}]},
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go [[a]]"}]},
                {"type": "reasoning", "summary": []},
                {"type": "function_call", "name": "exec_command", "arguments": "{}", "call_id": "c"},
                {"type": "function_call_output", "call_id": "c", "output": "{\"n\":1}"},
            ],
        });
        let conversation = read("/v1/responses", &body);
        assert_eq!(conversation.tools, ["exec_command", "web_search", "mcp__s__t"]);
        let user = Entry::User { texts: vec!["go [[a]]".into()], results: vec![] };
        let result = Entry::User { texts: vec![], results: vec!["{\"n\":1}".into()] };
        assert_eq!(conversation.entries, [user, Entry::Assistant, Entry::Assistant, result]);
    }

    #[test]
    fn a_call_of_an_mcp_tool_names_its_namespace() {
        let tool = |name: &str| item(&Block::Tool { name: name.into(), input: json!({"a": 1}) }, "i", 0);
        let mcp = tool("mcp__s__do_it");
        assert_eq!((&mcp["namespace"], &mcp["name"]), (&json!("mcp__s"), &json!("do_it")));
        let own = tool("exec_command");
        assert_eq!((&own["namespace"], &own["name"]), (&Value::Null, &json!("exec_command")));
        assert_eq!(own["arguments"], "{\"a\":1}");
    }

    #[tokio::test]
    async fn a_stream_ends_with_its_usage_or_with_the_scripted_failure() {
        let down = crate::stub::StreamError { kind: "server_is_overloaded".into(), message: "busy".into() };
        let script = Script::default()
            .scenario("well", [Step::text("hi")])
            .scenario("down", [Step { stream_error: Some(down), ..Step::text("hi") }]);
        let stub = StubModel::start(script).await.unwrap();
        for (tag, last) in [("well", "response.completed"), ("down", "response.failed")] {
            let input = json!([{"role": "user", "content": format!("go [[{tag}]]")}]);
            let body = json!({"model": "m", "tools": [{"name": "x"}, {"name": "y"}], "input": input});
            let url = format!("{}/v1/responses", stub.base_url());
            let text =
                reqwest::Client::new().post(url).json(&body).send().await.unwrap().text().await.unwrap();
            let types: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
            assert_eq!((types[0], types[types.len() - 1]), ("response.created", last), "{text}");
        }
    }
}
