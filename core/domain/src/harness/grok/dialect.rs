//! What Grok tells beside the protocol.

use serde_json::{Map, Value, json};

use super::super::acp::{self, Answer, Dialect, Failure, Question, RpcError, Setup, Told};
use super::super::{FailureClass, HarnessEvent};
use crate::api::{Decision, McpState, Usage};

/// See the module.
pub(super) struct Grok;

/// What the model is told when somebody refuses without a word.
const DENIED: &str = "This was not allowed. Go on without it.";

/// `RATE_LIMITED`, a code of its own.
const RATE_LIMITED: i64 = -32003;

/// Notifications that tell us nothing that we need.
const IGNORED: [&str; 13] = [
    "_x.ai/announcements/update",
    "_x.ai/leader/version_mismatch",
    "_x.ai/mcp/init_progress",
    "_x.ai/mcp/servers_updated",
    "_x.ai/mcp/tools_changed",
    "_x.ai/mcp_initialized",
    "_x.ai/models/update",
    "_x.ai/session/prompt_complete",
    "_x.ai/session/setup",
    "_x.ai/sessions/changed",
    "_x.ai/settings/update",
    "_x.ai/task_backgrounded",
    "_x.ai/task_completed",
];

/// Updates of its own that tell us nothing that we need: the protocol tells the same, or nobody asks.
const IGNORED_UPDATES: [&str; 9] = [
    "background_tasks",
    "interaction_resolved",
    "mode_changed",
    "model_changed",
    "pending_interaction",
    "session_summary_generated",
    "tool_call_delta_chunk",
    "turn_completed",
    "turn_started",
];

impl Dialect for Grok {
    fn program(&self) -> &'static str {
        "grok"
    }

    /// MCP servers are started beside the session: a prompt that overtakes them finds no tools.
    fn ready_by(&self, _loading: bool, servers: bool) -> Option<&'static str> {
        servers.then_some("_x.ai/mcp_initialized")
    }

    /// An MCP tool is called through another one; its own name says more.
    fn tool(&self, call: &Value) -> (String, Value) {
        let about = &call["_meta"]["x.ai/tool"];
        let name = about["name"].as_str().or(call["title"].as_str()).unwrap_or("tool");
        let mut args = match &about["input"] {
            Value::Null => call["rawInput"].clone(),
            input => input.clone(),
        };
        if let Some(args) = args.as_object_mut() {
            args.remove("variant");
        }
        match args["tool_name"].as_str() {
            Some(inner) if name == "use_tool" => (inner.to_owned(), args["tool_input"].clone()),
            _ => (name.to_owned(), args),
        }
    }

    /// A command that failed counts as completed, and an MCP tool has no content.
    fn result(&self, update: &Value) -> (Value, bool) {
        let raw = &update["rawOutput"];
        let failed = raw["exit_code"].as_i64().is_some_and(|code| code != 0) || update["status"] == "failed";
        let answer = raw["output"]
            .as_object()
            .filter(|_| raw["type"] == "MCP")
            .and_then(|output| output.iter().next());
        match answer {
            Some((kind, answer)) => (answer.clone(), failed || kind != "OkayOutput"),
            None => (acp::content(update).unwrap_or_else(|| raw.clone()), failed),
        }
    }

    /// An effort that the model does not have is dropped as quietly as a model that there is not.
    fn departure(&self, setup: &Setup, result: &Value) -> Option<String> {
        let models = result["models"]["availableModels"].as_array().map(Vec::as_slice).unwrap_or_default();
        let used = acp::model(result)?;
        if let Some(wanted) = setup.model.as_deref().filter(|wanted| *wanted != used) {
            let names: Vec<_> = models.iter().filter_map(|model| model["modelId"].as_str()).collect();
            return Some(format!("there is no model `{wanted}`; there is: {}", names.join(", ")));
        }
        let wanted = setup.effort.as_deref()?;
        let model = models.iter().find(|model| model["modelId"] == used)?;
        let efforts: Vec<_> = model["_meta"]["reasoningEfforts"]
            .as_array()?
            .iter()
            .filter_map(|effort| effort["value"].as_str())
            .collect();
        (!efforts.contains(&wanted))
            .then(|| format!("model `{used}` has no effort `{wanted}`; it has: {}", efforts.join(", ")))
    }

    fn notification(&self, method: &str, params: &Value, told: &mut Told) -> Option<Vec<HarnessEvent>> {
        if IGNORED.contains(&method) {
            return Some(Vec::new());
        }
        match method {
            "_x.ai/queue/changed" => {
                told.started |= params["runningPromptId"].is_string();
                Some(Vec::new())
            }
            "_x.ai/mcp/server_status" => Some(server_status(params)),
            "_x.ai/session_notification" | "_x.ai/session/update" | "session/update" => {
                update(&params["update"], told)
            }
            _ => None,
        }
    }

    /// Its own client sends such a message with "No, and tell Grok what to do differently".
    fn denial(&self, reason: Option<&str>) -> Option<Map<String, Value>> {
        let words = reason.map(str::trim).filter(|words| !words.is_empty()).unwrap_or(DENIED);
        Some(Map::from_iter([("followup_message".to_owned(), words.into())]))
    }

    fn question(&self, method: &str, params: &Value) -> Option<Question> {
        if method != "_x.ai/ask_user_question" {
            return None;
        }
        let questions = params["questions"].as_array()?;
        let asked = |question: &Value| question["question"].as_str().unwrap_or("a question").to_owned();
        let several = questions.len() > 1;
        let labels = questions.iter().flat_map(|question| {
            let options = question["options"].as_array().map(Vec::as_slice).unwrap_or_default();
            let labels = options.iter().filter_map(|option| option["label"].as_str());
            let labelled = |label: &str| match several {
                true => format!("{} {label}", asked(question)),
                false => label.to_owned(),
            };
            labels.map(labelled).collect::<Vec<_>>()
        });
        Some(Question {
            kind: "question",
            title: questions.first().map(asked)?,
            options: labels.collect(),
            rule: None,
            detail: json!({ "questions": questions, "tool_call_id": params["toolCallId"] }),
        })
    }

    /// A JSON object answers by question; any other text answers all of them.
    fn answer(&self, detail: &Value, answer: Answer<'_>) -> Value {
        let Answer::Given(Decision::Allow | Decision::AllowAlways, Some(text)) = answer else {
            return json!({ "outcome": "cancelled" });
        };
        let given: Map<String, Value> = serde_json::from_str(text).unwrap_or_else(|_| {
            let questions = detail["questions"].as_array().map(Vec::as_slice).unwrap_or_default();
            let asked = questions.iter().filter_map(|question| question["question"].as_str());
            asked.map(|question| (question.to_owned(), json!(text))).collect()
        });
        let listed = given.into_iter().map(|(question, answer)| match answer {
            Value::Array(answers) => (question, Value::Array(answers)),
            one => (question, json!([one])),
        });
        json!({ "outcome": "accepted", "answers": listed.collect::<Map<_, _>>() })
    }

    fn classify(&self, error: &RpcError, told: &Told) -> FailureClass {
        let failure = match (error.code, error.data["http_status"].as_u64(), told.failure) {
            (RATE_LIMITED, _, _) => Failure::RateLimited { resets_at: None },
            (_, Some(status), _) => Failure::of_status(status),
            (_, None, Some(failure)) => failure,
            (_, None, None) => Failure::Harness,
        };
        failure.into()
    }

    /// Of the whole turn, cached and reasoning tokens included; it knows no prices. A turn without its figures has used
    /// what its responses told.
    fn usage(&self, result: &Value, told: &Told) -> Usage {
        let usage = &result["_meta"]["usage"];
        Usage {
            input_tokens: usage["inputTokens"].as_u64().unwrap_or(told.input_tokens),
            output_tokens: usage["outputTokens"].as_u64().unwrap_or(told.output_tokens),
            cost_usd: None,
        }
    }
}

