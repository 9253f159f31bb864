//! The client over real sockets: TCP and unix, tokens, errors, limits of time, and the event stream.

#![expect(clippy::unwrap_used, reason = "helpers of a test may panic as the test itself may")]

use std::{
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Query, Request},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use futures::{StreamExt, stream};
use sandboxed_client::{Client, Failure, Limit, Settings};
use sandboxed_domain::api::{Caller, ErrorCode, ListMissionsParams, NoParams, ReportOutcomeResponse};
use serde_json::{Value, json};

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn client(&self, url: &str) -> Client {
        let settings = Settings::parse(|name| match name {
            "SANDBOXED_SH_DATA_DIR" => self.dir.path().to_str().map(str::to_owned),
            "SANDBOXED_SH_API_URL" => Some(url.to_owned()),
            _ => None,
        });
        Client::from_settings(&settings.unwrap()).unwrap()
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("api.sock")
    }
}

async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

/// Answers with what it was sent.
async fn echo(request: Request) -> Json<Value> {
    let token = request.headers().get(header::AUTHORIZATION).map(|v| v.to_str().unwrap().to_owned());
    let uri = request.uri().to_string();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    Json(json!({"token": token, "uri": uri, "body": body}))
}

async fn call(client: &Client) -> Value {
    let caller = Caller { boss: "b".into(), ..Caller::default() };
    client.tool("t", &caller, &json!({"x": 1})).await.unwrap()
}

#[tokio::test]
async fn a_tool_call_is_the_same_over_tcp_and_over_a_unix_socket() {
    let place = Place::new();
    let app = Router::new().fallback(any(echo));
    let url = serve(app.clone()).await;
    let listener = tokio::net::UnixListener::bind(place.socket()).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let want = json!({"caller": {"boss": "b", "working_directory": ""}, "params": {"x": 1}});
    for url in [url, format!("unix:{}", place.socket().display())] {
        let got = call(&place.client(&url)).await;
        assert_eq!((&got["body"], &got["token"]), (&want, &Value::Null), "{url}");
        assert!(got["uri"].as_str().unwrap().ends_with("/api/orchestrator/t"));
    }
}

#[tokio::test]
async fn a_rotated_token_is_used_from_the_next_call_on() {
    let place = Place::new();
    let client = place.client(&serve(Router::new().fallback(any(echo))).await);
    for token in ["one", "two"] {
        std::fs::write(place.dir.path().join("token"), format!("{token}\n")).unwrap();
        assert_eq!(call(&client).await["token"], format!("Bearer {token}"));
    }
}

#[tokio::test]
async fn parameters_become_a_query_without_those_not_given() {
    let place = Place::new();
    let seen = Arc::new(Mutex::new(String::new()));
    let log = Arc::clone(&seen);
    let list = get(move |request: Request| async move {
        *log.lock().unwrap() = request.uri().query().unwrap_or_default().to_owned();
        Json(json!({"missions": [], "next_cursor": null}))
    });
    let client = place.client(&serve(Router::new().route("/api/control/missions", list)).await);
    let params =
        ListMissionsParams { limit: Some(3), status: Some("failed,blocked".into()), ..Default::default() };
    client.list_missions(&params).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), "limit=3&status=failed%2Cblocked");
}

#[tokio::test]
async fn failures_tell_whether_the_daemon_may_have_acted() {
    let place = Place::new();
    let refuse = post(|| async {
        (StatusCode::CONFLICT, Json(json!({"code": "wrong_state", "detail": "it runs", "hint": "wait"})))
    });
    let url = serve(
        Router::new()
            .route("/api/orchestrator/refused", refuse)
            .route("/api/orchestrator/slow", post(std::future::pending::<()>))
            .route("/api/orchestrator/odd", post(|| async { Json(json!({"recorded": "perhaps"})) })),
    )
    .await;
    let client = place.client(&url);
    let limit = Limit::Within(std::time::Duration::from_millis(50));
    let ask = async |client: &Client, tool: &str| {
        let result: Result<ReportOutcomeResponse, _> =
            client.try_tool(tool, &Caller::default(), &NoParams {}, limit).await;
        result.unwrap_err()
    };
    let refused = ask(&client, "refused").await;
    assert!(matches!(&refused, Failure::Answered(e) if e.code == ErrorCode::WrongState && e.hint == "wait"));
    assert!(matches!(ask(&client, "slow").await, Failure::Lost(e) if e.code == ErrorCode::TimedOut));
    assert!(matches!(ask(&client, "odd").await, Failure::Answered(e) if e.code == ErrorCode::Internal));
    for nobody in ["http://127.0.0.1:1".to_owned(), format!("unix:{}", place.socket().display())] {
        let absent = ask(&place.client(&nobody), "t").await;
        assert!(
            matches!(&absent, Failure::NotSent(e) if e.code == ErrorCode::DaemonUnreachable),
            "{absent:?}"
        );
        assert!(absent.error().message.contains(&nobody) && !absent.error().hint.is_empty(), "{absent:?}");
    }
}

fn event(sequence: i64) -> String {
    let mission = uuid::Uuid::nil();
    let data = json!({"sequence": sequence, "mission_id": mission, "timestamp": "2026-01-01T00:00:00Z",
        "type": "text_delta", "content": "x"});
    format!("id: {sequence}\nevent: text_delta\ndata: {data}\n\n")
}

/// Sends two events after the one asked for, cut in the middle of a frame, then closes.
async fn two_events(Query(query): Query<Value>, request: Request) -> Response {
    let last: i64 = request.headers()["last-event-id"].to_str().unwrap().parse().unwrap();
    assert_eq!(query["mission"], uuid::Uuid::nil().to_string());
    if last >= 6 {
        return (StatusCode::SERVICE_UNAVAILABLE, "").into_response();
    }
    let text = format!(": hello\n\n{}{}id: 99\ndata: cut", event(last + 1), event(last + 2));
    let pieces: Vec<_> = text.into_bytes().chunks(7).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect();
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream::iter(pieces))).into_response()
}

#[tokio::test]
async fn a_broken_stream_goes_on_after_the_last_event_and_ends_when_the_daemon_is_gone() {
    let place = Place::new();
    let client = place.client(&serve(Router::new().route("/api/control/stream", get(two_events))).await);
    let stream = client.stream(Some(uuid::Uuid::nil()), Some(2)).await.unwrap();
    let frames: Vec<_> = stream.collect().await;
    let ids: Vec<_> = frames.iter().filter_map(|f| f.as_ref().ok()?.event()).map(|e| e.sequence).collect();
    assert_eq!(ids, [3, 4, 5, 6]);
    assert_eq!(frames.len(), 5, "and one error at the end");
    assert_eq!(frames[4].as_ref().unwrap_err().code, ErrorCode::DaemonUnreachable);
}
