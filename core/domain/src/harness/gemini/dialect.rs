//! What Gemini CLI does in its own way with the protocol.

use serde_json::{Map, Value, json};

use super::super::FailureClass;
use super::super::acp::{self, Dialect, Failure, RpcError, Told};
use crate::api::Usage;

/// See the module.
pub(super) struct Gemini;

/// JSON-RPC's `Internal error`: what loading a session fails with that is not there.
const INTERNAL: i64 = -32603;

impl Dialect for Gemini {
    fn program(&self) -> &'static str {
        "gemini"
    }

    /// It repeats the history of a session after the answer that opens it, and tells its commands last.
    fn ready_by(&self, loading: bool, _servers: bool) -> Option<&'static str> {
        loading.then_some("available_commands_update")
    }

    fn loaded_as(&self, session: &str) -> String {
        format!(" {}", session.trim())
    }

    fn has_nothing_of(&self, error: &RpcError) -> bool {
        error.code == INTERNAL
    }

    /// The name stands in the call's id. Of the arguments there is what is shown: a command, the arguments of an MCP
    /// tool, or a line and the files.
    fn tool(&self, call: &Value) -> (String, Value) {
        let title = call["title"].as_str().unwrap_or("tool");
        let name = call["toolCallId"].as_str().and_then(|id| id.rsplit_once("__")).map(|(name, _)| name);
        let name = name.unwrap_or(title).to_owned();
        if call["kind"] == "execute" {
            return (name, json!({ "command": title }));
        }
        let shown = call["content"][0]["content"]["text"].as_str();
        match shown.and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok()) {
            Some(args) => (name, Value::Object(args)),
            None => (name, shown_args(call, title)),
        }
    }

    /// Often there is nothing to show.
    fn result(&self, update: &Value) -> (Value, bool) {
        (acp::content(update).unwrap_or_else(|| json!("")), update["status"] == "failed")
    }

    /// Each thought has a headline, which may be empty.
    fn thought<'a>(&self, text: &'a str) -> &'a str {
        text.strip_prefix("****\n").unwrap_or(text)
    }

    /// An answer without any usage was none: the stream broke off.
    fn unanswered(&self, result: &Value) -> Option<Failure> {
        let models = result["_meta"]["quota"]["model_usage"].as_array();
        models.is_some_and(Vec::is_empty).then_some(Failure::Transient)
    }

    /// Its codes are statuses of HTTP.
    fn classify(&self, error: &RpcError, _told: &Told) -> FailureClass {
        u64::try_from(error.code).map_or(Failure::Harness, Failure::of_status).into()
    }

    /// Of the prompt; it knows no prices, and tells nothing of a turn that failed.
    fn usage(&self, result: &Value, _told: &Told) -> Usage {
        let count = |name: &str| result["_meta"]["quota"]["token_count"][name].as_u64().unwrap_or_default();
        Usage { input_tokens: count("input_tokens"), output_tokens: count("output_tokens"), cost_usd: None }
    }
}

fn shown_args(call: &Value, title: &str) -> Value {
    let mut args = json!({ "title": title });
    for name in ["locations", "content"] {
        if call[name].as_array().is_some_and(|list| !list.is_empty()) {
            args[name] = call[name].clone();
        }
    }
    args
}
