//! Permissions, questions and plans: requests of the CLI and the answers to them.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::HarnessEvent;
use crate::api::Decision;
use crate::policy::head_at;

/// The tool by which the model puts a question; it comes as a permission request.
const QUESTION_TOOL: &str = "AskUserQuestion";
/// The tool by which the model offers its plan in plan mode; it comes as a permission request.
const PLAN_TOOL: &str = "ExitPlanMode";
/// Longest title of a request, in bytes.
const TITLE_BYTES: usize = 200;
/// Longest input of a tool that a rule repeats, in bytes.
const RULE_BYTES: usize = 500;

/// One message as a line.
pub(super) fn line(message: &Value) -> String {
    format!("{message}\n")
}

/// A request of the CLI.
pub(super) fn request(value: Value) -> HarnessEvent {
    let request = &value["request"];
    let (Some("can_use_tool"), Some(id)) = (request["subtype"].as_str(), value["request_id"].as_str()) else {
        return HarnessEvent::Raw(value);
    };
    let (kind, title, rule) = match request["tool_name"].as_str() {
        Some(QUESTION_TOOL) => ("question", question(&request["input"]), None),
        Some(PLAN_TOOL) => ("plan", plan(&request["input"]), None),
        _ => ("permission", title(request), Some(rule(request))),
    };
    let options = if kind == "question" { options(&request["input"]["questions"]) } else { Vec::new() };
    let mut detail = request.as_object().cloned().unwrap_or_default();
    detail.remove("subtype");
    HarnessEvent::Request {
        request_id: id.to_owned(),
        kind: kind.to_owned(),
        title: head_at(&title, TITLE_BYTES).to_owned(),
        options,
        rule,
        detail: Value::Object(detail),
    }
}

fn question(input: &Value) -> String {
    input["questions"][0]["question"].as_str().unwrap_or("a question").to_owned()
}

/// The first line of the plan that says something.
fn plan(input: &Value) -> String {
    let text = input["plan"].as_str().unwrap_or_default();
    let lines = text.lines().map(|line| line.trim_start_matches('#').trim());
    lines
        .filter(|line| !line.is_empty())
        .map(|line| format!("plan: {line}"))
        .next()
        .unwrap_or("a plan".to_owned())
}

fn title(request: &Value) -> String {
    let input = &request["input"];
    let tool = request["display_name"].as_str().or(request["tool_name"].as_str()).unwrap_or("a tool");
    let what = ["command", "file_path", "url", "description"].iter().find_map(|field| input[*field].as_str());
    match what {
        Some(what) => format!("{tool}: {}", what.lines().next().unwrap_or_default()),
        None => tool.to_owned(),
    }
}

