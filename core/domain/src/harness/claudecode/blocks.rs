//! Messages, their content blocks, and the deltas they are made of.

use serde_json::Value;

use super::super::HarnessEvent;
use super::codec::{Message, State};

/// A raw event of the provider's stream, passed through by the CLI.
pub(super) fn stream_event(state: &mut State, value: Value) -> Vec<HarnessEvent> {
    if is_sub_agent(&value) {
        return vec![HarnessEvent::Ignored];
    }
    let event = &value["event"];
    match event["type"].as_str().unwrap_or_default() {
        "message_start" => {
            state.streamed = event["message"]["id"].as_str().map(str::to_owned);
            some_or_ignored(state.close_thinking())
        }
        "content_block_start" => {
            state.thinking = event["content_block"]["type"] == "thinking";
            vec![HarnessEvent::Ignored]
        }
        "content_block_delta" => vec![delta(&event["delta"])],
        "content_block_stop" => some_or_ignored(state.close_thinking()),
        "message_delta" | "message_stop" => some_or_ignored(state.flush()),
        "ping" => vec![HarnessEvent::Ignored],
        _ => vec![HarnessEvent::Raw(value)],
    }
}

fn delta(delta: &Value) -> HarnessEvent {
    let text = |field: &str| delta[field].as_str().unwrap_or_default().to_owned();
    match delta["type"].as_str().unwrap_or_default() {
        "text_delta" => HarnessEvent::TextDelta { content: text("text") },
        "thinking_delta" => HarnessEvent::Thinking { content: text("thinking"), done: false },
        // Arguments, signatures and citations come whole with their block.
        _ => HarnessEvent::Ignored,
    }
}

/// One content block of a message (or several), complete.
pub(super) fn assistant(state: &mut State, value: Value) -> Vec<HarnessEvent> {
    let sub_agent = is_sub_agent(&value);
    if !sub_agent {
        state.in_turn = true;
        if let Some(error) = value["error"].as_str() {
            state.error = Some(error.to_owned());
            return api_error(&value);
        }
    }
    let message = &value["message"];
    let id = message["id"].as_str().unwrap_or_default();
    let mut events = Vec::new();
    for block in blocks_of(message) {
        match block["type"].as_str().unwrap_or_default() {
            kind if kind.ends_with("tool_use") => events.push(tool_call(block)),
            kind if kind.ends_with("tool_result") => events.push(tool_result(block)),
            _ if sub_agent => events.push(HarnessEvent::Raw(value.clone())),
            "text" => events.extend(text_block(state, id, message, block)),
            "thinking" => events.extend(thinking_block(state, id, block)),
            "redacted_thinking" => {}
            _ => events.push(HarnessEvent::Raw(block.clone())),
        }
    }
    or_ignored(events)
}

/// An error dressed up as a message of a `<synthetic>` model: not the assistant's words. The result repeats it,
/// if the process lives to tell.
fn api_error(value: &Value) -> Vec<HarnessEvent> {
    let texts = blocks_of(&value["message"]).iter().filter_map(|block| block["text"].as_str());
    vec![HarnessEvent::Warning {
        code: "api_error".to_owned(),
        message: texts.collect::<Vec<_>>().join("\n"),
    }]
}

/// Joins the text; another message's text goes out first.
fn text_block(state: &mut State, id: &str, message: &Value, block: &Value) -> Option<HarnessEvent> {
    let text = block["text"].as_str().unwrap_or_default();
    if let Some(open) = state.message.as_mut().filter(|open| open.id == id) {
        open.text.push_str(text);
        return None;
    }
    let before = state.flush();
    if !text.is_empty() {
        let model = message["model"].as_str().map(str::to_owned);
        state.message = Some(Message { id: id.to_owned(), model, text: text.to_owned() });
    }
    before
}

/// Only what did not come in deltas.
fn thinking_block(state: &State, id: &str, block: &Value) -> Option<HarnessEvent> {
    let text = block["thinking"].as_str().unwrap_or_default();
    let streamed = state.streamed.as_deref() == Some(id);
    (!streamed && !text.is_empty()).then(|| HarnessEvent::Thinking { content: text.to_owned(), done: true })
}

/// Tool results; the user's own words are known already.
pub(super) fn user(state: &mut State, value: Value) -> Vec<HarnessEvent> {
    let mut events = Vec::new();
    if !is_sub_agent(&value) && value["isReplay"] != true {
        events.extend(state.flush());
    }
    for block in blocks_of(&value["message"]) {
        match block["type"].as_str().unwrap_or_default() {
            kind if kind.ends_with("tool_result") => events.push(tool_result(block)),
            "text" | "image" | "document" => {}
            _ => events.push(HarnessEvent::Raw(block.clone())),
        }
    }
    or_ignored(events)
}

fn tool_call(block: &Value) -> HarnessEvent {
    HarnessEvent::ToolCall {
        id: block["id"].as_str().unwrap_or_default().to_owned(),
        name: block["name"].as_str().unwrap_or_default().to_owned(),
        args: block["input"].clone(),
    }
}

fn tool_result(block: &Value) -> HarnessEvent {
    HarnessEvent::ToolResult {
        id: block["tool_use_id"].as_str().unwrap_or_default().to_owned(),
        result: block["content"].clone(),
        is_error: block["is_error"] == true,
    }
}

fn is_sub_agent(value: &Value) -> bool {
    value["parent_tool_use_id"].is_string()
}

fn blocks_of(message: &Value) -> &[Value] {
    message["content"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn some_or_ignored(event: Option<HarnessEvent>) -> Vec<HarnessEvent> {
    vec![event.unwrap_or(HarnessEvent::Ignored)]
}

fn or_ignored(events: Vec<HarnessEvent>) -> Vec<HarnessEvent> {
    if events.is_empty() { vec![HarnessEvent::Ignored] } else { events }
}
