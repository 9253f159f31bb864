//! The end of a turn: whether it went well, why not, and what it cost.

use serde_json::Value;

use super::super::{FailureClass, HarnessEvent};
use super::codec::State;
use crate::api::Usage;

/// The `result` line. `subtype` stays `success` on API errors, so `is_error` decides as well.
pub(super) fn decode(state: &mut State, value: Value) -> Vec<HarnessEvent> {
    let mut events: Vec<_> = state.close_thinking().into_iter().chain(state.flush()).collect();
    let interrupted = value["terminal_reason"].as_str().is_some_and(|reason| reason.starts_with("aborted"));
    let success = value["subtype"] == "success" && value["is_error"] == false && !interrupted;
    let failure = (!success && !interrupted).then(|| classify(state, &value));
    let usage = usage(state, &value);
    state.in_turn = false;
    state.turns += 1;
    state.streamed = None;
    state.error = None;
    state.limit_resets_at = None;
    events.push(HarnessEvent::TurnEnded {
        success,
        interrupted,
        failure,
        message: if interrupted { "interrupted".to_owned() } else { message(&value) },
        usage,
    });
    events
}

fn classify(state: &State, value: &Value) -> FailureClass {
    let status = value["api_error_status"].as_u64();
    match (status, state.error.as_deref()) {
        (Some(401 | 403), _) | (None, Some("authentication_failed")) => FailureClass::Auth,
        (Some(429), _) | (None, Some("rate_limit")) => {
            FailureClass::RateLimited { resets_at: state.limit_resets_at }
        }
        (Some(500..), _) | (None, Some("server_error" | "overloaded")) => FailureClass::Transient,
        _ => FailureClass::Harness,
    }
}

fn message(value: &Value) -> String {
    if let Some(text) = value["result"].as_str() {
        return text.to_owned();
    }
    let errors = value["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    match errors.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; ") {
        none if none.is_empty() => value["subtype"].as_str().unwrap_or("failed").to_owned(),
        some => some,
    }
}

/// Of this turn, every model in it counted. `usage` leaves out sub-agents and turns that were cut short, so
/// the figures by model are preferred.
fn usage(state: &mut State, value: &Value) -> Usage {
    let total = value["total_cost_usd"].as_f64();
    let by_model = value["model_usage_since_last_result"].as_object();
    let cost_usd = match (by_model, total) {
        (Some(models), _) => {
            Some(models.values().filter_map(|model| model["costUSD"].as_f64()).fold(0.0, |a, b| a + b))
        }
        // A total below the last one has started anew.
        (None, Some(total)) if total < state.total_cost_usd => Some(total),
        (None, Some(total)) => Some(total - state.total_cost_usd),
        (None, None) => None,
    };
    state.total_cost_usd = total.unwrap_or(state.total_cost_usd);
    let sum =
        |fields: [&str; 3], of: &Value| fields.iter().filter_map(|field| of[*field].as_u64()).sum::<u64>();
    let (input_tokens, output_tokens) = match by_model.filter(|models| !models.is_empty()) {
        Some(models) => models.values().fold((0, 0), |(input, output), model| {
            let read = sum(["inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"], model);
            (input + read, output + model["outputTokens"].as_u64().unwrap_or(0))
        }),
        None => {
            let of = &value["usage"];
            let read = sum(["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"], of);
            (read, of["output_tokens"].as_u64().unwrap_or(0))
        }
    };
    Usage { input_tokens, output_tokens, cost_usd }
}

/// A usage limit of a subscription comes near or is reached.
pub(super) fn rate_limit(state: &mut State, value: Value) -> Vec<HarnessEvent> {
    let info = &value["rate_limit_info"];
    let kind = info["rateLimitType"].as_str().unwrap_or("usage");
    let resets_at = info["resetsAt"].as_i64();
    let (code, says) = match info["status"].as_str() {
        Some("rejected") => {
            state.limit_resets_at = resets_at;
            ("rate_limit_reached", "is reached")
        }
        Some("allowed_warning") => ("rate_limit_near", "is near"),
        Some("allowed") => return vec![HarnessEvent::Ignored],
        _ => return vec![HarnessEvent::Raw(value)],
    };
    let until = resets_at.map(|at| format!(", resets at {at}")).unwrap_or_default();
    vec![HarnessEvent::Warning { code: code.to_owned(), message: format!("the {kind} limit {says}{until}") }]
}
