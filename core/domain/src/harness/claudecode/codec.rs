//! One line of stream-json to events, and messages to lines.
//!
//! With partial messages each text comes twice: as deltas and then whole. Deltas become `TextDelta`; the whole
//! blocks of a message are joined and become one `AssistantMessage` when the message ends. What a sub-agent
//! writes is not the worker's own text: its tool calls are events, its messages are kept as `Raw`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::codec::describe_end;
use super::super::{Codec, FailureClass, HarnessEvent};
use super::{blocks, control, result};
use crate::api::{Decision, McpState, Usage};

/// See the module. The state is all there is.
#[derive(Debug, Default)]
pub(super) struct ClaudeCodec {
    pub(super) state: State,
}

/// What must survive between two lines.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// Session that was announced.
    pub(super) session: Option<String>,
    /// A turn has begun and has no result yet.
    pub(super) in_turn: bool,
    /// Results so far.
    pub(super) turns: u32,
    /// Messages that were sent and not yet taken up.
    pub(super) unstarted: Vec<Sent>,
    /// Message whose deltas are coming in.
    pub(super) streamed: Option<String>,
    /// A thinking block is being streamed.
    pub(super) thinking: bool,
    /// Text blocks of the message that has not ended.
    pub(super) message: Option<Message>,
    /// The session's cost at the last result, in US dollars.
    pub(super) total_cost_usd: f64,
    /// Error of an assistant message of this turn.
    pub(super) error: Option<String>,
    /// When a usage limit that refused this turn ends, Unix seconds.
    pub(super) limit_resets_at: Option<i64>,
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sent {
    uuid: String,
    id: String,
}

/// A message of the assistant, so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) model: Option<String>,
    pub(super) text: String,
}

impl State {
    /// Ends the message that is being collected.
    pub(super) fn flush(&mut self) -> Option<HarnessEvent> {
        let Message { id, model, text } = self.message.take()?;
        Some(HarnessEvent::AssistantMessage { id, content: text, model })
    }

    /// Ends a thinking block that is still open.
    pub(super) fn close_thinking(&mut self) -> Option<HarnessEvent> {
        std::mem::take(&mut self.thinking)
            .then(|| HarnessEvent::Thinking { content: String::new(), done: true })
    }
}

impl Codec for ClaudeCodec {
    fn decode_line(&mut self, line: &str) -> Vec<HarnessEvent> {
        if line.trim().is_empty() {
            return Vec::new();
        }
        match serde_json::from_str::<Value>(line) {
            Ok(value) => self.decode_value(value),
            Err(_) => vec![HarnessEvent::Raw(Value::String(line.to_owned()))],
        }
    }

    fn encode_user_message(&mut self, id: &str, text: &str) -> Option<String> {
        let uuid = message_uuid(id);
        if !self.state.unstarted.iter().any(|sent| sent.uuid == uuid) {
            self.state.unstarted.push(Sent { uuid: uuid.clone(), id: id.to_owned() });
        }
        Some(control::line(&json!({
            "type": "user",
            "message": { "role": "user", "content": [{ "type": "text", "text": text }] },
            "parent_tool_use_id": null,
            "uuid": uuid,
        })))
    }

    fn encode_interrupt(&mut self, id: &str) -> Option<String> {
        Some(control::line(&json!({
            "type": "control_request", "request_id": id, "request": { "subtype": "interrupt" },
        })))
    }

    fn encode_answer(
        &mut self,
        request_id: &str,
        detail: &Value,
        decision: Decision,
        answer: Option<&str>,
    ) -> Option<String> {
        Some(control::answer(request_id, detail, decision, answer))
    }

