//! Requests of Codex: permissions and questions, and the answers to them.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::HarnessEvent;
use super::handshake;
use super::rpc::{self, text};
use super::state::{Edits, Message, State};
use crate::api::Decision;
use crate::policy::head_at;

const COMMAND: &str = "item/commandExecution/requestApproval";
const FILES: &str = "item/fileChange/requestApproval";
const PERMISSIONS: &str = "item/permissions/requestApproval";
const QUESTION: &str = "item/tool/requestUserInput";
const ELICITATION: &str = "mcpServer/elicitation/request";

/// A request of ours: the server does not know it.
const PLAN: &str = "plan";

/// Longest title of a request, in bytes.
const TITLE_BYTES: usize = 200;
/// Longest rule, in bytes.
const RULE_BYTES: usize = 500;

/// A request of Codex. One that only another client could serve is refused, and kept to be seen.
pub(super) fn request(state: &mut State, value: Value) -> Vec<HarnessEvent> {
    let method = text(&value, "method");
    let kind = match method {
        COMMAND | FILES | PERMISSIONS => "permission",
        QUESTION => "question",
        ELICITATION if is_tool_approval(&value["params"]) => "permission",
        ELICITATION => "question",
        _ => {
            let line = rpc::refusal(&value["id"], method);
            return vec![HarnessEvent::Send { line }, HarnessEvent::Raw(value)];
        }
    };
    let by_itself = match (method, state.launch.edits) {
        (FILES, Edits::Accept) => Some("accept"),
        (FILES, Edits::Decline) => Some("decline"),
        _ => None,
    };
    if let Some(decision) = by_itself {
        let line = rpc::answer(&value["id"], &json!({ "decision": decision }));
        return vec![HarnessEvent::Send { line }];
    }
    let detail = detail(state, &value);
    vec![open(state, value["id"].to_string(), kind, detail)]
}

/// A plan becomes a request that only we wait for.
pub(super) fn offer_plan(state: &mut State, turn: &str, plan: &str) -> HarnessEvent {
    let detail = json!({ "method": PLAN, "plan": plan });
    open(state, json!(format!("plan-{turn}")).to_string(), "plan", detail)
}

fn open(state: &mut State, request_id: String, kind: &str, detail: Value) -> HarnessEvent {
    if !state.requests.contains(&request_id) {
        state.requests.push(request_id.clone());
    }
    HarnessEvent::Request {
        request_id,
        kind: kind.to_owned(),
        title: head_at(&title(&detail), TITLE_BYTES).to_owned(),
        options: options(&detail["questions"]),
        rule: rule(&detail),
        detail,
    }
}

/// The labels of all questions; with the question where there are several.
fn options(questions: &Value) -> Vec<String> {
    let questions = list(questions);
    let labels = |question: &Value| -> Vec<String> {
        let labels = list(&question["options"]).iter().map(|option| text(option, "label"));
        labels
            .map(|label| match questions.len() {
                1 => label.to_owned(),
                _ => format!("{} {label}", text(question, "question")),
            })
            .collect()
    };
    questions.iter().flat_map(labels).collect()
}

