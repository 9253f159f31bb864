//! What must survive between two lines.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::{FailureClass, HarnessEvent};
use super::setup::{Session, Setup};
use crate::policy::head_at;

/// Longest message that is kept together; a longer one becomes several.
const MESSAGE_BYTES: usize = 256 * 1024;

/// The whole state of the codec.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// What the plan wants.
    pub(super) setup: Setup,
    /// Our open request and what it is for.
    pub(super) open: Option<(u64, Step)>,
    /// Number of the last request.
    pub(super) last_id: u64,
    /// How the session is opened once we are authenticated.
    pub(super) after_auth: Option<Step>,
    /// The session takes prompts.
    pub(super) ready: bool,
    /// What comes now is history.
    pub(super) replaying: bool,
    /// Where the signal is that the opened session is ready.
    pub(super) signal: Signal,
    /// The session, once it is known.
    pub(super) session: Option<String>,
    /// It was announced.
    pub(super) announced: bool,
    /// Model of the session.
    pub(super) model: Option<String>,
    /// Messages that wait.
    pub(super) waiting: VecDeque<Message>,
    /// The running turn.
    pub(super) turn: Option<Turn>,
    /// Turns that have ended.
    pub(super) turns: u32,
    /// Requests of the agent that wait for an answer, by the id under which we told of them.
    pub(super) requests: BTreeMap<String, Asked>,
    /// Requests that were answered by a cancel and are not yet told withdrawn.
    pub(super) withdrawn: Vec<String>,
}

/// What a request of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    Initialize,
    Authenticate,
    NewSession,
    ResumeSession,
    LoadSession,
    /// The setting with this number.
    Set(usize),
    Prompt,
}

/// A signal that may come before or after the answer that it belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Signal {
    #[default]
    None,
    Seen,
    Awaited,
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) text: String,
}

/// A request of the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Asked {
    /// As the agent wrote it.
    pub(super) id: Value,
    /// A question, not a permission.
    pub(super) question: bool,
    /// The call that a permission is for.
    #[serde(default)]
    pub(super) call: Option<String>,
}

/// A turn.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Turn {
    /// Its message.
    pub(super) message: String,
    /// The agent took it up.
    pub(super) started: bool,
    /// We asked it to stop.
    pub(super) cancelled: bool,
    /// A thinking block is open.
    pub(super) thinking: bool,
    /// The agent's id of the text that is collected.
    pub(super) text_id: Option<String>,
    /// The text that is collected.
    pub(super) text: String,
    /// Messages so far.
    pub(super) texts: u32,
    /// Tool calls that were announced and are not complete enough to be told.
    pub(super) calls: BTreeMap<String, Value>,
    /// Tool calls that were told and have no result yet.
    pub(super) running: BTreeSet<String>,
    /// Of these, calls that somebody refused; not every agent tells a result of them.
    pub(super) refused: Vec<String>,
    /// What the dialect noted.
    pub(super) told: Told,
    /// How the prompt was answered, while more is to come.
    pub(super) ended: Option<Value>,
}

/// What an agent tells of a turn beside the protocol.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::harness) struct Told {
    /// Input tokens so far.
    pub(in crate::harness) input_tokens: u64,
    /// Output tokens so far.
    pub(in crate::harness) output_tokens: u64,
    /// Cost so far in US dollars, where the agent knows prices.
    pub(in crate::harness) cost_usd: Option<f64>,
    /// Why it is about to fail.
    pub(in crate::harness) failure: Option<Failure>,
    /// The agent has taken up the message.
    pub(in crate::harness) started: bool,
    /// The agent asks the model once more: the text that is being collected will be said again.
    pub(in crate::harness) again: bool,
    /// It was stopped because it tried for too long, in its words: the turn failed, however the prompt is answered.
    pub(in crate::harness) given_up: Option<String>,
    /// The agent says itself that it is still at it: its answer to the prompt is not the end.
    pub(in crate::harness) busy: bool,
}

/// [`FailureClass`] as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::harness) enum Failure {
    RateLimited { resets_at: Option<i64> },
    Auth,
    Transient,
    Harness,
}

impl Failure {
    /// What an HTTP status of the provider means.
    pub(in crate::harness) fn of_status(status: u64) -> Self {
        match status {
            401 | 403 => Self::Auth,
            429 => Self::RateLimited { resets_at: None },
            408 | 500..=599 => Self::Transient,
            _ => Self::Harness,
        }
    }
}

impl From<Failure> for FailureClass {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::RateLimited { resets_at } => Self::RateLimited { resets_at },
            Failure::Auth => Self::Auth,
            Failure::Transient => Self::Transient,
            Failure::Harness => Self::Harness,
        }
    }
}

impl State {
    /// A number for a new request, which is open from now on.
    pub(super) fn open(&mut self, step: Step) -> u64 {
        self.last_id += 1;
        self.open = Some((self.last_id, step));
        self.last_id
    }

    /// Whether the message is known already.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.message == id)
            || self.waiting.iter().any(|message| message.id == id)
    }

    /// The agent is at work: the session and the message are told, once.
    pub(super) fn started(&mut self) -> Vec<HarnessEvent> {
        let mut events = Vec::new();
        if let (false, Some(session)) = (self.announced, &self.session) {
            // The agent may know it under another name, see `Dialect::loaded_as`.
            let session_id = match &self.setup.session {
                Session::Resume(session) => session.clone(),
                Session::New => session.clone(),
            };
            let model = self.model.clone();
            events.push(HarnessEvent::SessionStarted { session_id, model });
            self.announced = true;
        }
        if let Some(turn) = self.turn.as_mut().filter(|turn| !turn.started) {
            turn.started = true;
            events.push(HarnessEvent::MessageStarted { id: turn.message.clone() });
        }
        events
    }
}

impl Turn {
    /// Ends a thinking block that is still open.
    pub(super) fn close_thinking(&mut self) -> Option<HarnessEvent> {
        std::mem::take(&mut self.thinking)
            .then(|| HarnessEvent::Thinking { content: String::new(), done: true })
    }

    /// The agent goes on: what was refused is over.
    pub(super) fn close_refused(&mut self) -> Vec<HarnessEvent> {
        let refused = std::mem::take(&mut self.refused);
        let open = refused.into_iter().filter(|id| self.running.remove(id));
        open.map(|id| HarnessEvent::ToolResult { id, result: json!("refused"), is_error: true }).collect()
    }

    /// Ends the text that is being collected.
    pub(super) fn flush(&mut self, model: Option<&str>) -> Option<HarnessEvent> {
        let content = std::mem::take(&mut self.text);
        let id = self.text_id.take();
        if content.is_empty() {
            return None;
        }
        self.texts += 1;
        Some(HarnessEvent::AssistantMessage {
            id: id.unwrap_or_else(|| format!("{}/{}", self.message, self.texts)),
            content,
            model: model.map(str::to_owned),
        })
    }

    /// Forgets the text that is being collected.
    pub(super) fn drop_text(&mut self) {
        self.text.clear();
        self.text_id = None;
    }

    /// Adds to the text, and cuts it where it is too long to be kept together.
    pub(super) fn push_text(&mut self, text: &str, model: Option<&str>) -> Option<HarnessEvent> {
        let room = MESSAGE_BYTES.saturating_sub(self.text.len());
        let head = head_at(text, room);
        self.text.push_str(head);
        if head.len() == text.len() {
            return None;
        }
        let id = self.text_id.clone();
        let event = self.flush(model);
        self.text_id = id;
        self.text.push_str(&text[head.len()..]);
        event
    }
}
