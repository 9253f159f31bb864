//! The one normalised event type that every codec produces.

use serde_json::Value;

use crate::api::{McpState, Usage};

/// Why a turn failed, from structure and never from prose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The provider refuses for now.
    RateLimited {
        /// Unix time in seconds when it may work again, where the provider tells.
        resets_at: Option<i64>,
    },
    /// Credentials are missing or refused.
    Auth,
    /// The provider itself failed for now (5xx, overloaded, a cut connection), and the harness gave up: the same
    /// may work a moment later.
    Transient,
    /// A budget that was set for the work is used up.
    BudgetReached,
    /// Anything else the harness reports.
    Harness,
}

/// What one line of a harness's output means.
#[derive(Debug, Clone, PartialEq)]
pub enum HarnessEvent {
    /// The harness told its session id (for resuming).
    SessionStarted {
        /// Its own id.
        session_id: String,
        /// Model in use.
        model: Option<String>,
    },
    /// The harness has taken up its credential, and has started nothing yet that could see where it came from.
    CredentialTaken,
    /// A piece of reasoning; `done` closes it and carries no repetition.
    Thinking {
        /// New text.
        content: String,
        /// Whether this block is complete.
        done: bool,
    },
    /// New text of the assistant.
    TextDelta {
        /// New text only.
        content: String,
    },
    /// A whole message of the assistant (text blocks joined).
    AssistantMessage {
        /// The harness's id of the message.
        id: String,
        /// All of its text.
        content: String,
        /// Model that wrote it.
        model: Option<String>,
    },
    /// A tool starts.
    ToolCall {
        /// Id that the result repeats.
        id: String,
        /// Tool name.
        name: String,
        /// Arguments.
        args: Value,
    },
    /// A tool ended.
    ToolResult {
        /// Id of the call.
        id: String,
        /// What it returned.
        result: Value,
        /// Whether the tool failed.
        is_error: bool,
    },
    /// The harness asks for a permission or an answer.
    Request {
        /// Id to answer with.
        request_id: String,
        /// `permission`, `question` or `plan` (the approval of a plan).
        kind: String,
        /// One line.
        title: String,
        /// Answers that a question suggests; empty for the other kinds.
        options: Vec<String>,
        /// What `allow_always` would allow from now on, for instance `Bash(git status)`. A later request of the same
        /// mission with the same text is answered by that rule. None: it can only be allowed once.
        rule: Option<String>,
        /// Everything needed to answer (tool name, input).
        detail: Value,
    },
    /// The harness withdrew a request: an answer would come too late.
    RequestWithdrawn {
        /// The request's id.
        request_id: String,
    },
    /// The harness took up a message that was sent to it.
    MessageStarted {
        /// Id that was given when it was encoded.
        id: String,
    },
    /// The harness did not take a message that was sent to it; it waits for the next turn.
    MessageRefused {
        /// Id that was given when it was encoded.
        id: String,
        /// Why, in the harness's words.
        reason: String,
    },
    /// A passing fault (a retry, a rate limit warning).
    Warning {
        /// Stable code.
        code: String,
        /// What happened.
        message: String,
    },
    /// How an MCP server of the harness is. May be told again and again.
    McpServer {
        /// Its name.
        name: String,
        /// How it is, in the platform's words.
        state: McpState,
        /// Why, where it is not well.
        detail: Option<String>,
    },
    /// The goal that the harness pursues over several of its own turns, when something about it changed.
    Goal {
        /// `active`, `paused`, `blocked`, `complete`, `budget_limited`, `usage_limited`.
        status: String,
        /// What is to be true at its end.
        objective: String,
        /// Turns that pursued it in this run.
        iterations: u32,
        /// Tokens used for it.
        tokens_used: u64,
        /// Tokens that it may use.
        token_budget: Option<u64>,
    },
    /// The turn is over: the terminal event of the protocol.
    TurnEnded {
        /// Whether the harness says it succeeded.
        success: bool,
        /// Whether it was stopped by an interrupt.
        interrupted: bool,
        /// Why it failed.
        failure: Option<FailureClass>,
        /// Final text or error message.
        message: String,
        /// Tokens and cost of this turn only.
        usage: Usage,
    },
    /// The codec's own next line of the conversation (a handshake, an answer without a person): it goes to stdin.
    Send {
        /// The line, line break included; never a secret.
        line: String,
    },
    /// Known and without meaning for us; not stored.
    Ignored,
    /// Unknown: kept as it is.
    Raw(Value),
}