    fn finish(&mut self, exit_code: Option<i32>, signal: Option<i32>) -> Vec<HarnessEvent> {
        let state = &mut self.state;
        let mut events: Vec<_> = state.close_thinking().into_iter().chain(state.flush()).collect();
        if state.in_turn || !state.unstarted.is_empty() || state.turns == 0 {
            state.in_turn = false;
            state.unstarted.clear();
            state.turns += 1;
            events.push(HarnessEvent::TurnEnded {
                success: false,
                interrupted: false,
                failure: Some(FailureClass::Harness),
                message: format!("claude {} before its turn was over", describe_end(exit_code, signal)),
                usage: Usage::default(),
            });
        }
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

impl ClaudeCodec {
    fn decode_value(&mut self, value: Value) -> Vec<HarnessEvent> {
        let state = &mut self.state;
        match value["type"].as_str().unwrap_or_default() {
            "system" => system(state, value),
            "stream_event" => blocks::stream_event(state, value),
            "assistant" => blocks::assistant(state, value),
            "user" => blocks::user(state, value),
            "result" => result::decode(state, value),
            "rate_limit_event" => result::rate_limit(state, value),
            "control_request" => vec![control::request(value)],
            "control_response" => vec![control::response(&value)],
            "control_cancel_request" => vec![match value["request_id"].as_str() {
                Some(id) => HarnessEvent::RequestWithdrawn { request_id: id.to_owned() },
                None => HarnessEvent::Raw(value),
            }],
            "command_lifecycle" => vec![lifecycle(state, &value)],
            _ => vec![HarnessEvent::Raw(value)],
        }
    }
}

fn system(state: &mut State, value: Value) -> Vec<HarnessEvent> {
    let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
    if value["subtype"] == "init" {
        return std::iter::once(init(state, &value)).chain(servers(&value)).collect();
    }
    vec![match value["subtype"].as_str().unwrap_or_default() {
        // A sub-agent's life: its tool call and result tell the same.
        "task_started"
        | "task_progress"
        | "task_updated"
        | "task_notification"
        | "background_tasks_changed" => HarnessEvent::Ignored,
        "status" | "thinking_tokens" => HarnessEvent::Ignored,
        "api_retry" => HarnessEvent::Warning { code: "api_retry".to_owned(), message: retry(&value) },
        "permission_denied" => {
            HarnessEvent::Warning { code: "permission_denied".to_owned(), message: text("message") }
        }
        _ => HarnessEvent::Raw(value),
    }]
}

/// How its MCP servers are, told with every turn.
fn servers(value: &Value) -> Vec<HarnessEvent> {
    let told = |server: &Value| {
        let word = server["status"].as_str()?;
        let (state, detail) = match word {
            "connected" => (McpState::Ready, None),
            "pending" => (McpState::Starting, None),
            "disabled" => (McpState::Disabled, None),
            other => (McpState::Failed, Some(other.to_owned())),
        };
        Some(HarnessEvent::McpServer { name: server["name"].as_str()?.to_owned(), state, detail })
    };
    value["mcp_servers"].as_array().into_iter().flatten().filter_map(told).collect()
}

/// Comes with every turn; the session is announced once.
fn init(state: &mut State, value: &Value) -> HarnessEvent {
    state.in_turn = true;
    let Some(session) = value["session_id"].as_str() else { return HarnessEvent::Ignored };
    if state.session.as_deref() == Some(session) {
        return HarnessEvent::Ignored;
    }
    state.session = Some(session.to_owned());
    HarnessEvent::SessionStarted {
        session_id: session.to_owned(),
        model: value["model"].as_str().map(str::to_owned),
    }
}

fn retry(value: &Value) -> String {
    let status = value["error_status"].as_i64().map(|status| format!("{status} ")).unwrap_or_default();
    format!(
        "attempt {} of {} after {status}{}",
        value["attempt"],
        value["max_retries"],
        value["error"].as_str().unwrap_or("error")
    )
}

fn lifecycle(state: &mut State, value: &Value) -> HarnessEvent {
    let uuid = value["command_uuid"].as_str().unwrap_or_default();
    let sent = state.unstarted.iter().position(|sent| sent.uuid == uuid);
    match (value["state"].as_str(), sent) {
        (Some("queued") | None, _) | (_, None) => HarnessEvent::Ignored,
        (Some(now), Some(at)) => {
            state.in_turn |= now == "started";
            HarnessEvent::MessageStarted { id: state.unstarted.remove(at).id }
        }
    }
}

/// The protocol wants a UUID; another id is given one that depends on nothing else.
fn message_uuid(id: &str) -> String {
    Uuid::parse_str(id).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes())).to_string()
}