/// The labels of all questions; with the question where there are several.
fn options(questions: &Value) -> Vec<String> {
    let questions = questions.as_array().map(Vec::as_slice).unwrap_or_default();
    let several = questions.len() > 1;
    let labels = |question: &Value| -> Vec<String> {
        let asked = question["question"].as_str().unwrap_or_default();
        let options = question["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        let labels = options.iter().filter_map(|option| option["label"].as_str());
        labels.map(|label| if several { format!("{asked} {label}") } else { label.to_owned() }).collect()
    };
    questions.iter().flat_map(labels).collect()
}

/// What is allowed with `allow_always`: the rules that the CLI suggests, else its other suggestions, else this very
/// call. A path that was in the way is part of it.
fn rule(request: &Value) -> String {
    let suggested = lasting(&request["permission_suggestions"]);
    let parts: Vec<_> = suggested.as_array().into_iter().flatten().flat_map(suggestion).collect();
    let what = match parts.is_empty() {
        false => parts.join(", "),
        true => this_call(request),
    };
    match request["blocked_path"].as_str() {
        Some(path) => format!("{what} at {path}"),
        None => what,
    }
}

fn suggestion(suggestion: &Value) -> Vec<String> {
    let list = |field: &str| suggestion[field].as_array().map(Vec::as_slice).unwrap_or_default();
    match suggestion["type"].as_str() {
        Some("addRules") => list("rules")
            .iter()
            .map(|rule| {
                let tool = rule["toolName"].as_str().unwrap_or_default();
                rule["ruleContent"].as_str().map_or(tool.to_owned(), |content| format!("{tool}({content})"))
            })
            .collect(),
        Some("addDirectories") => list("directories")
            .iter()
            .filter_map(Value::as_str)
            .map(|path| format!("files in {path}"))
            .collect(),
        Some("setMode") => vec![format!("mode {}", suggestion["mode"].as_str().unwrap_or_default())],
        _ => vec![suggestion.to_string()],
    }
}

fn this_call(request: &Value) -> String {
    let tool = request["tool_name"].as_str().unwrap_or_default();
    match request["input"].to_string() {
        long if long.len() > RULE_BYTES => {
            format!("{tool}(#{})", Uuid::new_v5(&Uuid::NAMESPACE_OID, long.as_bytes()))
        }
        input => format!("{tool}({input})"),
    }
}

/// Answers to our own requests carry nothing new, failures excepted.
pub(super) fn response(value: &Value) -> HarnessEvent {
    let response = &value["response"];
    if response["subtype"] != "error" {
        return HarnessEvent::Ignored;
    }
    let message = response["error"].as_str().unwrap_or("refused").to_owned();
    HarnessEvent::Warning { code: "control_refused".to_owned(), message }
}

/// The line that answers a request.
pub(super) fn answer(id: &str, detail: &Value, decision: Decision, answer: Option<&str>) -> String {
    let response = match decision {
        Decision::Deny => json!({
            "behavior": "deny",
            "message": answer.filter(|text| !text.is_empty()).unwrap_or("denied"),
        }),
        Decision::Allow | Decision::AllowAlways => {
            let mut allow = json!({ "behavior": "allow", "updatedInput": allowed_input(detail, answer) });
            if decision == Decision::AllowAlways && detail["permission_suggestions"].is_array() {
                allow["updatedPermissions"] = lasting(&detail["permission_suggestions"]);
            }
            allow
        }
    };
    line(&json!({
        "type": "control_response",
        "response": { "subtype": "success", "request_id": id, "response": response },
    }))
}

/// The suggestions that are taken: rules alone where there are any, because the CLI also offers to stop asking for
/// edits altogether. Rules that it would write into the working directory go into the mission's own settings: a
/// worktree stays clean, and a resumed session still has them.
fn lasting(suggestions: &Value) -> Value {
    let all = suggestions.as_array().map(Vec::as_slice).unwrap_or_default();
    let rules: Vec<_> = all.iter().filter(|suggestion| suggestion["type"] == "addRules").cloned().collect();
    let mut taken = if rules.is_empty() { all.to_vec() } else { rules };
    for suggestion in &mut taken {
        if suggestion["destination"] == "localSettings" || suggestion["destination"] == "projectSettings" {
            suggestion["destination"] = json!("userSettings");
        }
    }
    Value::Array(taken)
}

/// The tool's input, with the answers where it is a question.
fn allowed_input(detail: &Value, answer: Option<&str>) -> Value {
    let mut input = detail["input"].clone();
    if let (true, Some(text)) = (detail["tool_name"] == QUESTION_TOOL, answer) {
        input["answers"] = answers(&input["questions"], text);
    }
    input
}

/// A JSON object answers by question; any other text answers all of them.
fn answers(questions: &Value, text: &str) -> Value {
    if let Ok(Value::Object(given)) = serde_json::from_str(text) {
        return Value::Object(given);
    }
    let questions = questions.as_array().map(Vec::as_slice).unwrap_or_default();
    let named = questions.iter().filter_map(|question| question["question"].as_str());
    Value::Object(named.map(|question| (question.to_owned(), json!(text))).collect::<Map<_, _>>())
}
