//! The script: what to answer, as it stands in a JSON file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// The whole script.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// Answer to side requests (titles, summaries).
    pub side: Step,
    /// Answers a conversation without a tag; its last step repeats.
    pub default: Scenario,
    /// Scenarios by the name their tag carries.
    pub scenarios: BTreeMap<String, Scenario>,
    /// Model ids that the model list names.
    pub models: Vec<String>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            side: Step::text("stub title"),
            default: Scenario { steps: vec![Step::text("ok")] },
            scenarios: BTreeMap::new(),
            models: vec!["stub-model".to_owned()],
        }
    }
}

/// The text is not a script.
#[derive(Debug, Error)]
#[error("not a stub script: {reason}")]
pub struct ParseError {
    /// What the parser met, with line and column.
    #[from]
    pub reason: serde_json::Error,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// When the text is not JSON or holds a field the script does not know.
    pub fn from_json(text: &str) -> Result<Self, ParseError> {
        Ok(serde_json::from_str(text)?)
    }

    /// Adds (or replaces) a scenario.
    #[must_use]
    pub fn scenario(mut self, name: &str, steps: impl IntoIterator<Item = Step>) -> Self {
        self.scenarios.insert(name.to_owned(), Scenario { steps: steps.into_iter().collect() });
        self
    }
}

/// The answers of one conversation, in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Step N answers after N assistant turns.
    pub steps: Vec<Step>,
}

/// One answer: the content in the order thinking, text, `bash`, `tool`, `tools`; and how it goes wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Thinking before the text.
    pub thinking: Option<String>,
    /// Visible text.
    pub text: Option<String>,
    /// A shell command, given to whichever shell tool the request offers.
    pub bash: Option<String>,
    /// One tool call.
    pub tool: Option<ToolCall>,
    /// More tool calls of the same turn.
    pub tools: Vec<ToolCall>,
    /// Token counts to report.
    pub usage: Usage,
    /// Headers of the response, faulty or not.
    pub headers: BTreeMap<String, String>,
    /// Milliseconds before the response starts.
    pub first_delay_ms: u64,
    /// Milliseconds between two stream events.
    pub delay_ms: u64,
    /// Fault: an HTTP error instead of the answer.
    pub error: Option<ErrorReply>,
    /// Fault: the connection breaks after that many stream events (a plain answer breaks in its middle).
    pub disconnect_after: Option<usize>,
    /// Fault: an error event in the middle of a well-formed stream.
    pub stream_error: Option<StreamError>,
    /// Fault: the stream stops inside the last block and stays open until the client leaves.
    pub hang: bool,
    /// The fault applies to this many requests only; without it, to all.
    pub times: Option<u32>,
    /// The fault applies to requests with these API keys only; without any, to all.
    pub only_keys: Vec<String>,
}

impl Step {
    /// A step that only says something.
    pub fn text(text: &str) -> Self {
        Self { text: Some(text.to_owned()), ..Self::default() }
    }

    /// A step that runs a shell command.
    pub fn bash(command: &str) -> Self {
        Self { bash: Some(command.to_owned()), ..Self::default() }
    }

    /// A step that calls a tool of an MCP server.
    pub fn mcp(server: &str, tool: &str, input: Value) -> Self {
        let call = ToolCall::Mcp { mcp: (server.to_owned(), tool.to_owned()), input };
        Self { tool: Some(call), ..Self::default() }
    }

    /// A step that answers with an HTTP error.
    pub fn error(status: u16) -> Self {
        Self { error: Some(ErrorReply { status, ..ErrorReply::default() }), ..Self::default() }
    }

    /// A step that answers that something is used up.
    pub fn limit(limit: Limit) -> Self {
        Self { error: Some(ErrorReply { limit: Some(limit), ..ErrorReply::default() }), ..Self::default() }
    }

