//! From a call's arguments to typed parameters, and from answers to tool results.

use rmcp::model::{CallToolResult, ContentBlock, JsonObject};
use sandboxed_domain::api::{ApiError, ErrorCode};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// No answer is longer, whatever the daemon sends: its own budgets are 2 to 32 kB.
const MAX_ANSWER_BYTES: usize = 48 << 10;

/// Reads the arguments. `null` counts as absent: models fill optional fields with it.
pub fn parse<P: DeserializeOwned>(arguments: Option<JsonObject>) -> Result<P, ApiError> {
    let mut value = Value::Object(arguments.unwrap_or_default());
    drop_nulls(&mut value);
    serde_path_to_error::deserialize(value).map_err(|e| {
        let path = Some(e.path().to_string()).filter(|p| p != ".");
        describe(path, &e.into_inner().to_string())
    })
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// serde says what is wrong in words only; the name of an unknown or missing field stands in backticks.
fn describe(path: Option<String>, message: &str) -> ApiError {
    let named = |prefix: &str| message.strip_prefix(prefix)?.split_once('`').map(|(name, _)| name.to_owned());
    if let Some(name) = named("unknown field `") {
        return ApiError::new(ErrorCode::UnknownField, message)
            .field(name)
            .hint("use only the fields of the tool's schema");
    }
    if let Some(name) = named("missing field `") {
        let field = path.map_or_else(|| name.clone(), |p| format!("{p}.{name}"));
        return ApiError::invalid(field, message).hint("add it and call again");
    }
    let mut error =
        ApiError::new(ErrorCode::InvalidArgument, message).hint("see the tool's schema and call again");
    error.field = path;
    error
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

/// A failure that the model can read and mend. Text only: a tool's output schema does not describe it.
pub fn refusal(error: &ApiError) -> CallToolResult {
    let text = serde_json::to_string(error).unwrap_or_else(|_| error.to_string());
    CallToolResult::error(vec![ContentBlock::text(text)])
}

#[cfg(test)]
mod tests {
    use sandboxed_domain::api::{BatchCreateParams, GetWorkerParams, NoParams, WaitParams};
    use serde_json::json;

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
