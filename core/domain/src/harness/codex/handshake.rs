//! From the first message to an open session, and from a waiting message to its turn.

use serde_json::{Value, json};

use super::super::HarnessEvent;
use super::state::{Asked, Ending, How, Message, Phase, Sent, State};
use super::{goal, rpc, turn};

/// Notifications that repeat what an item's end tells, or that nobody needs.
const UNWANTED: [&str; 6] = [
    "account/updated",
    "item/commandExecution/outputDelta",
    "item/fileChange/outputDelta",
    "item/fileChange/patchUpdated",
    "thread/readState/changed",
    "turn/diff/updated",
];

/// The first line of a conversation.
pub(super) fn initialize(state: &mut State) -> String {
    state.phase = Phase::Initializing;
    let params = json!({
        "clientInfo": {
            "name": "sandboxed_sh", "title": "sandboxed-sh", "version": env!("CARGO_PKG_VERSION"),
        },
        "capabilities": {
            "experimentalApi": true,
            "requestAttestation": false,
            "optOutNotificationMethods": UNWANTED,
        },
    });
    state.ask(Asked::Initialize, "initialize", &params)
}

/// Asks for the session.
pub(super) fn open(state: &mut State) -> String {
    state.phase = Phase::Opening;
    let launch = state.launch.clone();
    let mut params = json!({
        "cwd": launch.cwd,
        "approvalPolicy": launch.approval,
        // The workspace is the sandbox: one of Codex's own inside it would only take things away.
        "sandbox": "danger-full-access",
        "modelProvider": launch.provider,
    });
    if let Some(model) = &launch.model {
        params["model"] = json!(model);
    }
    let Some(session) = &launch.session else { return state.ask(Asked::Thread, "thread/start", &params) };
    params["threadId"] = json!(session);
    params["excludeTurns"] = json!(true);
    state.ask(Asked::Thread, "thread/resume", &params)
}

/// The answer to `initialize`.
pub(super) fn initialized(state: &mut State, result: Result<&Value, &str>) -> Vec<HarnessEvent> {
    match result {
        Ok(_) => {
            let line = open(state);
            vec![HarnessEvent::Send { line: rpc::notification("initialized") }, HarnessEvent::Send { line }]
        }
        Err(error) => {
            state.phase = Phase::New;
            fail(state, format!("codex refuses to start: {error}"))
        }
    }
}

/// The answer to `thread/start` or `thread/resume`.
pub(super) fn opened(state: &mut State, result: Result<&Value, &str>) -> Vec<HarnessEvent> {
    let resumed = state.launch.session.clone();
    let found = match (result, &resumed) {
        (Ok(result), _) => result,
        (Err(error), None) => {
            state.phase = Phase::Ready;
            return fail(state, format!("codex cannot start a session: {error}"));
        }
        (Err(error), Some(session)) => {
            state.phase = Phase::Ready;
            return fail(state, format!("codex cannot resume the session {session}: {error}"));
        }
    };
    state.phase = Phase::Open;
    state.thread = found["thread"]["id"].as_str().map(str::to_owned);
    state.model = found["model"].as_str().map(str::to_owned);
    if resumed.is_none() {
        return deliver(state);
    }
    let look = json!({ "threadId": state.thread });
    let mut events = announce(state);
    events.push(state.send(Asked::Look, "thread/goal/get", &look));
    events
}

/// The answer to the look at a resumed session's goal.
pub(super) fn looked(state: &mut State, result: Result<&Value, &str>) -> Vec<HarnessEvent> {
    if let Ok(result) = result {
        goal::update(state, &result["goal"]);
    }
    let mut events = Vec::new();
    if state.launch.planning && state.goal.as_ref().is_some_and(|goal| goal.is_active()) {
        // It goes on by itself otherwise, and does more than plan.
        events.push(HarnessEvent::Send { line: goal::pause(state) });
    }
    events.extend(deliver(state));
    events
}

/// Tells the session, once; it can be resumed from now on.
pub(super) fn announce(state: &mut State) -> Vec<HarnessEvent> {
    let Some(session_id) = state.thread.clone().filter(|_| !state.announced) else { return Vec::new() };
    state.announced = true;
    vec![HarnessEvent::SessionStarted { session_id, model: state.model.clone() }]
}

/// Sends the next waiting message.
pub(super) fn deliver(state: &mut State) -> Vec<HarnessEvent> {
    if state.interrupting {
        state.waiting.clear();
        let how = How::Interrupted;
        state.ending = Some(Ending { how, message: "interrupted".to_owned(), info: Value::Null });
        return turn::settle(state);
    }
    if state.waiting.is_empty() {
        return Vec::new();
    }
    let message = state.waiting.remove(0);
    start(state, &message).into_iter().map(|line| HarnessEvent::Send { line }).collect()
}

/// The lines for one message.
pub(super) fn start(state: &mut State, message: &Message) -> Vec<String> {
    state.working = true;
    let command = goal::command(&message.text).filter(|_| !state.launch.planning);
    if let Some(command) = command {
        state.unstarted.push(Sent { id: message.id.clone(), turn: None });
        return vec![goal::ask(state, &message.id, &command)];
    }
    let mut lines = vec![say(state, message, true)];
    if state.goal.as_ref().is_some_and(|goal| goal.is_unfinished()) && !state.launch.planning {
        let params = json!({ "threadId": state.thread, "status": "active" });
        lines.push(state.ask(Asked::Aside, "thread/goal/set", &params));
    }
    lines
}

/// A message to the model: into the turn that runs, else as a new one.
pub(super) fn say(state: &mut State, message: &Message, with_settings: bool) -> String {
    let mut params = json!({
        "threadId": state.thread,
        "clientUserMessageId": message.id,
        "input": [{ "type": "text", "text": message.text, "text_elements": [] }],
    });
    if with_settings {
        settings(state, &mut params);
    }
    state.unstarted.push(Sent { id: message.id.clone(), turn: None });
    state.ask(Asked::Turn(message.id.clone()), "turn/start", &params)
}

/// Words for the running turn that are no message of anybody's.
pub(super) fn mention(state: &mut State, text: &str) -> String {
    let input = json!([{ "type": "text", "text": text, "text_elements": [] }]);
    let params = json!({ "threadId": state.thread, "input": input });
    state.ask(Asked::Aside, "turn/start", &params)
}

/// Effort, and the mode where the session may be in another.
fn settings(state: &State, params: &mut Value) {
    if let Some(effort) = &state.launch.effort {
        params["effort"] = json!(effort);
    }
    let mode = match (state.launch.planning, state.planned || state.launch.session.is_some()) {
        (true, _) => "plan",
        (false, true) => "default",
        (false, false) => return,
    };
    let settings = json!({ "model": state.model, "reasoning_effort": state.launch.effort });
    params["collaborationMode"] = json!({ "mode": mode, "settings": settings });
}

/// Nothing can be worked on.
pub(super) fn fail(state: &mut State, message: String) -> Vec<HarnessEvent> {
    state.waiting.clear();
    state.unstarted.clear();
    state.ending = Some(Ending { how: How::Failed, message, info: Value::Null });
    turn::settle(state)
}
