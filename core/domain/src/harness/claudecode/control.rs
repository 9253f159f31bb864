//! Permissions and questions: requests of the CLI and the answers to them.

use serde_json::{Map, Value, json};

use super::super::HarnessEvent;
use crate::api::Decision;
use crate::policy::head_at;

/// The tool by which the model puts a question; it comes as a permission request.
const QUESTION_TOOL: &str = "AskUserQuestion";
/// Longest title of a request, in bytes.
const TITLE_BYTES: usize = 200;

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
    let is_question = request["tool_name"] == QUESTION_TOOL;
    let mut detail = request.as_object().cloned().unwrap_or_default();
    detail.remove("subtype");
    HarnessEvent::Request {
        request_id: id.to_owned(),
        kind: if is_question { "question" } else { "permission" }.to_owned(),
        title: head_at(&title(request, is_question), TITLE_BYTES).to_owned(),
        detail: Value::Object(detail),
    }
}

fn title(request: &Value, is_question: bool) -> String {
    let input = &request["input"];
    if is_question {
        return input["questions"][0]["question"].as_str().unwrap_or("a question").to_owned();
    }
    let tool = request["display_name"].as_str().or(request["tool_name"].as_str()).unwrap_or("a tool");
    let what = ["command", "file_path", "url", "description"].iter().find_map(|field| input[*field].as_str());
    match what {
        Some(what) => format!("{tool}: {}", what.lines().next().unwrap_or_default()),
        None => tool.to_owned(),
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

/// Rules that the CLI would write into the working directory go into the mission's own settings: a worktree
/// stays clean, and a resumed session still has them.
fn lasting(suggestions: &Value) -> Value {
    let mut suggestions = suggestions.clone();
    for suggestion in suggestions.as_array_mut().into_iter().flatten() {
        if suggestion["destination"] == "localSettings" || suggestion["destination"] == "projectSettings" {
            suggestion["destination"] = json!("userSettings");
        }
    }
    suggestions
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
