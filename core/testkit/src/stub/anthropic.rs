//! The wire of the Anthropic Messages API: server-sent events, plain JSON, `count_tokens`, the model list.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    answer::{Answer, Block},
    api::Api,
    choose::{Conversation, Entry},
    reply::{End, Reply},
    script::{ErrorReply, Fault, Step, Usage},
};

/// Longest piece of text in one delta, in characters, unless the text would need more than [`MAX_DELTAS`].
const DELTA_CHARS: usize = 16;

/// Most deltas a block is cut into.
const MAX_DELTAS: usize = 200;

/// `POST /v1/messages`.
pub const MESSAGES: Api = Api { read, reply, mistake };

fn read(_path: &str, body: &Value) -> Conversation {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let name = |tool: &Value| tool["name"].as_str().unwrap_or_default().to_owned();
    Conversation {
        model: body["model"].as_str().unwrap_or("stub-model").to_owned(),
        stream: body["stream"].as_bool().unwrap_or_default(),
        tools: list(&body["tools"]).iter().map(name).collect(),
        forced_tool: body["tool_choice"]["type"] == "tool",
        entries: list(&body["messages"]).iter().map(read_message).collect(),
    }
}

fn read_message(message: &Value) -> Entry {
    if message["role"] == "assistant" {
        return Entry::Assistant;
    }
    let (mut texts, mut results) = (Vec::new(), Vec::new());
    for block in blocks_of(&message["content"]) {
        match block["type"].as_str() {
            Some("text") => texts.push(block["text"].as_str().unwrap_or_default().to_owned()),
            Some("tool_result") => results.push(result_text(&block["content"])),
            _ => {}
        }
    }
    Entry::User { texts, results }
}

/// Content is a list of blocks or, for short, a string.
fn blocks_of(content: &Value) -> Vec<Value> {
    match content {
        Value::String(text) => vec![json!({"type": "text", "text": text})],
        other => other.as_array().cloned().unwrap_or_default(),
    }
}

fn result_text(content: &Value) -> String {
    let blocks = blocks_of(content);
    let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    texts.join("\n")
}

fn reply(conversation: &Conversation, step: &Step, answer: &Answer, fault: Option<Fault>, id: &str) -> Reply {
    let mut reply = match fault {
        Some(Fault::Error(error)) => error_reply(error),
        _ if conversation.stream => streamed(conversation, step, answer, fault, id),
        _ => plain(conversation, step, answer, fault, id),
    };
    reply.headers.extend(step.headers.clone());
    reply.first_delay = Duration::from_millis(step.first_delay_ms);
    reply.gap = Duration::from_millis(step.delay_ms);
    reply
}

fn mistake(message: &str) -> Reply {
    Reply::json(400, &error_body("invalid_request_error", &format!("stub script: {message}")))
}

/// The answer of `POST /v1/messages/count_tokens`: four bytes a token.
pub fn count_tokens(body: &Value) -> Reply {
    Reply::json(200, &json!({"input_tokens": body.to_string().len() / 4}))
}

/// The answer of `GET /v1/models`.
pub fn models(ids: &[String]) -> Reply {
    let model = |id: &String| json!({"type": "model", "id": id, "display_name": id, "created_at": "2026-01-01T00:00:00Z"});
    let data: Vec<Value> = ids.iter().map(model).collect();
    Reply::json(
        200,
        &json!({"data": data, "has_more": false, "first_id": ids.first(), "last_id": ids.last()}),
    )
}

fn error_reply(error: &ErrorReply) -> Reply {
    let usual = || error_body(error_type(error.status), &format!("scripted error {}", error.status));
    let mut reply = Reply::json(error.status, &error.body.clone().unwrap_or_else(usual));
    reply.headers.extend(error.retry_after.map(|seconds| ("retry-after".to_owned(), seconds.to_string())));
    reply.headers.extend(error.headers.clone());
    reply
}

