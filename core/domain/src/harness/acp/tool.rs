//! Tool calls: announced, told, and their results.

use serde_json::{Map, Value};

use super::super::HarnessEvent;
use super::dialect::Dialect;
use super::state::State;

/// `tool_call` or `tool_call_update`. A call that is announced as pending is told when it runs or asks for permission:
/// only then are its arguments complete. Agents may leave the announcement out.
pub(super) fn update(state: &mut State, dialect: &dyn Dialect, update: &Value) -> Vec<HarnessEvent> {
    let Some(id) = update["toolCallId"].as_str() else { return vec![HarnessEvent::Raw(update.clone())] };
    let status = update["status"].as_str();
    let announced = update["sessionUpdate"] == "tool_call";
    collect(state, id, update);
    if announced && let Some(call) = state.turn.as_mut().and_then(|turn| turn.calls.get_mut(id)) {
        // Titles change.
        call["announced"] = update["title"].clone();
    }
    let ready = match status {
        Some("pending") => false,
        Some(_) => true,
        None => announced,
    };
    let mut events = if ready { tell(state, dialect, id) } else { Vec::new() };
    if let Some("completed" | "failed") = status {
        let Some(turn) = &mut state.turn else { return vec![HarnessEvent::Raw(update.clone())] };
        turn.running.remove(id);
        turn.refused.retain(|call| call != id);
        let (result, is_error) = dialect.result(update);
        events.push(HarnessEvent::ToolResult { id: id.to_owned(), result, is_error });
    }
    events
}

/// Adds what is told of a call that was not told itself yet.
pub(super) fn collect(state: &mut State, id: &str, fields: &Value) {
    let Some(turn) = state.turn.as_mut().filter(|turn| !turn.running.contains(id)) else { return };
    let call = turn.calls.entry(id.to_owned()).or_insert_with(|| Value::Object(Map::new()));
    if let (Some(call), Some(fields)) = (call.as_object_mut(), fields.as_object()) {
        let fields = fields.iter().filter(|(name, value)| *name != "sessionUpdate" && !value.is_null());
        call.extend(fields.map(|(name, value)| (name.clone(), value.clone())));
    }
}

/// Tells a call that was collected; nothing when it was told before.
pub(super) fn tell(state: &mut State, dialect: &dyn Dialect, id: &str) -> Vec<HarnessEvent> {
    let mut events = state.started();
    let model = state.model.clone();
    let Some(turn) = &mut state.turn else { return events };
    let Some(call) = turn.calls.remove(id) else { return events };
    events.extend(turn.close_refused());
    events.extend(turn.close_thinking());
    events.extend(turn.flush(model.as_deref()));
    turn.running.insert(id.to_owned());
    let (name, args) = dialect.tool(&call);
    events.push(HarnessEvent::ToolCall { id: id.to_owned(), name, args });
    events
}
