//! JSON-RPC 2.0, a message a line.

use serde::Serialize;
use serde_json::{Value, json};

/// One message of the other side.
#[derive(Debug)]
pub(super) enum Incoming {
    /// It wants an answer.
    Request { id: Value, method: String, params: Value },
    /// It tells something.
    Notification { method: String, params: Value },
    /// It answers a request of ours.
    Response { id: Value, outcome: Result<Value, RpcError> },
}

/// The error of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::harness) struct RpcError {
    /// Its code.
    pub(in crate::harness) code: i64,
    /// In words.
    pub(in crate::harness) message: String,
    /// Whatever comes with it.
    pub(in crate::harness) data: Value,
}

impl RpcError {
    fn read(error: &Value) -> Self {
        Self {
            code: error["code"].as_i64().unwrap_or_default(),
            message: error["message"].as_str().unwrap_or_default().to_owned(),
            data: error["data"].clone(),
        }
    }

    /// Message and the words of its data; some agents put all of their words there.
    pub(super) fn words(&self) -> String {
        let data = self.data.as_str().or(self.data["message"].as_str()).filter(|text| !text.is_empty());
        match (self.message.as_str(), data) {
            ("", None) => format!("error {}", self.code),
            ("", Some(data)) => data.to_owned(),
            (message, None) => message.to_owned(),
            (message, Some(data)) if message.contains(data) => message.to_owned(),
            (message, Some(data)) => format!("{message}: {data}"),
        }
    }
}

/// `None`: not a message of JSON-RPC.
pub(super) fn read(value: &Value) -> Option<Incoming> {
    let method = value["method"].as_str().map(str::to_owned);
    let id = value.get("id").filter(|id| !id.is_null()).cloned();
    let params = || value["params"].clone();
    match (method, id) {
        (Some(method), Some(id)) => Some(Incoming::Request { id, method, params: params() }),
        (Some(method), None) => Some(Incoming::Notification { method, params: params() }),
        (None, Some(id)) => {
            let outcome = match (value.get("result"), value.get("error")) {
                (_, Some(error)) if !error.is_null() => Err(RpcError::read(error)),
                (Some(result), _) => Ok(result.clone()),
                (None, _) => return None,
            };
            Some(Incoming::Response { id, outcome })
        }
        (None, None) => None,
    }
}

/// A request as a line.
pub(super) fn request(id: u64, method: &str, params: &impl Serialize) -> String {
    line(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
}

/// A notification as a line.
pub(super) fn notification(method: &str, params: &impl Serialize) -> String {
    line(&json!({ "jsonrpc": "2.0", "method": method, "params": params }))
}

/// The answer to a request as a line.
pub(super) fn result(id: &Value, result: &impl Serialize) -> String {
    line(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

/// The answer to a request that we do not know.
pub(super) fn method_not_found(id: &Value, method: &str) -> String {
    let error = json!({ "code": -32601, "message": "Method not found", "data": { "method": method } });
    line(&json!({ "jsonrpc": "2.0", "id": id, "error": error }))
}

fn line(message: &Value) -> String {
    format!("{message}\n")
}
