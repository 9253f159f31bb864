//! The wire of the OpenAI Responses API, as Codex speaks it: server-sent events, plain JSON, compaction.
//!
//! A tool that stands in a namespace is named `namespace.tool` here; on the wire these are two fields.

use serde_json::{Value, json};

use super::{
    answer::{Answer, Block},
    api::Api,
    choose::{Conversation, Entry},
    openai,
    reply::Reply,
    script::{Fault, Step, StreamError, Usage},
    wire::{self, Stream},
};

/// `POST /v1/responses`.
pub const RESPONSES: Api = Api { read, reply, mistake: openai::mistake };

/// `POST /v1/responses/compact`: a side request whose answer is a shorter conversation.
pub const COMPACT: Api = Api { read: read_compact, reply: reply_compact, mistake: openai::mistake };

pub(super) fn read(_path: &str, body: &Value) -> Conversation {
    // Some models get their tools as an item of the input.
    let inner = items(&body["input"]).filter(|item| item["type"] == "additional_tools");
    let tools = items(&body["tools"]).chain(inner.flat_map(|item| items(&item["tools"])));
    let mut conversation = Conversation {
        model: body["model"].as_str().unwrap_or("stub-model").to_owned(),
        stream: body["stream"].as_bool().unwrap_or_default(),
        tools: tools.flat_map(tool_names).collect(),
        forced_tool: body["tool_choice"]["type"] == "function",
        compacts: items(&body["input"]).next_back().is_some_and(|item| item["type"] == "compaction_trigger"),
        form: None,
        entries: items(&body["input"]).filter_map(read_item).collect(),
    };
    if let Value::String(text) = &body["input"] {
        conversation.entries.push(Entry::User { texts: vec![text.clone()], results: vec![] });
    }
    conversation
}

fn read_compact(path: &str, body: &Value) -> Conversation {
    Conversation { compacts: true, stream: false, ..read(path, body) }
}

