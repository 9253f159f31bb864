//! The smallest MCP server over HTTP: one tool, `create_worker`, that hands out worker ids.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::AbortHandle};

type Calls = Arc<Mutex<Vec<Value>>>;

/// A running server; ends when dropped.
pub struct Mcp {
    url: String,
    calls: Calls,
    serving: AbortHandle,
}

impl Mcp {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let calls = Calls::default();
        let router = Router::new().route("/mcp", post(answer)).with_state(Arc::clone(&calls));
        let serving =
            tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }).abort_handle();
        Self { url, calls, serving }
    }

    /// Where it listens; the tests name it `boss`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Arguments of the tool calls so far.
    pub fn calls(&self) -> Vec<Value> {
        self.calls.lock().unwrap().clone()
    }
}

impl Drop for Mcp {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(calls): State<Calls>, Json(request): Json<Value>) -> Response {
    let result = match request["method"].as_str().unwrap() {
        "initialize" => json!({
            "protocolVersion": request["params"]["protocolVersion"], "capabilities": {"tools": {}},
            "serverInfo": {"name": "boss", "version": "1"},
        }),
        "tools/list" => json!({"tools": [{
            "name": "create_worker", "description": "Creates a worker", "inputSchema": {"type": "object"},
        }]}),
        "tools/call" => {
            let mut calls = calls.lock().unwrap();
            calls.push(request["params"]["arguments"].clone());
            let made = json!({"workers": [{"worker_id": format!("w{}", calls.len())}]});
            json!({"content": [{"type": "text", "text": made.to_string()}]})
        }
        _ if request["id"].is_null() => return StatusCode::ACCEPTED.into_response(),
        _ => json!({}),
    };
    Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": result})).into_response()
}
