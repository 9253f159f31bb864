//! What differs between the agents that speak the protocol.

use serde_json::{Map, Value};

use super::super::{FailureClass, HarnessEvent};
use super::rpc::RpcError;
use super::setup::Setup;
use super::state::{Failure, Told};
use crate::api::{Decision, Usage};

/// A CLI's own way with the protocol.
pub(in crate::harness) trait Dialect: Send + Sync {
    /// Name of the program, for messages.
    fn program(&self) -> &'static str;

    /// The notification, or kind of session update, with which an opened session is really ready, where that is not
    /// the answer that opens it: `loading` repeats a history first, and `servers` are being started.
    fn ready_by(&self, _loading: bool, _servers: bool) -> Option<&'static str> {
        None
    }

    /// The id under which a session is loaded.
    fn loaded_as(&self, session: &str) -> String {
        session.to_owned()
    }

    /// Whether a session could not be loaded because the agent has kept nothing of it; then a new one begins.
    fn has_nothing_of(&self, _error: &RpcError) -> bool {
        false
    }

    /// Name and arguments of a tool, from all that was told of its call: the fields of `tool_call` and its updates.
    fn tool(&self, call: &Value) -> (String, Value) {
        let name = call["name"].as_str().or(call["title"].as_str()).unwrap_or("tool");
        (name.to_owned(), call["rawInput"].clone())
    }

    /// What a finished call gave the model, and whether it failed. The text of its content, other content as it is, or
    /// else the agent's own form.
    fn result(&self, update: &Value) -> (Value, bool) {
        (content(update).unwrap_or_else(|| update["rawOutput"].clone()), update["status"] == "failed")
    }

    /// The words of a thought.
    fn thought<'a>(&self, text: &'a str) -> &'a str {
        text
    }

    /// Why an answered prompt has failed all the same; asked where the agent says that its turn has come to its end.
    fn unanswered(&self, _result: &Value) -> Option<Failure> {
        None
    }

    /// What of the plan the opened session does not hold to; agents put another value in the place of one that they do
    /// not know. `result` is the answer that opened it.
    fn departure(&self, setup: &Setup, result: &Value) -> Option<String> {
        let (wanted, used) = (setup.model.as_deref()?, model(result)?);
        (wanted != used).then(|| format!("there is no model `{wanted}`: the session would use `{used}`"))
    }

    /// Meaning of a notification, or a session update, that is not the protocol's. Figures and signs of failure are
    /// noted in `told`, which lives as long as the turn. `None`: unknown.
    fn notification(&self, _method: &str, _params: &Value, _told: &mut Told) -> Option<Vec<HarnessEvent>> {
        None
    }

    /// Whether the tool with this name offers a plan, whose permission is its approval.
    fn is_plan(&self, _tool: &str) -> bool {
        false
    }

    /// What goes with the answer that denies a permission, so that the model learns of it and goes on. Without it most
    /// agents end their turn.
    fn denial(&self, _reason: Option<&str>) -> Option<Map<String, Value>> {
        None
    }

    /// A request that puts a question to the user. `None`: it is another one.
    fn question(&self, _method: &str, _params: &Value) -> Option<Question> {
        None
    }

    /// The result that answers a question.
    fn answer(&self, _detail: &Value, _answer: Answer<'_>) -> Value {
        Value::Null
    }

    /// What an error means.
    fn classify(&self, error: &RpcError, told: &Told) -> FailureClass;

    /// What a turn used, from its result (null when it has none) and what was told during it.
    fn usage(&self, result: &Value, told: &Told) -> Usage;
}

/// The model of an opened session: one of its options, or told in the way that came before options.
pub(in crate::harness) fn model(result: &Value) -> Option<&str> {
    let options = result["configOptions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let option = options.iter().find(|option| option["category"] == "model");
    let value = option.and_then(|option| option["currentValue"].as_str());
    value.or(result["models"]["currentModelId"].as_str())
}

/// The content of a call: its text where it has nothing else, `None` where it has none.
pub(in crate::harness) fn content(update: &Value) -> Option<Value> {
    let content = update["content"].as_array().filter(|content| !content.is_empty())?;
    let texts: Option<Vec<_>> = content.iter().map(|item| item["content"]["text"].as_str()).collect();
    Some(texts.map_or_else(|| update["content"].clone(), |texts| Value::String(texts.join("\n"))))
}

/// Something that somebody has to answer.
#[derive(Debug, PartialEq)]
pub(in crate::harness) struct Question {
    /// As [`HarnessEvent::Request`] has it; `question` is answered by [`Dialect::answer`].
    pub(in crate::harness) kind: &'static str,
    /// Its first line is shown.
    pub(in crate::harness) title: String,
    /// Answers that it suggests.
    pub(in crate::harness) options: Vec<String>,
    /// What it would allow always.
    pub(in crate::harness) rule: Option<String>,
    /// Everything needed to answer.
    pub(in crate::harness) detail: Value,
}

/// How a question ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::harness) enum Answer<'a> {
    /// Somebody answered, or refused to.
    Given(Decision, Option<&'a str>),
    /// The turn was cancelled.
    Cancelled,
}