fn items(value: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

/// A namespace holds tools of its own.
fn tool_names(tool: &Value) -> Vec<String> {
    // Built-in tools have a type only.
    let name = tool["name"].as_str().or(tool["type"].as_str()).unwrap_or_default();
    match tool["type"].as_str() {
        Some("namespace") => {
            let inner = items(&tool["tools"]).filter_map(|inner| inner["name"].as_str());
            inner.map(|inner| format!("{name}.{inner}")).collect()
        }
        _ => vec![name.to_owned()],
    }
}

/// What the model says is its turn; what a developer says is no part of the conversation, and neither are tools and
/// what is left of a compacted one.
fn read_item(item: &Value) -> Option<Entry> {
    let texts = |content: &Value| match content {
        Value::String(text) => vec![text.clone()],
        blocks => items(blocks).filter_map(|block| block["text"].as_str()).map(str::to_owned).collect(),
    };
    match (item["type"].as_str(), item["role"].as_str()) {
        (Some(kind), _) if kind.ends_with("_output") => {
            let result = texts(&item["output"]).join("\n");
            Some(Entry::User { texts: vec![], results: vec![result] })
        }
        (Some("message") | None, Some("user")) => {
            Some(Entry::User { texts: texts(&item["content"]), results: vec![] })
        }
        (Some("message") | None, Some("developer" | "system")) => None,
        (Some("additional_tools" | "compaction" | "compaction_trigger"), _) => None,
        _ => Some(Entry::Assistant),
    }
}

fn reply(conversation: &Conversation, step: &Step, answer: &Answer, fault: Option<Fault>, id: &str) -> Reply {
    let reply = match fault {
        Some(Fault::Error(error)) => openai::plan_refusal(error).reply(error),
        Some(Fault::StreamError(error)) if !conversation.stream => {
            Reply::json(openai::status_of(error), &error_body(error))
        }
        _ if !conversation.stream => wire::plain(&whole(conversation, step, answer, id), fault),
        _ => {
            let (mut events, end) = stream(conversation, step, answer, id).under(fault, failure(id));
            number(&mut events);
            Reply { end, ..Reply::events(events.iter().map(wire::named_frame).collect()) }
        }
    };
    wire::finish(reply, step)
}

fn error_body(error: &StreamError) -> Value {
    openai::error_body(&error.message, "server_error", Some(&error.kind))
}

/// The user's messages stay, all else becomes the text of the answer.
fn reply_compact(
    conversation: &Conversation,
    step: &Step,
    answer: &Answer,
    fault: Option<Fault>,
    id: &str,
) -> Reply {
    if matches!(fault, Some(Fault::Error(_) | Fault::StreamError(_))) {
        return reply(conversation, step, answer, fault, id);
    }
    let user = conversation.entries.iter().filter_map(|entry| match entry {
        Entry::User { texts, .. } if !texts.is_empty() => {
            let content: Vec<Value> =
                texts.iter().map(|text| json!({"type": "input_text", "text": text})).collect();
            Some(json!({"type": "message", "role": "user", "content": content}))
        }
        _ => None,
    });
    let rest = answer.blocks.iter().enumerate().map(|(at, block)| item(conversation, block, id, at));
    let output: Vec<Value> = user.chain(rest).collect();
    wire::finish(wire::plain(&json!({"output": output}), fault), step)
}

fn whole(conversation: &Conversation, step: &Step, answer: &Answer, id: &str) -> Value {
    let mut response = response(conversation, id);
    response["status"] = json!("completed");
    response["output"] =
        answer.blocks.iter().enumerate().map(|(at, block)| item(conversation, block, id, at)).collect();
    response["usage"] = usage(step.usage);
    response
}

fn response(conversation: &Conversation, id: &str) -> Value {
    json!({
        "id": format!("resp_{id}"), "object": "response", "created_at": openai::CREATED,
        "status": "in_progress", "model": conversation.model, "output": [],
    })
}

/// Each event carries its place in the stream; some clients insist on it.
pub(super) fn number(events: &mut [Value]) {
    for (at, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(at);
    }
}

/// The words of a failure in the middle of a stream.
pub(super) fn failure(id: &str) -> impl FnOnce(&StreamError) -> Value {
    let id = format!("resp_{id}");
    move |error: &StreamError| {
        let error = json!({"code": error.kind, "message": error.message});
        json!({"type": "response.failed", "response": {"id": id, "status": "failed", "error": error}})
    }
}

pub(super) fn stream(conversation: &Conversation, step: &Step, answer: &Answer, id: &str) -> Stream {
    let mut stream = Stream::default();
    stream.push(json!({"type": "response.created", "response": response(conversation, id)}));
    stream.mark();
    for (at, block) in answer.blocks.iter().enumerate() {
        item_events(&item(conversation, block, id, at), at, &mut stream);
    }
    let done = whole(conversation, step, answer, id);
    stream.push(json!({"type": "response.completed", "response": done}));
    stream
}

fn item_events(item: &Value, at: usize, stream: &mut Stream) {
    let event = |kind: &str, name: &str, value: &Value| {
        let mut event =
            json!({"type": format!("response.{kind}"), "output_index": at, "item_id": item["id"]});
        (event["content_index"], event["summary_index"]) = (json!(0), json!(0));
        event[name] = value.clone();
        event
    };
    let mut begun = item.clone();
    // Field of the text, the text, the event that opens its part, the event of a piece.
    let (field, text, part, delta) = match item["type"].as_str() {
        Some("message") => {
            ("content", &item["content"][0]["text"], "content_part.added", "output_text.delta")
        }
        Some("reasoning") => (
            "summary",
            &item["summary"][0]["text"],
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
        ),
        Some("custom_tool_call") => ("input", &item["input"], "", "custom_tool_call_input.delta"),
        Some("function_call") => ("arguments", &item["arguments"], "", "function_call_arguments.delta"),
        // Told only as a whole.
        _ => ("encrypted_content", &Value::Null, "", ""),
    };
    begun[field] = if part.is_empty() { json!("") } else { json!([]) };
    stream.push(event("output_item.added", "item", &begun));
    if !part.is_empty() {
        let mut empty = item[field][0].clone();
        empty["text"] = json!("");
        stream.push(event(part, "part", &empty));
    }
    for piece in wire::pieces(text.as_str().unwrap_or_default()) {
        stream.push(event(delta, "delta", &json!(piece)));
    }
    stream.mark();
    stream.push(event("output_item.done", "item", item));
}

/// An item of the output. A tool whose input is a text rather than an object is a custom one; the text of a compaction
/// stands for all that is left out.
fn item(conversation: &Conversation, block: &Block, id: &str, at: usize) -> Value {
    match block {
        Block::Thinking(text) => json!({
            "type": "reasoning", "id": format!("rs_{id}_{at}"),
            "summary": [{"type": "summary_text", "text": text}], "encrypted_content": null,
        }),
        Block::Text(text) if conversation.compacts => json!({
            "type": "compaction", "id": format!("cmp_{id}_{at}"), "encrypted_content": text,
        }),
        Block::Text(text) => json!({
            "type": "message", "id": format!("msg_{id}_{at}"), "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        }),
        Block::Tool { name, input } => {
            let (space, name) = in_namespace(name);
            let mut item = json!({
                "id": format!("fc_{id}_{at}"), "call_id": format!("call_{id}_{at}"), "name": name,
                "status": "completed",
            });
            match input {
                Value::String(text) => {
                    (item["type"], item["input"]) = (json!("custom_tool_call"), json!(text));
                }
                object => {
                    (item["type"], item["arguments"]) = (json!("function_call"), json!(object.to_string()));
                }
            }
            if let Some(space) = space {
                item["namespace"] = json!(space);
            }
            item
        }
    }
}

/// Namespace and name; a script may write a tool of an MCP server as other CLIs call it.
fn in_namespace(name: &str) -> (Option<&str>, &str) {
    let usual = || name.rsplit_once("__").filter(|_| name.starts_with("mcp__"));
    match name.split_once('.').or_else(usual) {
        Some((space, tool)) => (Some(space), tool),
        None => (None, name),
    }
}

fn usage(usage: Usage) -> Value {
    let input = usage.input + usage.cache_read + usage.cache_write;
    json!({
        "input_tokens": input, "input_tokens_details": {"cached_tokens": usage.cache_read},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": input + usage.output,
    })
}

#[cfg(test)]
#[path = "responses_tests.rs"]
mod tests;
