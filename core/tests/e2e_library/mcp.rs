//! MCP servers as users have them: a program in `tools/`, and an address that wants a header.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// A server in shell: one tool, `look`, that tells a variable of its own and every name in its environment whose value
/// looks like a model's key.
pub const PROGRAM: &str = r#"#!/bin/bash
while IFS= read -r line; do
    id=$(sed -n 's/.*"id":\("[^"]*"\|[0-9]*\).*/\1/p' <<<"$line")
    version=$(sed -n 's/.*"protocolVersion":"\([^"]*\)".*/\1/p' <<<"$line")
    case $line in
        *'"method":"initialize"'*)
            result='{"protocolVersion":"'$version'","capabilities":{"tools":{}},"serverInfo":{"name":"looker","version":"1"}}' ;;
        *'"method":"tools/list"'*)
            result='{"tools":[{"name":"look","description":"Looks around","inputSchema":{"type":"object","properties":{}}}]}' ;;
        *'"method":"tools/call"'*)
            keys=$(env | grep sk-test | cut -d= -f1 | tr '\n' ' ')
            result='{"content":[{"type":"text","text":"own='$LOOK_TOKEN' keys=['$keys']"}]}' ;;
        *) result='{}' ;;
    esac
    [ -n "$id" ] && printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done
"#;

/// A server at an address; ends when dropped.
pub struct Address {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
    serving: AbortHandle,
}

impl Address {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new().route("/mcp", post(answer)).with_state(Arc::clone(&seen));
        let serving =
            tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }).abort_handle();
        Self { url, seen, serving }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The authorization of each request so far.
    pub fn authorizations(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    State(seen): State<Arc<Mutex<Vec<String>>>>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Response {
    let authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    seen.lock().unwrap().push(authorization.unwrap_or_default());
    let result = match request["method"].as_str().unwrap() {
        "initialize" => json!({
            "protocolVersion": request["params"]["protocolVersion"], "capabilities": {"tools": {}},
            "serverInfo": {"name": "teller", "version": "1"},
        }),
        "tools/list" => json!({"tools": [{
            "name": "tell", "description": "Tells a tale", "inputSchema": {"type": "object", "properties": {}},
        }]}),
        "tools/call" => json!({"content": [{"type": "text", "text": "once upon a time"}]}),
        _ if request["id"].is_null() => return StatusCode::ACCEPTED.into_response(),
        _ => json!({}),
    };
    Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": result})).into_response()
}
