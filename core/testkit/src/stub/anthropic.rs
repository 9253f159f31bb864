//! The wire of the Anthropic Messages API: server-sent events, plain JSON, `count_tokens`.

use serde_json::{Map, Value, json};

use super::{
    answer::{Answer, Block},
    api::Api,
    choose::{Conversation, Entry},
    reply::Reply,
    script::{ErrorReply, Fault, Limit, Step, StreamError, Usage},
    wire::{self, Refusal, Stream},
};

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
        compacts: false,
        form: None,
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
    let reply = match fault {
        Some(Fault::Error(error)) => refusal(error).reply(error),
        _ if conversation.stream => streamed(conversation, step, answer, fault, id),
        _ => plain(conversation, step, answer, fault, id),
    };
    wire::finish(reply, step)
}

fn mistake(message: &str) -> Reply {
    Reply::json(400, &error_body("invalid_request_error", &format!("stub script: {message}")))
}

/// The answer of `POST /v1/messages/count_tokens`: four bytes a token.
pub fn count_tokens(body: &Value) -> Reply {
    Reply::json(200, &json!({"input_tokens": body.to_string().len() / 4}))
}

fn refusal(error: &ErrorReply) -> Refusal {
    let usual = |status: u16, message: &str| Refusal {
        status,
        headers: vec![],
        body: error_body(error_type(status), message),
    };
    match error.limit {
        None => usual(error.status, &format!("scripted error {}", error.status)),
        Some(Limit::Rate) => usual(429, "This request would exceed your organization's rate limit."),
        Some(Limit::Credit) => usual(400, "Your credit balance is too low to access the Anthropic API."),
        // Only somebody logged in with a subscription gets these headers.
        Some(Limit::Usage) => Refusal {
            headers: vec![
                ("anthropic-ratelimit-unified-status", "rejected".to_owned()),
                (
                    "anthropic-ratelimit-unified-reset",
                    error.resets_at.unwrap_or(wire::USUAL_RESET).to_string(),
                ),
                ("anthropic-ratelimit-unified-representative-claim", "five_hour".to_owned()),
            ],
            ..usual(429, "This request would exceed your account's rate limit. Please try again later.")
        },
    }
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
        return Reply::json(status, &stream_failure(error));
    }
    let mut message = message_shell(conversation, id);
    message["content"] =
        answer.blocks.iter().enumerate().map(|(at, block)| full_block(block, id, at)).collect();
    message["stop_reason"] = json!(stop_reason(answer));
    message["usage"] = usage(step.usage, step.usage.output);
    wire::plain(&message, fault)
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
    let mut stream = Stream::default();
    stream.push(json!({"type": "message_start", "message": start}));
    stream.mark();
    for (at, block) in answer.blocks.iter().enumerate() {
        block_events(block, id, at, &mut stream);
    }
    let delta = json!({"stop_reason": stop_reason(answer), "stop_sequence": null});
    stream.push(
        json!({"type": "message_delta", "delta": delta, "usage": usage(step.usage, step.usage.output)}),
    );
    stream.push(json!({"type": "message_stop"}));
    let (events, end) = stream.under(fault, stream_failure);
    Reply { end, ..Reply::events(events.iter().map(wire::named_frame).collect()) }
}

fn stream_failure(error: &StreamError) -> Value {
    error_body(&error.kind, &error.message)
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

fn block_events(block: &Block, id: &str, at: usize, stream: &mut Stream) {
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
    stream.push(json!({"type": "content_block_start", "index": at, "content_block": empty}));
    let delta = |delta: Value| json!({"type": "content_block_delta", "index": at, "delta": delta});
    for piece in wire::pieces(&content) {
        stream.push(delta(json!({"type": kind, field: piece})));
    }
    if matches!(block, Block::Thinking(_)) {
        stream.push(delta(json!({"type": "signature_delta", "signature": "c3R1Yg=="})));
    }
    stream.mark();
    stream.push(json!({"type": "content_block_stop", "index": at}));
}

#[cfg(test)]
#[path = "anthropic_tests.rs"]
mod tests;