fn error_body(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

/// The documented error types (docs.anthropic.com, "Errors").
fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

fn plain(conversation: &Conversation, step: &Step, answer: &Answer, fault: Option<Fault>, id: &str) -> Reply {
    if let Some(Fault::StreamError(error)) = fault {
        let status = if error.kind == "overloaded_error" { 529 } else { 500 };
        return Reply::json(status, &error_body(&error.kind, &error.message));
    }
    let mut message = message_shell(conversation, id);
    message["content"] =
        answer.blocks.iter().enumerate().map(|(at, block)| full_block(block, id, at)).collect();
    message["stop_reason"] = json!(stop_reason(answer));
    message["usage"] = usage(step.usage, step.usage.output);
    let mut reply = Reply::json(200, &message);
    match fault {
        Some(Fault::Disconnect(_)) => {
            let whole = reply.frames.concat();
            reply.frames = vec![whole.chars().take(whole.chars().count() / 2).collect()];
            reply.end = End::Cut;
        }
        Some(Fault::Hang) => (reply.frames, reply.end) = (vec![], End::Hang),
        _ => {}
    }
    reply
}

fn streamed(
    conversation: &Conversation,
    step: &Step,
    answer: &Answer,
    fault: Option<Fault>,
    id: &str,
) -> Reply {
    let mut start = message_shell(conversation, id);
    start["usage"] = usage(step.usage, 1);
    let mut events = vec![json!({"type": "message_start", "message": start})];
    for (at, block) in answer.blocks.iter().enumerate() {
        block_events(block, id, at, &mut events);
    }
    // A stream that stops inside the last block, for faults in mid-stream.
    let mut unfinished = events.clone();
    unfinished.truncate(events.len() - usize::from(!answer.blocks.is_empty()));
    let delta = json!({"stop_reason": stop_reason(answer), "stop_sequence": null});
    events.push(
        json!({"type": "message_delta", "delta": delta, "usage": usage(step.usage, step.usage.output)}),
    );
    events.push(json!({"type": "message_stop"}));

    let (events, end) = match fault {
        Some(Fault::Disconnect(after)) => {
            events.truncate(after);
            (events, End::Cut)
        }
        Some(Fault::Hang) => (unfinished, End::Hang),
        Some(Fault::StreamError(error)) => {
            unfinished.push(error_body(&error.kind, &error.message));
            (unfinished, End::Complete)
        }
        Some(Fault::Error(_)) | None => (events, End::Complete),
    };
    Reply { end, ..Reply::events(events.iter().map(event_frame).collect()) }
}

fn event_frame(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
}

fn message_shell(conversation: &Conversation, id: &str) -> Value {
    json!({
        "id": format!("msg_{id}"), "type": "message", "role": "assistant", "model": conversation.model,
        "content": [], "stop_reason": null, "stop_sequence": null,
    })
}

fn stop_reason(answer: &Answer) -> &'static str {
    let calls = answer.blocks.iter().any(|block| matches!(block, Block::Tool { .. }));
    if calls { "tool_use" } else { "end_turn" }
}

fn usage(usage: Usage, output: u64) -> Value {
    json!({
        "input_tokens": usage.input, "output_tokens": output,
        "cache_read_input_tokens": usage.cache_read, "cache_creation_input_tokens": usage.cache_write,
    })
}

fn full_block(block: &Block, id: &str, at: usize) -> Value {
    match block {
        Block::Thinking(text) => json!({"type": "thinking", "thinking": text, "signature": "c3R1Yg=="}),
        Block::Text(text) => json!({"type": "text", "text": text}),
        Block::Tool { name, input } => {
            json!({"type": "tool_use", "id": format!("toolu_{id}_{at}"), "name": name, "input": input})
        }
    }
}

fn block_events(block: &Block, id: &str, at: usize, events: &mut Vec<Value>) {
    let mut empty = full_block(block, id, at);
    let (field, kind, content) = match block {
        Block::Thinking(text) => ("thinking", "thinking_delta", text.clone()),
        Block::Text(text) => ("text", "text_delta", text.clone()),
        Block::Tool { input, .. } => ("partial_json", "input_json_delta", input.to_string()),
    };
    match block {
        Block::Thinking(_) => (empty["thinking"], empty["signature"]) = (json!(""), json!("")),
        Block::Text(_) => empty["text"] = json!(""),
        Block::Tool { .. } => empty["input"] = Value::Object(Map::new()),
    }
    events.push(json!({"type": "content_block_start", "index": at, "content_block": empty}));
    let delta = |delta: Value| json!({"type": "content_block_delta", "index": at, "delta": delta});
    events.extend(pieces(&content).map(|piece| delta(json!({"type": kind, field: piece}))));
    if matches!(block, Block::Thinking(_)) {
        events.push(delta(json!({"type": "signature_delta", "signature": "c3R1Yg=="})));
    }
    events.push(json!({"type": "content_block_stop", "index": at}));
}

/// Cuts a text into the pieces of its deltas.
fn pieces(text: &str) -> impl Iterator<Item = String> {
    let chars: Vec<char> = text.chars().collect();
    let size = DELTA_CHARS.max(chars.len().div_ceil(MAX_DELTAS));
    let pieces: Vec<String> = chars.chunks(size).map(|piece| piece.iter().collect()).collect();
    pieces.into_iter()
}

#[cfg(test)]
#[path = "anthropic_tests.rs"]
mod tests;
