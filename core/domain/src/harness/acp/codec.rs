//! Lines of an agent to events, and messages to lines.

use serde_json::{Value, json};

use agent_client_protocol_schema::v1::{AGENT_METHOD_NAMES, CancelNotification};

use super::super::codec::describe_end;
use super::super::{Codec, FailureClass, HarnessEvent};
use super::dialect::Dialect;
use super::rpc::{self, Incoming};
use super::state::{Message, State};
use super::{handshake, request, turn, update};
use crate::api::{Decision, Usage};

/// A codec for the agent of a dialect. The state is all there is beside it.
pub(in crate::harness) struct AcpCodec {
    dialect: &'static dyn Dialect,
    state: State,
}

impl AcpCodec {
    /// For a run whose plan is restored into it.
    pub(in crate::harness) fn new(dialect: &'static dyn Dialect) -> Self {
        Self { dialect, state: State::default() }
    }

    fn decode_value(&mut self, value: Value) -> Vec<HarnessEvent> {
        let (state, dialect) = (&mut self.state, self.dialect);
        let withdrawn = std::mem::take(&mut state.withdrawn);
        let mut events: Vec<_> =
            withdrawn.into_iter().map(|request_id| HarnessEvent::RequestWithdrawn { request_id }).collect();
        events.extend(match rpc::read(&value) {
            Some(Incoming::Response { id, outcome }) => handshake::response(state, dialect, &id, outcome)
                .unwrap_or_else(|| vec![HarnessEvent::Raw(value)]),
            Some(Incoming::Notification { method, params }) => {
                update::notification(state, dialect, &method, &params, value)
            }
            Some(Incoming::Request { id, method, params }) => {
                request::request(state, dialect, &id, &method, &params, value)
            }
            None => vec![HarnessEvent::Raw(value)],
        });
        events.extend(turn::end_if_over(state, dialect));
        if events.is_empty() { vec![HarnessEvent::Ignored] } else { events }
    }
}

impl Codec for AcpCodec {
    fn decode_line(&mut self, line: &str) -> Vec<HarnessEvent> {
        if line.trim().is_empty() {
            return Vec::new();
        }
        match serde_json::from_str::<Value>(line) {
            Ok(value) => self.decode_value(value),
            Err(_) => vec![HarnessEvent::Raw(Value::String(line.to_owned()))],
        }
    }

    /// Empty when the message has to wait: for the handshake that is under way, or for the end of a turn.
    fn encode_user_message(&mut self, id: &str, text: &str) -> Option<String> {
        let state = &mut self.state;
        if state.knows(id) {
            return Some(String::new());
        }
        state.waiting.push_back(Message { id: id.to_owned(), text: text.to_owned() });
        Some(match (state.ready, state.open, &state.turn) {
            (true, None, None) => turn::begin(state).unwrap_or_default(),
            (false, None, None) => handshake::begin(state),
            _ => String::new(),
        })
    }

    /// Open requests are answered `cancelled`, as the protocol demands, and told withdrawn with the next line.
    fn encode_interrupt(&mut self, _id: &str) -> Option<String> {
        let session = self.state.session.clone()?;
        self.state.turn.as_mut()?.cancelled = true;
        let cancel = CancelNotification::new(session);
        let mut lines = rpc::notification(AGENT_METHOD_NAMES.session_cancel, &cancel);
        for (request_id, asked) in std::mem::take(&mut self.state.requests) {
            lines.push_str(&request::cancelled(self.dialect, &asked));
            self.state.withdrawn.push(request_id);
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
        let asked = self.state.requests.remove(request_id)?;
        if let (Decision::Deny, Some(turn), Some(call)) = (decision, &mut self.state.turn, &asked.call) {
            turn.refused.push(call.clone());
        }
        Some(request::answer(self.dialect, &asked, detail, decision, answer))
    }

    fn finish(&mut self, exit_code: Option<i32>, signal: Option<i32>) -> Vec<HarnessEvent> {
        let (state, dialect) = (&mut self.state, self.dialect);
        let withdrawn = std::mem::take(&mut state.withdrawn);
        let mut events: Vec<_> =
            withdrawn.into_iter().map(|request_id| HarnessEvent::RequestWithdrawn { request_id }).collect();
        // The answer came, and the end that the agent announces itself did not.
        events.extend(turn::end_now(state, dialect));
        let usage = state.turn.as_ref().map(|turn| dialect.usage(&Value::Null, &turn.told));
        if usage.is_some() || !state.waiting.is_empty() || state.turns == 0 {
            events.extend(turn::close(state));
            state.waiting.clear();
            state.turns += 1;
            let (program, end) = (dialect.program(), describe_end(exit_code, signal));
            events.push(HarnessEvent::TurnEnded {
                success: false,
                interrupted: false,
                failure: Some(FailureClass::Harness),
                message: format!("{program} {end} before its turn was over"),
                usage: usage.unwrap_or_else(Usage::default),
            });
        }
        events
    }

    fn snapshot(&self) -> Value {
        serde_json::to_value(&self.state).unwrap_or_else(|_| json!({}))
    }

    fn restore(&mut self, snapshot: Value) {
        if let Ok(state) = serde_json::from_value(snapshot) {
            self.state = state;
        }
    }
}
