//! The wire of OpenAI's chat completions, as OpenCode and Grok speak it: server-sent events and plain JSON.

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

/// `POST /v1/chat/completions`.
pub const CHAT: Api = Api { read, reply, mistake: openai::mistake };

fn read(_path: &str, body: &Value) -> Conversation {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let name = |tool: &Value| tool["function"]["name"].as_str().unwrap_or_default().to_owned();
    Conversation {
        model: body["model"].as_str().unwrap_or("stub-model").to_owned(),
        stream: body["stream"].as_bool().unwrap_or_default(),
        tools: list(&body["tools"]).iter().map(name).collect(),
        forced_tool: body["tool_choice"]["type"] == "function",
        compacts: false,
        form: None,
        entries: list(&body["messages"]).iter().filter_map(read_message).collect(),
    }
}

/// What the system says is no part of the conversation.
fn read_message(message: &Value) -> Option<Entry> {
    let texts = || match &message["content"] {
        Value::String(text) => vec![text.clone()],
        parts => {
            let parts = parts.as_array().map(Vec::as_slice).unwrap_or_default();
            parts.iter().filter_map(|part| part["text"].as_str()).map(str::to_owned).collect()
        }
    };
    match message["role"].as_str() {
        Some("assistant") => Some(Entry::Assistant),
        Some("tool") => Some(Entry::User { texts: vec![], results: vec![texts().join("\n")] }),
        Some("user") => Some(Entry::User { texts: texts(), results: vec![] }),
        _ => None,
    }
}

fn reply(conversation: &Conversation, step: &Step, answer: &Answer, fault: Option<Fault>, id: &str) -> Reply {
    let reply = match fault {
        Some(Fault::Error(error)) => openai::refusal(error).reply(error),
        _ if conversation.stream => streamed(conversation, step, answer, fault, id),
        Some(Fault::StreamError(error)) => Reply::json(openai::status_of(error), &failure(error)),
        _ => wire::plain(&completion(conversation, step, answer, id), fault),
    };
    wire::finish(reply, step)
}

fn completion(conversation: &Conversation, step: &Step, answer: &Answer, id: &str) -> Value {
    let (mut thinking, mut text, mut calls) = (String::new(), String::new(), Vec::new());
    for block in &answer.blocks {
        match block {
            Block::Thinking(said) => thinking.push_str(said),
            Block::Text(said) => text.push_str(said),
            Block::Tool { name, input } => calls.push(call(name, &input.to_string(), id, calls.len())),
        }
    }
    let mut message = json!({"role": "assistant", "content": text});
    if !thinking.is_empty() {
        message["reasoning_content"] = json!(thinking);
    }
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    let choice = json!({"index": 0, "message": message, "finish_reason": finish_reason(answer)});
    let mut whole = shell(conversation, "chat.completion", id);
    (whole["choices"], whole["usage"]) = (json!([choice]), usage(step.usage));
    whole
}

fn streamed(
    conversation: &Conversation,
    step: &Step,
    answer: &Answer,
    fault: Option<Fault>,
    id: &str,
) -> Reply {
    let shell = shell(conversation, "chat.completion.chunk", id);
    let chunk = |delta: Value, reason: Option<&str>| {
        let mut chunk = shell.clone();
        chunk["choices"] = json!([{"index": 0, "delta": delta, "finish_reason": reason}]);
        chunk
    };
    let mut stream = Stream::default();
    stream.push(chunk(json!({"role": "assistant", "content": ""}), None));
    stream.mark();
    let mut calls = 0;
    for block in &answer.blocks {
        for delta in deltas(block, id, calls) {
            stream.push(chunk(delta, None));
        }
        stream.mark();
        calls += usize::from(matches!(block, Block::Tool { .. }));
    }
    stream.push(chunk(json!({}), Some(finish_reason(answer))));
    let mut counted = shell.clone();
    (counted["choices"], counted["usage"]) = (json!([]), usage(step.usage));
    stream.push(counted);
    let (events, end) = stream.under(fault, failure);
    let mut frames: Vec<String> = events.iter().map(wire::data_frame).collect();
    if fault.is_none() {
        frames.push("data: [DONE]\n\n".to_owned());
    }
    Reply { end, ..Reply::events(frames) }
}

/// What the chunks of a block add to the message; `at` counts tool calls.
fn deltas(block: &Block, id: &str, at: usize) -> Vec<Value> {
    match block {
        Block::Thinking(text) => {
            wire::pieces(text).map(|piece| json!({"reasoning_content": piece})).collect()
        }
        Block::Text(text) => wire::pieces(text).map(|piece| json!({"content": piece})).collect(),
        Block::Tool { name, input } => {
            let more = |piece| json!({"tool_calls": [{"index": at, "function": {"arguments": piece}}]});
            let arguments = input.to_string();
            let first = json!({"tool_calls": [call(name, "", id, at)]});
            std::iter::once(first).chain(wire::pieces(&arguments).map(more)).collect()
        }
    }
}

fn call(name: &str, arguments: &str, id: &str, at: usize) -> Value {
    json!({
        "index": at, "id": format!("call_{id}_{at}"), "type": "function",
        "function": {"name": name, "arguments": arguments},
    })
}

fn shell(conversation: &Conversation, object: &str, id: &str) -> Value {
    json!({
        "id": format!("chatcmpl-{id}"), "object": object, "created": openai::CREATED,
        "model": conversation.model,
    })
}

fn finish_reason(answer: &Answer) -> &'static str {
    let calls = answer.blocks.iter().any(|block| matches!(block, Block::Tool { .. }));
    if calls { "tool_calls" } else { "stop" }
}

fn usage(usage: Usage) -> Value {
    let input = usage.input + usage.cache_read + usage.cache_write;
    json!({
        "prompt_tokens": input, "prompt_tokens_details": {"cached_tokens": usage.cache_read},
        "completion_tokens": usage.output,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": input + usage.output,
    })
}

fn failure(error: &StreamError) -> Value {
    openai::error_body(&error.message, &error.kind, Some(&error.kind))
}

#[cfg(test)]
#[path = "chat_tests.rs"]
mod tests;
