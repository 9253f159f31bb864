//! A prompt and how it ends.

use agent_client_protocol_schema::v1::{
    AGENT_METHOD_NAMES as METHODS, ContentBlock, PromptRequest, TextContent,
};
use serde_json::{Value, json};

use super::super::{FailureClass, HarnessEvent};
use super::dialect::Dialect;
use super::rpc::{self, RpcError};
use super::state::{State, Step, Told, Turn};
use crate::api::Usage;

/// The prompt of the next waiting message; `None` when none waits.
pub(super) fn begin(state: &mut State) -> Option<String> {
    let message = state.waiting.pop_front()?;
    let session = state.session.clone().unwrap_or_default();
    let text = ContentBlock::Text(TextContent::new(plain(&message.text)));
    let prompt = PromptRequest::new(session, vec![text]);
    state.turn = Some(Turn { message: message.id, ..Turn::default() });
    Some(rpc::request(state.open(Step::Prompt), METHODS.session_prompt, &prompt))
}

/// All of these agents take a text that begins with `/` (one of them also `$`) for a command of their own, and most
/// drop one that they do not know without a word. A message is for the model: an invisible character keeps it so.
fn plain(text: &str) -> String {
    match text.trim_start().starts_with(['/', '$']) {
        true => format!("\u{200b}{text}"),
        false => text.to_owned(),
    }
}

/// The prompt was answered. The end is told by [`end_if_over`], when the agent has told everything.
pub(super) fn answered(
    state: &mut State,
    dialect: &dyn Dialect,
    outcome: Result<Value, RpcError>,
) -> Vec<HarnessEvent> {
    let mut events = state.started();
    match outcome {
        Ok(result) => {
            if let Some(turn) = &mut state.turn {
                turn.ended = Some(result);
            }
        }
        Err(error) => {
            // The pieces of the last text were told; a message they did not become.
            state.turn.iter_mut().for_each(Turn::drop_text);
            events.extend(close_running(state));
            events.push(failed(state, dialect, &error));
            events.extend(next(state));
        }
    }
    events
}

/// Ends the turn that was answered and has nothing more to come, and begins the next.
pub(super) fn end_if_over(state: &mut State, dialect: &dyn Dialect) -> Vec<HarnessEvent> {
    match &state.turn {
        Some(turn) if turn.ended.is_some() && !turn.told.busy => end_now(state, dialect),
        _ => Vec::new(),
    }
}

/// Ends a turn that was answered.
pub(super) fn end_now(state: &mut State, dialect: &dyn Dialect) -> Vec<HarnessEvent> {
    let Some(result) = state.turn.as_mut().and_then(|turn| turn.ended.take()) else { return Vec::new() };
    if let Some(turn) = state.turn.as_mut().filter(|turn| turn.told.given_up.is_some()) {
        turn.drop_text();
    }
    let mut events = close_running(state);
    let turn = state.turn.take().unwrap_or_default();
    state.turns += 1;
    let usage = dialect.usage(&result, &turn.told);
    let text = events.iter().rev().find_map(|event| match event {
        HarnessEvent::AssistantMessage { content, .. } => Some(content.clone()),
        _ => None,
    });
    let reason = result["stopReason"].as_str().unwrap_or_default();
    let broken = dialect.unanswered(&result).filter(|_| reason == "end_turn").map(FailureClass::from);
    events.push(ended(&turn, reason, broken, text, usage));
    events.extend(next(state));
    events
}

fn ended(
    turn: &Turn,
    reason: &str,
    broken: Option<FailureClass>,
    text: Option<String>,
    usage: Usage,
) -> HarnessEvent {
    let told = turn.told.failure.map(FailureClass::from);
    let (failure, message) = match reason {
        // An agent stops by itself as well, when somebody refused what it wanted to do.
        "cancelled" => (None, "interrupted".to_owned()),
        _ if turn.cancelled => (None, "interrupted".to_owned()),
        "end_turn" if broken.is_some() => (broken, "the model's answer broke off".to_owned()),
        "end_turn" => (None, text.unwrap_or_default()),
        "max_tokens" => (told, "stopped at the model's output limit".to_owned()),
        "max_turn_requests" => (told, "stopped at the limit of requests in a turn".to_owned()),
        "refusal" => (told, "the model refused".to_owned()),
        other => (told, format!("stopped: {other}")),
    };
    if let Some(words) = turn.told.given_up.clone().filter(|_| !turn.cancelled) {
        let failure = Some(told.unwrap_or(FailureClass::Harness));
        return HarnessEvent::TurnEnded {
            success: false,
            interrupted: false,
            failure,
            message: words,
            usage,
        };
    }
    let interrupted = turn.cancelled || reason == "cancelled";
    let success = reason == "end_turn" && broken.is_none() && !interrupted;
    let failure = (!success && !interrupted).then_some(failure.unwrap_or(FailureClass::Harness));
    HarnessEvent::TurnEnded { success, interrupted, failure, message, usage }
}

/// The end of a turn, or of the handshake before one, by an error. An error after a cancel is the cancel.
pub(super) fn failed(state: &mut State, dialect: &dyn Dialect, error: &RpcError) -> HarnessEvent {
    let turn = state.turn.take();
    state.turns += 1;
    let told = turn.as_ref().map(|turn| turn.told.clone()).unwrap_or_default();
    let interrupted = turn.is_some_and(|turn| turn.cancelled);
    HarnessEvent::TurnEnded {
        success: false,
        interrupted,
        failure: (!interrupted).then(|| classify(dialect, error, &told)),
        message: if interrupted { "interrupted".to_owned() } else { error.words() },
        usage: dialect.usage(&Value::Null, &told),
    }
}

/// `auth_required` is the protocol's own.
fn classify(dialect: &dyn Dialect, error: &RpcError, told: &Told) -> FailureClass {
    match error.code {
        -32000 => FailureClass::Auth,
        _ => dialect.classify(error, told),
    }
}

/// The process is gone in the middle of a turn.
pub(super) fn close(state: &mut State) -> Vec<HarnessEvent> {
    let events = close_running(state);
    state.turn = None;
    state.open = None;
    events
}

/// Ends what is open inside the turn. A call that was refused or cut short gets no result from some agents.
fn close_running(state: &mut State) -> Vec<HarnessEvent> {
    let withdrawn = std::mem::take(&mut state.requests);
    let mut events: Vec<_> =
        withdrawn.into_keys().map(|request_id| HarnessEvent::RequestWithdrawn { request_id }).collect();
    let model = state.model.clone();
    let Some(turn) = &mut state.turn else { return events };
    events.extend(turn.close_refused());
    for id in std::mem::take(&mut turn.running) {
        events.push(HarnessEvent::ToolResult { id, result: json!("ended without a result"), is_error: true });
    }
    turn.calls.clear();
    events.extend(turn.close_thinking());
    events.extend(turn.flush(model.as_deref()));
    events
}

fn next(state: &mut State) -> Option<HarnessEvent> {
    begin(state).map(|line| HarnessEvent::Send { line })
}
