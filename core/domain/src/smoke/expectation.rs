//! What is expected of a backend.

use serde::Serialize;

/// One thing that a backend has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// Its process starts and is at work.
    Starts,
    /// The first message brings the tool call.
    ToolCall,
    /// And the call its result, with what the command printed.
    ToolResult,
    /// A message to the busy mission is accepted as queued.
    Queued,
    /// That message becomes the next turn.
    NextTurn,
    /// In which it remembers what the command printed.
    Memory,
    /// Thinking is seen.
    Thinking,
    /// Text is seen as it grows.
    TextDelta,
    /// Each turn has a whole message.
    AssistantMessage,
    /// And tells its tokens.
    Usage,
    /// Nothing fails.
    NoError,
}

use Expectation as E;

impl Expectation {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 11] = [
        E::Starts,
        E::ToolCall,
        E::ToolResult,
        E::Queued,
        E::NextTurn,
        E::Memory,
        E::Thinking,
        E::TextDelta,
        E::AssistantMessage,
        E::Usage,
        E::NoError,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            E::Starts => "starts",
            E::ToolCall => "tool_call",
            E::ToolResult => "tool_result",
            E::Queued => "queued",
            E::NextTurn => "next_turn",
            E::Memory => "memory",
            E::Thinking => "thinking",
            E::TextDelta => "text_delta",
            E::AssistantMessage => "assistant_message",
            E::Usage => "usage",
            E::NoError => "no_error",
        }
    }

    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|expectation| expectation.as_str() == name)
    }
}

/// Whether it was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was.
    Pass,
    /// It was not.
    Fail,
    /// Nobody asked.
    Skipped,
}

impl Verdict {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Skipped => "skipped",
        }
    }
}

/// An expectation and what was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which.
    pub expectation: Expectation,
    /// Whether it was met.
    pub verdict: Verdict,
    /// What was seen, in a line.
    pub detail: String,
}
