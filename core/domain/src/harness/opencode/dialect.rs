//! What OpenCode, and our plugin in it, tell beside the protocol.

use serde_json::{Value, json};

use super::super::acp::{self, Dialect, Failure, RpcError, Setup, Told};
use super::super::{FailureClass, HarnessEvent};
use crate::api::{McpState, Usage};

/// See the module.
pub(super) struct OpenCode;

/// The plugin's only notification.
const TOLD: &str = "_sandboxed/told";

impl Dialect for OpenCode {
    fn program(&self) -> &'static str {
        "opencode"
    }

    /// A call is announced with its tool's name, which a title of its own replaces. A permission has only the title.
    fn tool(&self, call: &Value) -> (String, Value) {
        let by_kind = match call["kind"].as_str() {
            Some("execute") => Some("bash"),
            Some("edit") => Some("edit"),
            Some("fetch") => Some("webfetch"),
            _ => None,
        };
        let name = call["announced"].as_str().or(by_kind).or(call["title"].as_str()).unwrap_or("tool");
        let mut args = call["rawInput"].clone();
        if let Some(args) = args.as_object_mut().filter(|args| args.contains_key("command")) {
            // Not the model's: the directory of the session.
            args.remove("cwd");
        }
        (name.to_owned(), args)
    }

    /// A command that failed counts as completed.
    fn result(&self, update: &Value) -> (Value, bool) {
        let raw = &update["rawOutput"];
        let exited = raw["metadata"]["exit"].as_i64().is_some_and(|code| code != 0);
        let result = acp::content(update).unwrap_or_else(|| match raw["output"].as_str() {
            Some(text) => json!(text),
            None => raw.clone(),
        });
        (result, exited || update["status"] == "failed")
    }

    /// The model is set in so many words, and refused when there is none.
    fn departure(&self, _setup: &Setup, _result: &Value) -> Option<String> {
        None
    }

    fn notification(&self, method: &str, params: &Value, told: &mut Told) -> Option<Vec<HarnessEvent>> {
        if method != TOLD {
            return None;
        }
        let words = params["message"].as_str().unwrap_or("error");
        match params["kind"].as_str()? {
            "usage" => {
                told.input_tokens += params["input"].as_u64().unwrap_or_default();
                told.output_tokens += params["output"].as_u64().unwrap_or_default();
                let cost = told.cost_usd.unwrap_or_default() + params["cost"].as_f64().unwrap_or_default();
                told.cost_usd = Some(cost);
                Some(Vec::new())
            }
            "retry" => {
                told.again = true;
                let message = format!("attempt {}: {words}", params["attempt"]);
                Some(vec![HarnessEvent::Warning { code: "api_retry".to_owned(), message }])
            }
            "gave_up" => {
                told.failure = Some(failure(params));
                told.given_up = Some(words.to_owned());
                Some(Vec::new())
            }
            "mcp" => Some(vec![server_status(params)]),
            "failed" => {
                told.failure = Some(failure(params));
                Some(Vec::new())
            }
            _ => None,
        }
    }

    fn classify(&self, _error: &RpcError, told: &Told) -> FailureClass {
        told.failure.unwrap_or(Failure::Harness).into()
    }

    /// The protocol's own figures are those of the last response.
    fn usage(&self, _result: &Value, told: &Told) -> Usage {
        Usage { input_tokens: told.input_tokens, output_tokens: told.output_tokens, cost_usd: told.cost_usd }
    }
}

/// How an MCP server is.
fn server_status(params: &Value) -> HarnessEvent {
    let text = |field: &str| params[field].as_str().unwrap_or_default().to_owned();
    let (state, detail) = match params["status"].as_str().unwrap_or_default() {
        "connected" => (McpState::Ready, None),
        "disabled" => (McpState::Disabled, None),
        "pending" | "connecting" => (McpState::Starting, None),
        other => (McpState::Failed, params["error"].as_str().or(Some(other)).map(str::to_owned)),
    };
    HarnessEvent::McpServer { name: text("name"), state, detail }
}

/// By the status, or else by what OpenCode itself would have done about it.
fn failure(params: &Value) -> Failure {
    match (params["status"].as_u64(), params["name"].as_str()) {
        (Some(429), _) => Failure::RateLimited { resets_at: params["resets_at"].as_i64() },
        (Some(status), _) => Failure::of_status(status),
        (None, Some("ProviderAuthError")) => Failure::Auth,
        (None, _) if params["kind"] == "gave_up" || params["retryable"] == true => Failure::Transient,
        (None, _) => Failure::Harness,
    }
}
