//! From a call's arguments to typed parameters, and from answers to tool results.

use rmcp::model::{CallToolResult, JsonObject};
use sandboxed_domain::api::{ApiError, ErrorCode};
pub use sandboxed_mcp::refusal;
use serde::{Serialize, de::DeserializeOwned};

/// No answer is longer, whatever the daemon sends: its own budgets are 2 to 32 kB.
const MAX_ANSWER_BYTES: usize = 48 << 10;

/// Reads the arguments.
pub fn parse<P: DeserializeOwned>(arguments: Option<JsonObject>) -> Result<P, ApiError> {
    sandboxed_mcp::parse(arguments).map_err(|bad| {
        let code = if bad.unknown { ErrorCode::UnknownField } else { ErrorCode::InvalidArgument };
        let hint = bad.hint.unwrap_or("see the tool's schema and call again");
        ApiError { field: bad.field, ..ApiError::new(code, bad.message).hint(hint) }
    })
}

/// A successful answer: the same JSON as text and as structured content.
pub fn answer<R: Serialize>(answer: &R) -> CallToolResult {
    let value = match serde_json::to_value(answer) {
        Ok(value) => value,
        Err(e) => {
            return refusal(&ApiError::new(ErrorCode::Internal, format!("answer cannot be shown: {e}")));
        }
    };
    let bytes = value.to_string().len();
    if bytes > MAX_ANSWER_BYTES {
        let message = format!("the answer has {bytes} bytes, more than {MAX_ANSWER_BYTES}");
        return refusal(
            &ApiError::new(ErrorCode::TooLarge, message).hint("ask for a smaller page, or for fewer workers"),
        );
    }
    CallToolResult::structured(value)
}

#[cfg(test)]
mod tests {
    use sandboxed_domain::api::{BatchCreateParams, GetWorkerParams, NoParams, WaitParams};
    use serde_json::{Value, json};

    use super::*;

    fn parse_json<P: DeserializeOwned>(value: Value) -> Result<P, ApiError> {
        parse(value.as_object().cloned())
    }

    #[test]
    fn an_unknown_field_is_refused_by_its_name() {
        let e = parse_json::<WaitParams>(json!({"worker_idz": []})).unwrap_err();
        assert_eq!((e.code, e.field.as_deref()), (ErrorCode::UnknownField, Some("worker_idz")));
        assert_eq!(parse_json::<NoParams>(json!({"x": 1})).unwrap_err().code, ErrorCode::UnknownField);
    }

    #[test]
    fn a_missing_or_wrong_field_is_named() {
        for (value, field) in [
            (json!({}), "worker_id"),
            (json!({"worker_id": 7}), "worker_id"),
            (json!({"worker_id": "w", "view": "diffs"}), "view"),
            (json!({"worker_id": "w", "max_bytes": -1}), "max_bytes"),
        ] {
            let e = parse_json::<GetWorkerParams>(value.clone()).unwrap_err();
            assert_eq!((e.code, e.field.as_deref()), (ErrorCode::InvalidArgument, Some(field)), "{value}");
        }
    }

    #[test]
    fn null_counts_as_absent_also_inside_workers() {
        let p: WaitParams = parse_json(json!({"worker_ids": null, "cursor": null})).unwrap();
        assert_eq!(p, WaitParams::default());
        let p: BatchCreateParams = parse_json(json!({"workers": [{"title": "t", "model": null}]})).unwrap();
        assert_eq!(p.workers, [json!({"title": "t"})]);
    }

    #[test]
    fn no_answer_is_longer_than_its_bound() {
        let result = answer(&"x".repeat(MAX_ANSWER_BYTES));
        assert_eq!(result.is_error, Some(true));
        assert!(serde_json::to_string(&result).unwrap().len() < 1000);
    }
}