/// What `acceptForSession` allows: this very command, these files, this tool, these permissions.
fn rule(detail: &Value) -> Option<String> {
    let rule = match text(detail, "method") {
        COMMAND => format!("exec_command({})", detail["command"].as_str()?),
        FILES => format!("apply_patch({})", strings(&detail["files"]).join(", ")),
        PERMISSIONS => format!("permissions({})", detail["permissions"]),
        ELICITATION if is_tool_approval(detail) => {
            format!("mcp__{}__{}", text(detail, "serverName"), text(&detail["_meta"], "tool_name"))
        }
        _ => return None,
    };
    match rule.len() {
        long if long > RULE_BYTES => {
            let name = rule.split('(').next().unwrap_or_default();
            Some(format!("{name}(#{})", Uuid::new_v5(&Uuid::NAMESPACE_OID, rule.as_bytes())))
        }
        _ => Some(rule),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn strings(value: &Value) -> Vec<&str> {
    list(value).iter().filter_map(Value::as_str).collect()
}

/// Codex wants no answer any more, or has ours.
pub(super) fn resolved(state: &mut State, params: &Value) -> Vec<HarnessEvent> {
    let request_id = params["requestId"].to_string();
    let Some(at) = state.requests.iter().position(|open| *open == request_id) else { return Vec::new() };
    state.requests.remove(at);
    vec![HarnessEvent::RequestWithdrawn { request_id }]
}

fn is_tool_approval(params: &Value) -> bool {
    params["_meta"]["codex_approval_kind"] == "mcp_tool_call"
}

/// The parameters, the method, and the files of an edit, which its request leaves out.
fn detail(state: &State, value: &Value) -> Value {
    let mut detail = value["params"].as_object().cloned().unwrap_or_default();
    for internal in ["threadId", "turnId", "startedAtMs", "environmentId"] {
        detail.remove(internal);
    }
    detail.insert("method".to_owned(), value["method"].clone());
    if let Some(files) = state.edits.get(text(&value["params"], "itemId")) {
        detail.insert("files".to_owned(), json!(files));
    }
    Value::Object(detail)
}

fn title(detail: &Value) -> String {
    let line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    match text(detail, "method") {
        COMMAND => match detail["command"].as_str() {
            Some(command) => format!("exec_command: {}", line(command)),
            None => line(detail["reason"].as_str().unwrap_or("exec_command")),
        },
        FILES => format!("apply_patch: {}", strings(&detail["files"]).join(", ")),
        PLAN => {
            let mut lines = text(detail, "plan").lines().map(|line| line.trim_start_matches('#').trim());
            format!("plan: {}", lines.find(|line| !line.is_empty()).unwrap_or("empty"))
        }
        PERMISSIONS => line(detail["reason"].as_str().unwrap_or("more permissions")),
        QUESTION => line(detail["questions"][0]["question"].as_str().unwrap_or("a question")),
        _ => line(detail["message"].as_str().or(detail["title"].as_str()).unwrap_or("a question")),
    }
}

/// The line that answers; none when nobody waits for it any more.
pub(super) fn answer(
    state: &mut State,
    request_id: &str,
    detail: &Value,
    decision: Decision,
    answer: Option<&str>,
) -> Option<String> {
    let at = state.requests.iter().position(|open| open == request_id)?;
    state.requests.remove(at);
    let id: Value = serde_json::from_str(request_id).ok()?;
    if text(detail, "method") == PLAN {
        return Some(answer_plan(state, &id, decision, answer));
    }
    // Codex takes no reason: the model is told it as a message, which it gets together with the refusal.
    let reason = answer.filter(|text| decision == Decision::Deny && !text.trim().is_empty());
    let mut lines = reason.map(|reason| handshake::mention(state, reason)).unwrap_or_default();
    let result = match text(detail, "method") {
        PERMISSIONS => permissions(detail, decision),
        QUESTION => json!({ "answers": answers(&detail["questions"], decision, answer) }),
        ELICITATION => elicitation(detail, decision, answer),
        _ => json!({ "decision": match decision {
            Decision::Allow => "accept",
            Decision::AllowAlways => "acceptForSession",
            Decision::Deny => "decline",
        } }),
    };
    lines.push_str(&rpc::answer(&id, &result));
    Some(lines)
}

/// The next turn: carrying the plan out, asking as in the default mode, or planning on.
fn answer_plan(state: &mut State, id: &Value, decision: Decision, answer: Option<&str>) -> String {
    let text = match (decision, answer.filter(|text| !text.trim().is_empty())) {
        (Decision::Deny, reason) => {
            format!(
                "The plan is not approved: {}.",
                reason.unwrap_or("no reason was given").trim_end_matches('.')
            )
        }
        (_, None) => "Implement the plan.".to_owned(),
        (_, Some(more)) => format!("Implement the plan. {more}"),
    };
    if decision != Decision::Deny {
        (state.launch.planning, state.launch.edits, state.planned) = (false, Edits::Ask, true);
    }
    let message = Message { id: id.as_str().unwrap_or(PLAN).to_owned(), text };
    handshake::say(state, &message, true)
}

fn permissions(detail: &Value, decision: Decision) -> Value {
    let scope = if decision == Decision::AllowAlways { "session" } else { "turn" };
    let granted = if decision == Decision::Deny { json!({}) } else { detail["permissions"].clone() };
    json!({ "permissions": granted, "scope": scope })
}

/// A JSON object answers by the question's id or its words; any other text answers all of them.
fn answers(questions: &Value, decision: Decision, answer: Option<&str>) -> Value {
    let given = answer.and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
    let plain = match (decision, answer.filter(|text| !text.is_empty())) {
        (Decision::Deny, None) => "(declined to answer)",
        (_, None) => "(no answer)",
        (_, Some(text)) => text,
    };
    let questions = questions.as_array().map(Vec::as_slice).unwrap_or_default();
    let each = questions.iter().map(|question| {
        let id = text(question, "id");
        let own = given.as_ref().map(|given| {
            let own = given.get(id).or_else(|| given.get(text(question, "question")));
            own.map(words).unwrap_or_else(|| vec!["(no answer)".to_owned()])
        });
        (id.to_owned(), json!({ "answers": own.unwrap_or_else(|| vec![plain.to_owned()]) }))
    });
    Value::Object(each.collect())
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Array(several) => several.iter().flat_map(words).collect(),
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}

/// An MCP server's form is filled from a JSON object, or its only field from any text.
fn elicitation(detail: &Value, decision: Decision, answer: Option<&str>) -> Value {
    if decision == Decision::Deny {
        return json!({ "action": "decline" });
    }
    let mut result = json!({ "action": "accept" });
    if is_tool_approval(detail) {
        result["content"] = json!({});
        if decision == Decision::AllowAlways {
            result["_meta"] = json!({ "persist": "session" });
        }
        return result;
    }
    if detail["mode"] == "url" {
        return result;
    }
    result["content"] = match answer.map(|text| (text, serde_json::from_str::<Map<String, Value>>(text))) {
        Some((_, Ok(given))) => Value::Object(given),
        Some((text, Err(_))) => {
            let fields = detail["requestedSchema"]["properties"].as_object();
            let names = fields.into_iter().flat_map(Map::keys);
            Value::Object(names.map(|name| (name.clone(), json!(text))).collect())
        }
        None => json!({}),
    };
    result
}
