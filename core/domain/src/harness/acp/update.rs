//! What the agent tells while it works.

use agent_client_protocol_schema::v1::{CLIENT_METHOD_NAMES, ContentBlock, ContentChunk, SessionUpdate};
use serde_json::Value;

use super::super::HarnessEvent;
use super::dialect::Dialect;
use super::state::{State, Turn};
use super::{handshake, tool};

/// A notification; `whole` is the message that it came in.
pub(super) fn notification(
    state: &mut State,
    dialect: &dyn Dialect,
    method: &str,
    params: &Value,
    whole: Value,
) -> Vec<HarnessEvent> {
    let update = &params["update"];
    if state.replaying {
        return handshake::signalled(state, dialect, method, update);
    }
    let mut events = handshake::signalled(state, dialect, method, update);
    events.extend(meaning(state, dialect, method, params, whole));
    events
}

fn meaning(
    state: &mut State,
    dialect: &dyn Dialect,
    method: &str,
    params: &Value,
    whole: Value,
) -> Vec<HarnessEvent> {
    let update = &params["update"];
    if method == CLIENT_METHOD_NAMES.session_update {
        // A tool call is read as it stands, so that what a dialect needs of it is not lost.
        match update["sessionUpdate"].as_str() {
            Some("tool_call" | "tool_call_update") => return tool::update(state, dialect, update),
            _ => {
                if let Ok(update) = serde_json::from_value::<SessionUpdate>(update.clone()) {
                    return session_update(state, dialect, update, whole);
                }
            }
        }
    }
    extension(state, dialect, method, params, whole)
}

fn extension(
    state: &mut State,
    dialect: &dyn Dialect,
    method: &str,
    params: &Value,
    whole: Value,
) -> Vec<HarnessEvent> {
    let mut outside = Turn::default();
    let turn = state.turn.as_mut().unwrap_or(&mut outside);
    let Some(events) = dialect.notification(method, params, &mut turn.told) else {
        return vec![HarnessEvent::Raw(whole)];
    };
    if std::mem::take(&mut turn.told.again) {
        turn.drop_text();
    }
    let mut all = if turn.told.started { state.started() } else { Vec::new() };
    all.extend(events);
    all
}

fn session_update(
    state: &mut State,
    dialect: &dyn Dialect,
    update: SessionUpdate,
    whole: Value,
) -> Vec<HarnessEvent> {
    match update {
        SessionUpdate::AgentMessageChunk(chunk) => message(state, chunk, whole),
        SessionUpdate::AgentThoughtChunk(chunk) => thought(state, dialect, chunk, whole),
        // What was said by us, plans and lists: nothing that a turn depends on.
        SessionUpdate::UserMessageChunk(_)
        | SessionUpdate::Plan(_)
        | SessionUpdate::AvailableCommandsUpdate(_)
        | SessionUpdate::CurrentModeUpdate(_)
        | SessionUpdate::ConfigOptionUpdate(_)
        | SessionUpdate::SessionInfoUpdate(_)
        | SessionUpdate::UsageUpdate(_) => Vec::new(),
        _ => vec![HarnessEvent::Raw(whole)],
    }
}

fn message(state: &mut State, chunk: ContentChunk, whole: Value) -> Vec<HarnessEvent> {
    let ContentBlock::Text(text) = chunk.content else { return vec![HarnessEvent::Raw(whole)] };
    let mut events = state.started();
    let model = state.model.clone();
    let Some(turn) = &mut state.turn else { return vec![HarnessEvent::Raw(whole)] };
    events.extend(turn.close_refused());
    events.extend(turn.close_thinking());
    let id = chunk.message_id.map(|id| id.0.to_string());
    if turn.text_id != id {
        events.extend(turn.flush(model.as_deref()));
        turn.text_id = id;
    }
    events.extend(turn.push_text(&text.text, model.as_deref()));
    events.push(HarnessEvent::TextDelta { content: text.text });
    events
}

fn thought(state: &mut State, dialect: &dyn Dialect, chunk: ContentChunk, whole: Value) -> Vec<HarnessEvent> {
    let ContentBlock::Text(text) = chunk.content else { return vec![HarnessEvent::Raw(whole)] };
    let mut events = state.started();
    let model = state.model.clone();
    let Some(turn) = &mut state.turn else { return vec![HarnessEvent::Raw(whole)] };
    events.extend(turn.close_refused());
    events.extend(turn.flush(model.as_deref()));
    turn.thinking = true;
    let content = dialect.thought(&text.text).to_owned();
    events.push(HarnessEvent::Thinking { content, done: false });
    events
}
