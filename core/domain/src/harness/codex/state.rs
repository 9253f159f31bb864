//! What must survive between two lines.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::HarnessEvent;

/// All there is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// What the plan wants said.
    pub launch: Launch,
    /// How far the handshake is.
    pub phase: Phase,
    /// Number of the last request of ours.
    pub last_id: u64,
    /// Requests of ours without an answer.
    pub asked: BTreeMap<u64, Asked>,
    /// Messages that wait for the handshake or for the running turn.
    pub waiting: Vec<Message>,
    /// Messages that were sent and not yet taken up.
    pub unstarted: Vec<Sent>,
    /// The session.
    pub thread: Option<String>,
    /// It was announced.
    pub announced: bool,
    /// Model in use.
    pub model: Option<String>,
    /// A message is being worked on: from its encoding to the end that is told.
    pub working: bool,
    /// Ends told so far.
    pub ends: u32,
    /// The turn that runs.
    pub turn: Option<String>,
    /// It is to be interrupted, or was.
    pub interrupting: bool,
    /// The end that is told when everything is cleaned up.
    pub ending: Option<Ending>,
    /// The session's goal.
    pub goal: Option<Goal>,
    /// It was pursued since the last end.
    pub driven: bool,
    /// Turns that pursued it in this run.
    pub iterations: u32,
    /// Tokens.
    pub tokens: Tokens,
    /// Reasoning item whose deltas came.
    pub reasoning: Option<String>,
    /// Tools that run.
    pub tools: BTreeSet<String>,
    /// Files of edits that run, by tool.
    pub edits: BTreeMap<String, Vec<String>>,
    /// The plan that was offered in the running turn.
    pub plan: Option<String>,
    /// Planning is over: its mode stays with the session until it is told another.
    pub planned: bool,
    /// Requests that were put to a person and not answered, ids as JSON.
    pub requests: Vec<String>,
    /// Kind of the last error of this turn that was retried.
    pub retried: Option<Value>,
    /// Message of the last error of this turn.
    pub error: Option<String>,
    /// When the usage limit that is used up is lifted, Unix seconds.
    pub resets_at: Option<i64>,
}

/// What the codec has to say to its process; part of the launch plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Launch {
    /// Directory of the session.
    pub cwd: String,
    /// Session to resume.
    pub session: Option<String>,
    /// Model, where one is named.
    pub model: Option<String>,
    /// Effort, where one is named.
    pub effort: Option<String>,
    /// Name of the provider in `config.toml`.
    pub provider: String,
    /// When Codex asks.
    pub approval: String,
    /// How edits are answered without a person.
    pub edits: Edits,
    /// Turns only plan.
    pub planning: bool,
}

/// Who answers a request to edit files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Edits {
    /// A person.
    #[default]
    Ask,
    /// They need no question.
    Accept,
    /// There shall be none.
    Decline,
}

/// Steps of the handshake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// Nothing was said.
    #[default]
    New,
    /// `initialize` is on its way.
    Initializing,
    /// Without a session.
    Ready,
    /// The session is being opened.
    Opening,
    /// The session is open.
    Open,
}

/// What a request of ours wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Asked {
    Initialize,
    Thread,
    /// The goal of a resumed session.
    Look,
    /// A message.
    Turn(String),
    /// A goal, or to go on with it, for a message.
    Goal(String),
    /// What goes with something else: to go on with a goal after a message, the reason of a denial.
    Aside,
    Clear(String),
    Pause,
    Clean,
    Interrupt,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Message {
    pub id: String,
    pub text: String,
}

/// A message on its way, and the turn that it is said to be in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sent {
    pub id: String,
    pub turn: Option<String>,
}

/// How a turn ended, until it is told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Ending {
    pub how: How,
    pub message: String,
    /// `codexErrorInfo` of a failure.
    pub info: Value,
}

/// A turn's last status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
    Completed,
    Interrupted,
    #[default]
    Failed,
}

/// A goal as it was last told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Goal {
    pub status: String,
    pub objective: String,
    pub used: u64,
    pub budget: Option<u64>,
}

/// Tokens, input and output. Those of the session are cumulative over its whole life.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    /// Of the session when the last end was told.
    pub base: Option<[u64; 2]>,
    /// Of the session now.
    pub now: [u64; 2],
    /// Of sub-agents' sessions.
    pub others: BTreeMap<String, [u64; 2]>,
    /// What sub-agents used since the last end.
    pub of_others: [u64; 2],
}

impl State {
    /// A request of ours as a line.
    pub fn ask(&mut self, asked: Asked, method: &str, params: &Value) -> String {
        self.last_id += 1;
        self.asked.insert(self.last_id, asked);
        super::rpc::request(self.last_id, method, params)
    }

    /// The same as an event.
    pub fn send(&mut self, asked: Asked, method: &str, params: &Value) -> HarnessEvent {
        HarnessEvent::Send { line: self.ask(asked, method, params) }
    }

    /// Whether the message was given before and is not taken up.
    pub fn knows(&self, id: &str) -> bool {
        self.waiting.iter().any(|message| message.id == id) || self.unstarted.iter().any(|sent| sent.id == id)
    }

    /// Whether a notification is about a sub-agent's session.
    pub fn is_foreign(&self, params: &Value) -> bool {
        match (params["threadId"].as_str(), &self.thread) {
            (Some(of), Some(own)) => of != own,
            _ => false,
        }
    }
}
