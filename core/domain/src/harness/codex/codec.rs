//! One line of the app server to events, and messages to lines.

use serde_json::{Value, json};

use super::super::codec::describe_end;
use super::super::{Codec, HarnessEvent};
use super::state::{Asked, Ending, How, Message, Phase, State};
use super::{goal, handshake, notices, requests, turn};
use crate::api::Decision;

/// See the module. The state is all there is.
#[derive(Debug, Default)]
pub(super) struct CodexCodec {
    state: State,
}

impl Codec for CodexCodec {
    fn decode_line(&mut self, line: &str) -> Vec<HarnessEvent> {
        if line.trim().is_empty() {
            return Vec::new();
        }
        let events = match serde_json::from_str::<Value>(line) {
            Ok(value) => self.decode_value(value),
            Err(_) => vec![HarnessEvent::Raw(Value::String(line.to_owned()))],
        };
        if events.is_empty() { vec![HarnessEvent::Ignored] } else { events }
    }

    fn encode_user_message(&mut self, id: &str, text: &str) -> Option<String> {
        let state = &mut self.state;
        if state.knows(id) {
            return Some(String::new());
        }
        let message = Message { id: id.to_owned(), text: text.to_owned() };
        if state.phase == Phase::Open && !state.working {
            return Some(handshake::start(state, &message).concat());
        }
        state.waiting.push(message);
        state.working = true;
        Some(match state.phase {
            Phase::New => handshake::initialize(state),
            Phase::Ready => handshake::open(state),
            Phase::Initializing | Phase::Opening | Phase::Open => String::new(),
        })
    }

    fn encode_steer(&mut self, id: &str, text: &str) -> Option<String> {
        let state = &mut self.state;
        if state.turn.is_none() || state.interrupting {
            return None;
        }
        if state.knows(id) {
            return Some(String::new());
        }
        let message = Message { id: id.to_owned(), text: text.to_owned() };
        Some(handshake::say(state, &message, false))
    }

    fn encode_interrupt(&mut self, _id: &str) -> Option<String> {
        let state = &mut self.state;
        if !state.working {
            return None;
        }
        if std::mem::replace(&mut state.interrupting, true) || state.ending.is_some() {
            return Some(String::new());
        }
        let mut lines = String::new();
        if state.goal.as_ref().is_some_and(|goal| goal.is_active()) {
            lines.push_str(&goal::pause(state));
        }
        if let Some(turn) = state.turn.clone() {
            lines.push_str(&turn::interrupt(state, &turn));
        } else if state.unstarted.is_empty() && state.waiting.is_empty() {
            // Between two turns of a goal, or before the answer to a plan: the answer to this one tells the end.
            state.ending = Some(Ending { how: How::Interrupted, ..Ending::default() });
            lines.push_str(&turn::clean(state));
        }
        Some(lines)
    }

    fn encode_answer(
        &mut self,
        request_id: &str,
        detail: &Value,
        decision: Decision,
        answer: Option<&str>,
    ) -> Option<String> {
        requests::answer(&mut self.state, request_id, detail, decision, answer)
    }

    fn finish(&mut self, exit_code: Option<i32>, signal: Option<i32>) -> Vec<HarnessEvent> {
        let state = &mut self.state;
        let mut events: Vec<_> = turn::close_reasoning(state).into_iter().collect();
        state.asked.clear();
        state.turn = None;
        if let Some(ending) = state.ending.take() {
            events.extend(turn::end(state, &ending));
        } else if state.working || state.ends == 0 {
            let mut message = format!("codex {} before its turn was over", describe_end(exit_code, signal));
            if let Some(error) = state.error.take() {
                message = format!("{message}: {error}");
            }
            state.goal = None;
            events.extend(turn::end(state, &Ending { how: How::Failed, message, info: Value::Null }));
        }
        state.waiting.clear();
        events
    }

    fn snapshot(&self) -> Value {
        serde_json::to_value(&self.state).unwrap_or_default()
    }