    /// A step that asks the user, by whichever question tool the request offers.
    pub fn ask(question: &str, options: [&str; 2]) -> Self {
        let ask = Question { question: question.to_owned(), options: options.map(str::to_owned).into() };
        Self { tool: Some(ToolCall::Ask { ask }), ..Self::default() }
    }

    /// The fault that a request meets when `earlier` requests of its key have met this step before it.
    pub fn fault(&self, earlier: u32) -> Option<Fault<'_>> {
        if self.times.is_some_and(|times| earlier >= times) {
            return None;
        }
        if let Some(error) = &self.error {
            return Some(Fault::Error(error));
        }
        if let Some(error) = &self.stream_error {
            return Some(Fault::StreamError(error));
        }
        match (self.disconnect_after, self.hang) {
            (Some(events), _) => Some(Fault::Disconnect(events)),
            (None, true) => Some(Fault::Hang),
            (None, false) => None,
        }
    }
}

/// A tool call as the script writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum ToolCall {
    /// A tool of an MCP server; its full name depends on the CLI that asks.
    Mcp {
        /// Server and tool.
        mcp: (String, String),
        /// The arguments.
        #[serde(default)]
        input: Value,
    },
    /// A tool by the exact name the CLI gives it.
    Named {
        /// The name.
        name: String,
        /// The arguments.
        #[serde(default)]
        input: Value,
    },
    /// The shell tool, like `bash` of a step.
    Bash {
        /// The command.
        bash: String,
    },
    /// The tool that asks the user.
    Ask {
        /// What is asked.
        ask: Question,
    },
}

/// A question to the user with some answers to pick from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The question.
    pub question: String,
    /// The answers.
    pub options: Vec<String>,
}

/// Token counts of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Usage {
    /// Input tokens that came from no cache.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// Input tokens read from the cache.
    pub cache_read: u64,
    /// Input tokens written to the cache.
    pub cache_write: u64,
    /// Of the output tokens, those spent on thinking; the Anthropic API does not tell them.
    pub reasoning: u64,
}

impl Default for Usage {
    fn default() -> Self {
        Self { input: 100, output: 20, cache_read: 0, cache_write: 0, reasoning: 0 }
    }
}

/// An HTTP error answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ErrorReply {
    /// HTTP status; 0 stands for the one that belongs to `limit`.
    pub status: u16,
    /// `retry-after`, in seconds.
    pub retry_after: Option<u64>,
    /// What is used up: status, headers and body are then those by which the API's CLIs know it.
    pub limit: Option<Limit>,
    /// When [`Limit::Usage`] is over, in seconds since 1970; without it, in March 2030.
    pub resets_at: Option<u64>,
    /// More headers.
    pub headers: BTreeMap<String, String>,
    /// The body; without it, the API's usual one for the status.
    pub body: Option<Value>,
}

/// What a provider can say is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Requests in a short time; waiting for `retry_after` helps.
    Rate,
    /// What a plan allows in some hours or a day.
    Usage,
    /// The money of the account.
    Credit,
}

/// An error event inside a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamError {
    /// The error's type as the API calls it, for example `overloaded_error`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The message.
    #[serde(default)]
    pub message: String,
}

/// How a request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault<'a> {
    /// With an HTTP error.
    Error(&'a ErrorReply),
    /// With an error event inside the stream.
    StreamError(&'a StreamError),
    /// With a connection broken after that many stream events.
    Disconnect(usize),
    /// By standing still.
    Hang,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_in_the_documentation_is_one() {
        let (_, text) = include_str!("mod.rs").split_once("//! ```json\n").unwrap();
        let (text, _) = text.split_once("//! ```").unwrap();
        let script = Script::from_json(&text.replace("//!", "")).unwrap();
        assert_eq!(script.scenarios["empty"].steps[0].error.as_ref().unwrap().limit, Some(Limit::Usage));
        assert!(matches!(script.scenarios["asks"].steps[0].tool, Some(ToolCall::Ask { .. })));
    }
}
