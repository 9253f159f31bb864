//! What the agent asks of us: permissions, questions, and what we do not know.

use agent_client_protocol_schema::v1::{
    CLIENT_METHOD_NAMES, PermissionOptionKind as Kind, RequestPermissionOutcome, RequestPermissionRequest,
    RequestPermissionResponse, SelectedPermissionOutcome,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::HarnessEvent;
use super::dialect::{Answer, Dialect, Question};
use super::rpc;
use super::state::{Asked, State};
use super::tool;
use crate::api::Decision;
use crate::policy::head_at;

/// Longest title of a request, in bytes.
const TITLE_BYTES: usize = 200;
/// Longest input of a tool that a rule repeats, in bytes.
const RULE_BYTES: usize = 500;

/// A request of the agent; `whole` is the message that it came in.
pub(super) fn request(
    state: &mut State,
    dialect: &dyn Dialect,
    id: &Value,
    method: &str,
    params: &Value,
    whole: Value,
) -> Vec<HarnessEvent> {
    if method == CLIENT_METHOD_NAMES.session_request_permission
        && let Ok(asked) = serde_json::from_value::<RequestPermissionRequest>(params.clone())
    {
        let call = asked.tool_call.tool_call_id.0.to_string();
        tool::collect(state, &call, &json!(asked.tool_call));
        tool::collect(state, &call, &params["toolCall"]);
        let mut events = tool::tell(state, dialect, &call);
        events.push(open(state, dialect, id, permission(dialect, params)));
        return events;
    }
    if let Some(question) = dialect.question(method, params) {
        let mut events = state.started();
        events.push(open(state, dialect, id, question));
        return events;
    }
    let line = rpc::method_not_found(id, method);
    vec![HarnessEvent::Send { line }, HarnessEvent::Raw(whole)]
}

/// A turn that is being cancelled asks nobody any more.
fn open(state: &mut State, dialect: &dyn Dialect, id: &Value, question: Question) -> HarnessEvent {
    let Question { kind, title, options, rule, detail } = question;
    let call = detail["tool_call_id"].as_str().filter(|_| kind != "question").map(str::to_owned);
    let asked = Asked { id: id.clone(), question: kind == "question", call };
    if state.turn.as_ref().is_none_or(|turn| turn.cancelled) {
        return HarnessEvent::Send { line: cancelled(dialect, &asked) };
    }
    let request_id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    state.requests.insert(request_id.clone(), asked);
    HarnessEvent::Request {
        request_id,
        kind: kind.to_owned(),
        title: head_at(title.lines().next().unwrap_or_default(), TITLE_BYTES).to_owned(),
        options,
        rule,
        detail,
    }
}

fn permission(dialect: &dyn Dialect, params: &Value) -> Question {
    let call = &params["toolCall"];
    let (tool, input) = dialect.tool(call);
    let is_plan = dialect.is_plan(&tool);
    Question {
        kind: if is_plan { "plan" } else { "permission" },
        title: match call["title"].as_str() {
            Some(title) if title != tool => format!("{tool}: {title}"),
            _ => tool.clone(),
        },
        options: Vec::new(),
        rule: (!is_plan).then(|| rule(&tool, &input)),
        detail: json!({
            "tool_name": tool,
            "input": input,
            "title": call["title"],
            "tool_call_id": call["toolCallId"],
            "content": call["content"],
            "options": params["options"],
        }),
    }
}

/// What is allowed with `allow_always`: this very call. What agents offer to allow for good is wider than they say (one
/// means every command with it), so it is taken only when it is named.
fn rule(tool: &str, input: &Value) -> String {
    let text = input["command"].as_str().map_or_else(|| input.to_string(), str::to_owned);
    match text.len() > RULE_BYTES {
        true => format!("{tool}(#{})", Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes())),
        false => format!("{tool}({text})"),
    }
}

/// The answer that a cancel gives.
pub(super) fn cancelled(dialect: &dyn Dialect, asked: &Asked) -> String {
    if asked.question {
        return rpc::result(&asked.id, &dialect.answer(&Value::Null, Answer::Cancelled));
    }
    rpc::result(&asked.id, &RequestPermissionResponse::new(RequestPermissionOutcome::Cancelled))
}

/// The answer that somebody gave.
pub(super) fn answer(
    dialect: &dyn Dialect,
    asked: &Asked,
    detail: &Value,
    decision: Decision,
    answer: Option<&str>,
) -> String {
    if asked.question {
        return rpc::result(&asked.id, &dialect.answer(detail, Answer::Given(decision, answer)));
    }
    let denial = if decision == Decision::Deny { dialect.denial(answer) } else { None };
    let outcome = match choose(&detail["options"], decision, answer) {
        Some(option) => RequestPermissionOutcome::Selected(SelectedPermissionOutcome::new(option)),
        None => RequestPermissionOutcome::Cancelled,
    };
    rpc::result(&asked.id, &RequestPermissionResponse::new(outcome).meta(denial))
}

/// The option that the words name, else the one that comes nearest to the decision. What is allowed always is kept by
/// the platform as a rule (see [`rule`]), so the agent hears of a single time. None to deny with: cancelled.
fn choose(options: &Value, decision: Decision, answer: Option<&str>) -> Option<String> {
    let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
    let of_kind = |kind: Kind| {
        options.iter().rev().find(|option| {
            serde_json::from_value::<Kind>(option["kind"].clone()).is_ok_and(|found| found == kind)
        })
    };
    let named = options.iter().find(|option| answer.is_some() && option["optionId"].as_str() == answer);
    let kinds = match decision {
        Decision::Allow | Decision::AllowAlways => [Kind::AllowOnce, Kind::AllowAlways],
        Decision::Deny => [Kind::RejectOnce, Kind::RejectAlways],
    };
    let chosen = named.or_else(|| kinds.into_iter().find_map(of_kind));
    chosen.and_then(|option| option["optionId"].as_str()).map(str::to_owned)
}
