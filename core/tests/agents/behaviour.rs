//! What every agent is expected to do: the rows of the table in the documentation.

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behaviour {
    Events,
    ToolFailure,
    OwnTools,
    Instructions,
    Skill,
    Secrecy,
    Queue,
    Conversation,
    Resume,
    Usage,
    Cost,
    DaemonKilled,
    AgentKilled,
    CancelText,
    CancelTool,
    TimeOut,
    Permissions,
    DenialReason,
    AllowAlways,
    Question,
    RateLimit,
    Retry,
    Failures,
    CutStream,
    FailedTask,
    WrongModel,
}

use Behaviour as B;

/// All rows with their words, in the order of the table.
pub const BEHAVIOURS: &[(Behaviour, &str)] = &[
    (B::Events, "thinking, text, tool call, result and message: in order, each once"),
    (B::ToolFailure, "a failed command is told as an error, with what it printed"),
    (B::OwnTools, "the platform's tools are there and can be called"),
    (B::Instructions, "our instructions and the repository's own are seen by the model"),
    (B::Skill, "the platform's skill is offered to the model"),
    (B::Secrecy, "the key is in no argument, file, event or answer, and MCP servers do not get it"),
    (B::Queue, "a message to a busy worker is its next turn"),
    (B::Conversation, "a person's mission waits for the next message and remembers the last"),
    (B::Resume, "an ended worker goes on with the agent's own session"),
    (B::Usage, "tokens of each turn, after a resume too"),
    (B::Cost, "cost of each turn in dollars"),
    (B::DaemonKilled, "a turn goes on when the daemon is killed, and is told once"),
    (B::AgentKilled, "when the agent is killed the worker fails, its tools end, a resume goes on"),
    (B::CancelText, "cancelled in the middle of a text; its session goes on"),
    (B::CancelTool, "cancelled in the middle of a tool; nothing of the tool is left"),
    (B::TimeOut, "a turn that hangs ends at its time, with its tools"),
    (B::Permissions, "asks before a command where it has to; allowed, denied"),
    (B::DenialReason, "the model learns why it was denied"),
    (B::AllowAlways, "does not ask again for what is allowed always, after a resume neither"),
    (B::Question, "asks a question, and the answer reaches the model"),
    (B::RateLimit, "status 429 is `rate_limited`"),
    (B::Retry, "a passing fault of the provider is survived"),
    (B::Failures, "status 401 is `auth_error`, 5xx `harness_error`"),
    (B::CutStream, "a cut stream is never taken for an end"),
    (B::FailedTask, "a worker whose first turn failed still knows its task when it is resumed"),
    (B::WrongModel, "a model of another provider is refused before anything starts"),
];
