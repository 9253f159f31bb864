//! What the two wires of OpenAI's making have in common: errors and the model list.

use serde_json::{Value, json};

use super::{
    reply::Reply,
    script::{ErrorReply, Limit, StreamError},
    wire::{self, Refusal},
};

/// Any moment will do: 2026-01-01.
pub(super) const CREATED: u64 = 1_767_225_600;

pub(super) fn mistake(message: &str) -> Reply {
    let text = format!("stub script: {message}");
    Reply::json(400, &error_body(&text, "invalid_request_error", None))
}

/// The answer of `GET /v1/models`, for clients of OpenAI and of Anthropic alike.
pub fn models(ids: &[String]) -> Reply {
    let model = |id: &String| {
        json!({
            "id": id, "object": "model", "created": CREATED, "owned_by": "stub",
            "type": "model", "display_name": id, "created_at": "2026-01-01T00:00:00Z",
        })
    };
    let data: Vec<Value> = ids.iter().map(model).collect();
    Reply::json(
        200,
        &json!({
            "object": "list", "data": data,
            "has_more": false, "first_id": ids.first(), "last_id": ids.last(),
        }),
    )
}

pub(super) fn error_body(message: &str, kind: &str, code: Option<&str>) -> Value {
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

/// An error; [`Limit::Usage`] is for APIs that know no plans the same as [`Limit::Credit`].
pub(super) fn refusal(error: &ErrorReply) -> Refusal {
    let refusal = |status, body| Refusal { status, headers: vec![], body };
    match error.limit {
        Some(Limit::Rate) => refusal(429, usual_body(429)),
        Some(Limit::Usage | Limit::Credit) => refusal(429, insufficient_quota()),
        None => refusal(error.status, usual_body(error.status)),
    }
}

fn insufficient_quota() -> Value {
    let message = "You exceeded your current quota, please check your plan and billing details.";
    error_body(message, "insufficient_quota", Some("insufficient_quota"))
}

/// An error of somebody who is logged in with a plan, by the body and the headers that Codex reads.
pub(super) fn plan_refusal(error: &ErrorReply) -> Refusal {
    if error.limit != Some(Limit::Usage) {
        return refusal(error);
    }
    let resets_at = error.resets_at.unwrap_or(wire::USUAL_RESET);
    Refusal {
        status: 429,
        headers: vec![
            ("x-codex-primary-used-percent", "100".to_owned()),
            ("x-codex-primary-window-minutes", "300".to_owned()),
            ("x-codex-primary-reset-at", resets_at.to_string()),
        ],
        body: json!({"error": {
            "type": "usage_limit_reached", "message": "The usage limit has been reached",
            "plan_type": "plus", "resets_at": resets_at,
        }}),
    }
}

/// The usual body for a status (platform.openai.com, "Error codes").
fn usual_body(status: u16) -> Value {
    let (kind, code) = match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("requests", Some("rate_limit_exceeded")),
        503 => ("server_error", Some("server_is_overloaded")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    };
    error_body(&format!("scripted error {status}"), kind, code)
}

/// The status that a plain answer has instead of an error event.
pub(super) fn status_of(error: &StreamError) -> u16 {
    match error.kind.as_str() {
        "server_is_overloaded" | "slow_down" => 503,
        "rate_limit_exceeded" | "insufficient_quota" => 429,
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(error: &ErrorReply) -> (u16, Value) {
        let reply = refusal(error).reply(error);
        let body: Value = serde_json::from_str(&reply.frames[0]).unwrap();
        (reply.status, body["error"]["code"].clone())
    }

    #[test]
    fn an_error_has_the_code_of_its_status_or_of_what_is_used_up() {
        let table = [(401, "invalid_api_key"), (429, "rate_limit_exceeded"), (503, "server_is_overloaded")];
        for (status, code) in table {
            assert_eq!(refused(&ErrorReply { status, ..ErrorReply::default() }), (status, json!(code)));
        }
        for (limit, code) in [
            (Limit::Rate, "rate_limit_exceeded"),
            (Limit::Usage, "insufficient_quota"),
            (Limit::Credit, "insufficient_quota"),
        ] {
            let error = ErrorReply { limit: Some(limit), ..ErrorReply::default() };
            assert_eq!(refused(&error), (429, json!(code)));
        }
    }

    #[test]
    fn a_plan_that_is_used_up_says_when_it_starts_anew() {
        let error = ErrorReply { limit: Some(Limit::Usage), resets_at: Some(7), ..ErrorReply::default() };
        let reply = plan_refusal(&error).reply(&error);
        let body: Value = serde_json::from_str(&reply.frames[0]).unwrap();
        assert_eq!((reply.status, &body["error"]["type"]), (429, &json!("usage_limit_reached")));
        assert_eq!(body["error"]["resets_at"], 7);
        assert_eq!(reply.headers["x-codex-primary-reset-at"], "7");
    }

    #[test]
    fn the_model_list_serves_clients_of_both_makers() {
        let reply = models(&["a".to_owned(), "b".to_owned()]);
        let list: Value = serde_json::from_str(&reply.frames[0]).unwrap();
        assert_eq!((&list["data"][1]["id"], &list["data"][1]["object"]), (&json!("b"), &json!("model")));
        assert_eq!((&list["data"][1]["type"], &list["last_id"]), (&json!("model"), &json!("b")));
    }
}
