//! A daemon of which each answer is scripted. It has a runtime of its own, so that dropping it breaks every
//! connection at once, as `kill -9` does.

use std::{
    future::Future,
    net::{Ipv4Addr, TcpListener},
    pin::Pin,
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{
    runtime::Runtime,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

/// One tool call as it reached the daemon.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub tool: String,
    pub caller: Value,
    pub params: Value,
}

/// What the daemon does with a call.
pub enum Reply {
    Json(Value),
    Problem(u16, Value),
    /// The connection breaks without an answer.
    Break,
    /// No answer until the call is dropped, which is then reported.
    Hang(UnboundedSender<()>),
}

type Script = dyn Fn(&Call) -> Reply + Send + Sync;

pub struct Fake {
    pub port: u16,
    pub calls: UnboundedReceiver<Call>,
    runtime: Option<Runtime>,
}

#[derive(Clone)]
struct Shared {
    script: Arc<Script>,
    calls: UnboundedSender<Call>,
}

impl Fake {
    /// On a port of its own.
    pub fn start(script: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_on(0, script)
    }

    /// On a given port: the replacement of one that was killed.
    pub fn start_on(port: u16, script: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, calls) = unbounded_channel();
        let app = Router::new()
            .route("/api/health", get(health))
            .route("/api/orchestrator/{tool}", post(tool))
            .with_state(Shared { script: Arc::new(script), calls: sender });
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
        Self { port, calls, runtime: Some(runtime) }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Breaks every connection; returns the port for a replacement.
    pub fn kill(mut self) -> u16 {
        self.stop();
        self.port
    }

    fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waits until the sockets are closed; a runtime may not be dropped inside another.
            std::thread::spawn(move || drop(runtime)).join().unwrap();
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn health() -> Json<Value> {
    Json(json!({"status": "ok", "version": "0", "build_id": "fake", "auth_required": false, "pid": 1}))
}

async fn tool(
    State(shared): State<Shared>,
    Path(tool): Path<String>,
    Json(mut body): Json<Value>,
) -> Response {
    let call = Call { tool, caller: body["caller"].take(), params: body["params"].take() };
    let reply = (shared.script)(&call);
    let _ = shared.calls.send(call);
    match reply {
        Reply::Json(value) => Json(value).into_response(),
        Reply::Problem(status, value) => (StatusCode::from_u16(status).unwrap(), Json(value)).into_response(),
        Reply::Break => panic!("told to break the connection"),
        Reply::Hang(dropped) => hang(dropped).await,
    }
}

fn hang(dropped: UnboundedSender<()>) -> Pin<Box<dyn Future<Output = Response> + Send>> {
    struct Report(UnboundedSender<()>);
    impl Drop for Report {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    Box::pin(async move {
        let _report = Report(dropped);
        std::future::pending().await
    })
}

/// An answer of `wait_for_any_worker`.
pub fn wait_answer(status: &str) -> Value {
    let running = json!([{"worker_id": "01234567-0000-0000-0000-000000000000", "status": "active", "seconds": 72,
        "last_activity": "x"}]);
    json!({"status": status, "events": [], "cursor": "7", "running": running, "running_total": 1, "next": "n"})
}
