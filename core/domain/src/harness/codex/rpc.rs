//! JSON-RPC lines, as Codex writes them: without the member `jsonrpc`.

use serde_json::{Value, json};

/// Error code of a method that is not served.
const METHOD_NOT_FOUND: i64 = -32601;

/// A request as a line.
pub(super) fn request(id: u64, method: &str, params: &Value) -> String {
    format!("{}\n", json!({ "id": id, "method": method, "params": params }))
}

/// A notification without parameters as a line.
pub(super) fn notification(method: &str) -> String {
    format!("{}\n", json!({ "method": method }))
}

/// The answer to a request as a line; `id` as it came.
pub(super) fn answer(id: &Value, result: &Value) -> String {
    format!("{}\n", json!({ "id": id, "result": result }))
}

/// The refusal of a request that nobody here can serve.
pub(super) fn refusal(id: &Value, method: &str) -> String {
    let message = format!("this client does not serve {method}");
    format!("{}\n", json!({ "id": id, "error": { "code": METHOD_NOT_FOUND, "message": message } }))
}

/// A text of the value, or nothing.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