/// How an MCP server is. One that did not start leaves the model without its tools.
fn server_status(params: &Value) -> Vec<HarnessEvent> {
    let words = params["detail"].as_str().or(params["reason"].as_str());
    let (state, detail) = match params["status"].as_str().unwrap_or_default() {
        "ready" => (McpState::Ready, None),
        "unavailable" => (McpState::Failed, words.map(str::to_owned)),
        _ => (McpState::Starting, None),
    };
    let name = params["name"].as_str().unwrap_or_default().to_owned();
    let mut events = vec![HarnessEvent::McpServer { name, state, detail }];
    if state == McpState::Failed {
        let message = words.unwrap_or("an MCP server is unavailable").to_owned();
        events.push(HarnessEvent::Warning { code: "mcp_unavailable".to_owned(), message });
    }
    events
}

fn update(update: &Value, told: &mut Told) -> Option<Vec<HarnessEvent>> {
    match update["sessionUpdate"].as_str()? {
        "response_completed" => {
            let count = |field: &str| update["usage"][field].as_u64().unwrap_or_default();
            told.input_tokens += count("input_tokens")
                + count("cache_read_input_tokens")
                + count("cache_creation_input_tokens");
            told.output_tokens += count("output_tokens");
            Some(Vec::new())
        }
        "retry_state" => Some(retry(update, told)),
        known if IGNORED_UPDATES.contains(&known) => Some(Vec::new()),
        _ => None,
    }
}

/// It tries again, or it gives up: then the answer to the prompt fails, with less of the reason in it.
fn retry(update: &Value, told: &mut Told) -> Vec<HarnessEvent> {
    if update["type"] == "retrying" {
        told.again = true;
        let message = format!(
            "attempt {} of {}: {}",
            update["attempt"],
            update["max_retries"],
            update["reason"].as_str().unwrap_or("error")
        );
        return vec![HarnessEvent::Warning { code: "api_retry".to_owned(), message }];
    }
    let failure = match update["error_type"].as_str() {
        Some("auth") => Some(Failure::Auth),
        Some("rate_limited") => Some(Failure::RateLimited { resets_at: None }),
        Some("http") => Some(Failure::Transient),
        _ if update["is_rate_limited"] == true => Some(Failure::RateLimited { resets_at: None }),
        _ if update["type"] == "exhausted" => Some(Failure::Transient),
        _ => None,
    };
    told.failure = failure.or(told.failure);
    Vec::new()
}
