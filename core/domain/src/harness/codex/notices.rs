//! Notifications: which there are, and what each means.

use serde_json::Value;

use super::super::HarnessEvent;
use super::rpc::text;
use super::state::State;
use super::{goal, items, requests, turn};
use crate::api::McpState;

/// One notification.
pub(super) fn decode(state: &mut State, value: Value) -> Vec<HarnessEvent> {
    let params = &value["params"];
    if state.is_foreign(params) {
        return foreign(state, value);
    }
    match text(&value, "method") {
        "turn/started" => turn::started(state, params),
        "turn/completed" => turn::completed(state, params),
        "item/started" => items::started(state, &params["item"]),
        "item/completed" => items::completed(state, &params["item"]),
        "item/agentMessage/delta" | "item/plan/delta" => {
            vec![HarnessEvent::TextDelta { content: text(params, "delta").to_owned() }]
        }
        "item/reasoning/summaryTextDelta" | "item/reasoning/textDelta" => items::reasoning(state, params),
        "item/reasoning/summaryPartAdded" => items::next_part(state, params),
        "thread/tokenUsage/updated" => {
            turn::tokens(state, params);
            Vec::new()
        }
        "thread/goal/updated" => {
            let news = goal::update(state, &params["goal"]);
            goal::event(state).filter(|_| news).into_iter().collect()
        }
        "thread/goal/cleared" => {
            state.goal = None;
            Vec::new()
        }
        "serverRequest/resolved" => requests::resolved(state, params),
        "account/rateLimits/updated" => {
            rate_limits(state, &params["rateLimits"]);
            Vec::new()
        }
        "error" => error(state, params),
        _ => other(value),
    }
}

/// Of a sub-agent's session: its tools are events, its words are not the worker's.
fn foreign(state: &mut State, value: Value) -> Vec<HarnessEvent> {
    let params = &value["params"];
    let item = &params["item"];
    match text(&value, "method") {
        "item/started" if items::is_tool(item) => items::started(state, item),
        "item/completed" if items::is_tool(item) => items::completed(state, item),
        "item/completed" if item["type"] == "agentMessage" => vec![HarnessEvent::Raw(value)],
        "thread/tokenUsage/updated" => {
            turn::tokens(state, params);
            Vec::new()
        }
        "serverRequest/resolved" => requests::resolved(state, params),
        "error" | "warning" => warning("sub_agent", params),
        _ => Vec::new(),
    }
}

/// How an MCP server is; one that failed is a warning too, since the model goes without its tools.
fn server_status(params: &Value) -> Vec<HarnessEvent> {
    let (state, detail) = match text(params, "status") {
        "starting" => (McpState::Starting, None),
        "ready" => (McpState::Ready, None),
        other => (McpState::Failed, params["error"].as_str().or(Some(other)).map(str::to_owned)),
    };
    let name = text(params, "name").to_owned();
    let told = vec![HarnessEvent::McpServer { name, state, detail }];
    let warning = if state == McpState::Failed { warning("mcp_server_failed", params) } else { Vec::new() };
    told.into_iter().chain(warning).collect()
}

/// Those that carry no state.
fn other(value: Value) -> Vec<HarnessEvent> {
    let params = &value["params"];
    match text(&value, "method") {
        "warning" | "guardianWarning" => warning("harness_warning", params),
        "configWarning" => warning("config_warning", params),
        "model/rerouted" => warning("model_rerouted", params),
        "mcpServer/startupStatus/updated" => server_status(params),
        "account/login/completed"
        | "account/updated"
        | "app/list/updated"
        | "deprecationNotice"
        | "fs/changed"
        | "hook/completed"
        | "hook/started"
        | "item/commandExecution/outputDelta"
        | "item/commandExecution/terminalInteraction"
        | "item/fileChange/outputDelta"
        | "item/fileChange/patchUpdated"
        | "item/mcpToolCall/progress"
        | "modelProvider/authRecoveryCompleted"
        | "modelProvider/authRecoveryStarted"
        | "remoteControl/status/changed"
        | "skills/changed"
        | "thread/closed"
        | "thread/compacted"
        | "thread/name/updated"
        | "thread/queue/changed"
        | "thread/readState/changed"
        | "thread/settings/updated"
        | "thread/started"
        | "thread/status/changed"
        | "turn/diff/updated"
        | "turn/moderationMetadata" => Vec::new(),
        _ => vec![HarnessEvent::Raw(value)],
    }
}

fn warning(code: &str, params: &Value) -> Vec<HarnessEvent> {
    let said = ["message", "summary", "details", "error", "reason", "name", "fromModel", "toModel"];
    let words: Vec<_> = said
        .iter()
        .filter_map(|field| params[*field].as_str().or(params[*field]["message"].as_str()))
        .filter(|text| !text.is_empty())
        .collect();
    vec![HarnessEvent::Warning { code: code.to_owned(), message: words.join(": ") }]
}

/// An error is passing when it is retried; the last one comes again with the turn's end.
fn error(state: &mut State, params: &Value) -> Vec<HarnessEvent> {
    let error = &params["error"];
    let details = error["additionalDetails"].as_str().map(|more| format!(": {more}")).unwrap_or_default();
    let message = format!("{}{details}", text(error, "message"));
    state.error = Some(message.clone());
    if params["willRetry"] != true {
        return Vec::new();
    }
    state.retried = Some(error["codexErrorInfo"].clone());
    vec![HarnessEvent::Warning { code: "api_retry".to_owned(), message }]
}

/// Remembers when a window that is used up begins anew; the later one where both are.
fn rate_limits(state: &mut State, limits: &Value) {
    let windows: Vec<_> =
        [&limits["primary"], &limits["secondary"]].into_iter().filter(|window| window.is_object()).collect();
    if windows.is_empty() {
        return;
    }
    let used_up =
        windows.iter().filter(|window| window["usedPercent"].as_f64().is_some_and(|used| used >= 100.0));
    state.resets_at = used_up.filter_map(|window| window["resetsAt"].as_i64()).max();
}
