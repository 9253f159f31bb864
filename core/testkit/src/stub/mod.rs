//! A model server that answers from a script instead of a model.
//!
//! A request goes through pure steps: the API module ([`anthropic`], [`chat`], [`responses`], [`responses_socket`],
//! [`gemini`], [`code_assist`]) reads it into a [`Conversation`], [`choose()`] picks the scripted [`Step`], [`compose`]
//! turns that into an [`Answer`] (tool names resolved, templates filled), the API module renders a [`Reply`], and only
//! then does the server play it. Another API is one more module with an [`Api`] like [`anthropic::MESSAGES`] and its
//! paths in the table of routes.
//!
//! # The script
//! ```json
//! {"side": {"text": "stub title"},
//!  "default": {"steps": [{"text": "ok"}]},
//!  "scenarios": {
//!    "tool": {"steps": [{"thinking": "hm", "text": "Look:", "bash": "echo hi > hi.txt"}, {"text": "Done."}]},
//!    "boss": {"steps": [
//!      {"tool": {"mcp": ["orchestrator", "create_worker"], "input": {"prompt": "go [[tool]]"}}},
//!      {"tool": {"mcp": ["orchestrator", "wait"], "input": {"worker_id": "{{find:worker_id}}"}}},
//!      {"text": "All done."}]},
//!    "busy": {"steps": [{"error": {"status": 429, "retry_after": 1}, "times": 1, "text": "Recovered."}]},
//!    "empty": {"steps": [{"error": {"limit": "usage", "resets_at": 1900000000}}]},
//!    "asks": {"steps": [{"tool": {"ask": {"question": "Which?", "options": ["A", "B"]}}}, {"text": "Done."}]}}}
//! ```
//! `bash`, `mcp` and `ask` call whatever tool the request offers for that, by the name and with the arguments of the
//! CLI that asks. `limit` (`rate`, `usage`, `credit`) is worded as the provider of each API words it.
//!
//! The choice keeps no state: the newest user text that holds a tag `[[name]]` picks the scenario (the last
//! tag of that text), and the number of assistant turns after it picks the step. So retries and any number of
//! agents in parallel cannot get out of step. Without a tag the default scenario answers and repeats its
//! last step. A request that offers no tools, or one tool it forces, or that asks for a compaction, is a side request
//! (a title, a summary) and gets `side`, whatever its text holds (or, where it wants a form of
//! JSON, the least that this form accepts). A compaction leaves the user's texts and no
//! assistant turn: after it, the newest tag starts anew.
//!
//! Only `times` counts: the step's fault applies to the first N requests of one API key at that step, so
//! give every agent a fake key of its own.
//!
//! Mistakes of the script (unknown scenario, no such step, a template without value, no such tool) are
//! answered with status 400 and a text that names them.
//!
//! # Templates
//! Any string of a step may use what earlier tool results of the same conversation said:
//! * `{{last:/workers/0/worker_id}}`: JSON pointer into the newest tool result;
//! * `{{find:worker_id}}`: the first value under that key, at any depth, oldest result first;
//! * `{{find:worker_id:1}}`: the same, but the second value (counted from 0).
//!
//! A result is read as JSON if it is JSON or holds some after other text. Inside a tool input, a string that
//! is one template and nothing else becomes the value with its type; elsewhere the value is written out.

mod answer;
pub mod anthropic;
mod api;
pub mod chat;
mod choose;
pub mod code_assist;
pub mod gemini;
mod log;
mod openai;
mod reply;
pub mod responses;
pub mod responses_socket;
mod routes;
mod script;
mod serve;
mod server;
mod socket;
mod template;
mod tools;
mod wire;

pub use answer::{Answer, Block, compose};
pub use api::Api;
pub use choose::{Choice, Conversation, Entry, choose};
pub use log::{Outcome, RequestRecord, WaitError};
pub use reply::{End, Reply};
pub use script::{
    ErrorReply, Fault, Limit, ParseError, Question, Scenario, Script, Step, StreamError, ToolCall, Usage,
};
pub use server::StubModel;