    fn restore(&mut self, snapshot: Value) {
        if let Ok(state) = serde_json::from_value(snapshot) {
            self.state = state;
        }
    }
}

impl CodexCodec {
    fn decode_value(&mut self, value: Value) -> Vec<HarnessEvent> {
        let state = &mut self.state;
        match (value["method"].is_string(), value.get("id")) {
            (true, Some(_)) => requests::request(state, value),
            (true, None) => notices::decode(state, value),
            (false, Some(id)) => match id.as_u64().and_then(|id| state.asked.remove(&id)) {
                Some(asked) => answered(state, asked, &value),
                None => vec![HarnessEvent::Raw(value)],
            },
            (false, None) => vec![HarnessEvent::Raw(value)],
        }
    }
}

/// An answer to a request of ours.
fn answered(state: &mut State, asked: Asked, value: &Value) -> Vec<HarnessEvent> {
    let error = value.get("error").map(|error| error["message"].as_str().unwrap_or("refused"));
    let result = match error {
        Some(error) => Err(error),
        None => Ok(&value["result"]),
    };
    match asked {
        Asked::Initialize => handshake::initialized(state, result),
        Asked::Thread => handshake::opened(state, result),
        Asked::Look => handshake::looked(state, result),
        Asked::Turn(id) => turn::accepted(state, &id, result),
        Asked::Goal(id) => goal_set(state, &id, result),
        Asked::Clear(id) => goal_cleared(state, &id, result),
        // The turn was over already.
        Asked::Interrupt => Vec::new(),
        Asked::Aside => refused(result),
        Asked::Pause | Asked::Clean => {
            let mut events = refused(result);
            events.extend(turn::settle(state));
            events
        }
    }
}

/// A request that only serves another one.
fn refused(result: Result<&Value, &str>) -> Vec<HarnessEvent> {
    match result {
        Ok(_) => Vec::new(),
        Err(error) => {
            vec![HarnessEvent::Warning { code: "control_refused".to_owned(), message: error.to_owned() }]
        }
    }
}

fn goal_set(state: &mut State, id: &str, result: Result<&Value, &str>) -> Vec<HarnessEvent> {
    state.unstarted.retain(|sent| sent.id != id);
    let result = match result {
        Ok(result) => result,
        Err(error) => return handshake::fail(state, format!("codex does not take the goal: {error}")),
    };
    let mut events = handshake::announce(state);
    events.push(HarnessEvent::MessageStarted { id: id.to_owned() });
    state.iterations = 0;
    if goal::update(state, &result["goal"]) {
        events.extend(goal::event(state));
    }
    if state.interrupting {
        events.push(HarnessEvent::Send { line: goal::pause(state) });
        if state.turn.is_none() {
            state.ending = Some(Ending { how: How::Interrupted, ..Ending::default() });
        }
    } else if !state.goal.as_ref().is_some_and(|goal| goal.is_active()) && state.turn.is_none() {
        // A goal that is over at once, as one whose budget was used up before.
        state.ending = Some(Ending { how: How::Completed, ..Ending::default() });
        state.driven = true;
        events.extend(turn::settle(state));
    }
    events
}

fn goal_cleared(state: &mut State, id: &str, result: Result<&Value, &str>) -> Vec<HarnessEvent> {
    state.unstarted.retain(|sent| sent.id != id);
    if let Err(error) = result {
        return handshake::fail(state, format!("codex does not clear the goal: {error}"));
    }
    (state.goal, state.driven) = (None, false);
    let mut events = vec![HarnessEvent::MessageStarted { id: id.to_owned() }];
    match state.turn.clone() {
        // A turn that a killed process had begun.
        Some(turn) => {
            state.interrupting = true;
            events.push(HarnessEvent::Send { line: turn::interrupt(state, &turn) });
        }
        None => {
            let message = "the goal is given up".to_owned();
            state.ending = Some(Ending { how: How::Completed, message, info: json!(null) });
            events.extend(turn::settle(state));
        }
    }
    events
}
