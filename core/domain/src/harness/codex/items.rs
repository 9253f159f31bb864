//! Items of a turn: messages, reasoning, and tools with their results.

use serde_json::{Value, json};

use super::super::HarnessEvent;
use super::rpc::text;
use super::state::State;
use super::turn;

/// Edits whose files are remembered for a question about them.
const MOST_EDITS: usize = 16;
/// Files remembered of each.
const MOST_FILES: usize = 20;

/// `item/started`.
pub(super) fn started(state: &mut State, item: &Value) -> Vec<HarnessEvent> {
    if item["type"] == "userMessage" {
        return turn::message_started(state, item);
    }
    match tool(item) {
        Some((name, args)) => vec![call(state, item, name, args)],
        None => Vec::new(),
    }
}

/// `item/completed`.
pub(super) fn completed(state: &mut State, item: &Value) -> Vec<HarnessEvent> {
    let id = text(item, "id");
    match text(item, "type") {
        "userMessage" => turn::message_started(state, item),
        "agentMessage" => message(state, item),
        "plan" => {
            state.plan = Some(text(item, "text").to_owned());
            message(state, item)
        }
        "reasoning" => reasoned(state, item),
        _ => match tool(item) {
            Some((name, args)) => {
                // One that was refused before it started is told here only.
                let unknown = !state.tools.contains(id);
                let mut events: Vec<_> = unknown.then(|| call(state, item, name, args)).into_iter().collect();
                events.push(result(state, item));
                events
            }
            None => vec![HarnessEvent::Raw(item.clone())],
        },
    }
}

fn message(state: &State, item: &Value) -> Vec<HarnessEvent> {
    let (id, content) = (text(item, "id").to_owned(), text(item, "text").to_owned());
    if content.is_empty() {
        return Vec::new();
    }
    vec![HarnessEvent::AssistantMessage { id, content, model: state.model.clone() }]
}

/// New text of a piece of reasoning.
pub(super) fn reasoning(state: &mut State, params: &Value) -> Vec<HarnessEvent> {
    state.reasoning = Some(text(params, "itemId").to_owned());
    vec![HarnessEvent::Thinking { content: text(params, "delta").to_owned(), done: false }]
}

/// Parts of a summary stand apart.
pub(super) fn next_part(state: &mut State, params: &Value) -> Vec<HarnessEvent> {
    let same = state.reasoning.as_deref() == params["itemId"].as_str();
    if !same || params["summaryIndex"].as_u64().unwrap_or(0) == 0 {
        return Vec::new();
    }
    vec![HarnessEvent::Thinking { content: "\n\n".to_owned(), done: false }]
}

/// Only what did not come in deltas.
fn reasoned(state: &mut State, item: &Value) -> Vec<HarnessEvent> {
    let streamed = state.reasoning.as_deref() == item["id"].as_str();
    if streamed {
        return turn::close_reasoning(state).into_iter().collect();
    }
    let parts = |field: &str| {
        let parts = item[field].as_array().map(Vec::as_slice).unwrap_or_default();
        parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n\n")
    };
    match [parts("summary"), parts("content")].into_iter().find(|text| !text.is_empty()) {
        Some(content) => vec![HarnessEvent::Thinking { content, done: true }],
        None => Vec::new(),
    }
}

/// Whether the item is a tool's use.
pub(super) fn is_tool(item: &Value) -> bool {
    tool(item).is_some()
}

/// Name and arguments, under the names by which the model knows its tools.
fn tool(item: &Value) -> Option<(String, Value)> {
    let pick = |fields: &[&str]| {
        let some = fields.iter().filter(|field| !item[**field].is_null());
        Value::Object(some.map(|field| ((*field).to_owned(), item[*field].clone())).collect())
    };
    let named = |name: &str, fields: &[&str]| Some((name.to_owned(), pick(fields)));
    match text(item, "type") {
        "commandExecution" => named("exec_command", &["command", "cwd"]),
        "fileChange" => named("apply_patch", &["changes"]),
        "webSearch" => named("web_search", &["query", "action"]),
        "imageView" => named("view_image", &["path"]),
        "imageGeneration" => named("image_generation", &["revisedPrompt"]),
        "sleep" => named("sleep", &["durationMs"]),
        "collabAgentToolCall" => {
            named(text(item, "tool"), &["prompt", "model", "reasoningEffort", "receiverThreadIds"])
        }
        "mcpToolCall" => {
            let name = format!("mcp__{}__{}", text(item, "server"), text(item, "tool"));
            Some((name, item["arguments"].clone()))
        }
        "dynamicToolCall" => Some((text(item, "tool").to_owned(), item["arguments"].clone())),
        _ => None,
    }
}

fn call(state: &mut State, item: &Value, name: String, args: Value) -> HarnessEvent {
    let id = text(item, "id").to_owned();
    state.tools.insert(id.clone());
    if item["type"] == "fileChange" && state.edits.len() < MOST_EDITS {
        let changes = item["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let files = changes.iter().filter_map(|change| change["path"].as_str()).take(MOST_FILES);
        state.edits.insert(id.clone(), files.map(str::to_owned).collect());
    }
    HarnessEvent::ToolCall { id, name, args }
}

fn result(state: &mut State, item: &Value) -> HarnessEvent {
    let id = text(item, "id").to_owned();
    state.tools.remove(&id);
    state.edits.remove(&id);
    let status = text(item, "status");
    let result = match text(item, "type") {
        "commandExecution" => json!({
            "status": status, "exit_code": item["exitCode"], "output": item["aggregatedOutput"],
        }),
        "mcpToolCall" if item["error"].is_object() => item["error"]["message"].clone(),
        "mcpToolCall" => item["result"]["content"].clone(),
        "dynamicToolCall" => item["contentItems"].clone(),
        "webSearch" => json!({ "query": item["query"], "action": item["action"] }),
        "imageGeneration" => json!({ "status": status, "saved_path": item["savedPath"] }),
        _ => json!({ "status": status }),
    };
    let is_error = ["failed", "declined"].contains(&status) || item["success"] == false;
    HarnessEvent::ToolResult { id, result, is_error }
}
