//! Streamable HTTP: the token, and a call through it.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Child,
};

use crate::{
    client::program,
    fake::{Fake, Reply},
};

struct Served {
    _child: Child,
    _home: tempfile::TempDir,
    url: String,
}

async fn serve(fake: &Fake, token: Option<&str>) -> Served {
    let home = tempfile::tempdir().unwrap();
    let mut command = program(&fake.url(), home.path());
    if let Some(token) = token {
        command.env("SANDBOXED_SH_TOKEN", token);
    }
    let mut child = command.args(["--http", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let url = loop {
        let line = lines.next_line().await.unwrap().expect("it says where it serves");
        if let Some(at) = line.find("http://") {
            break line[at..].trim().to_owned();
        }
    };
    Served { _child: child, _home: home, url }
}

async fn post(url: &str, token: Option<&str>, message: &Value) -> reqwest::Response {
    let mut request = reqwest::Client::new()
        .post(url)
        .header("Accept", "application/json, text/event-stream")
        .header("MCP-Protocol-Version", "2026-07-28")
        .header("Mcp-Method", message["method"].as_str().unwrap())
        .json(message);
    if let Some(name) = message["params"]["name"].as_str() {
        request = request.header("Mcp-Name", name);
    }
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    request.send().await.unwrap()
}

fn list_workers() -> Value {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "h", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({"name": "list_workers", "arguments": {}, "_meta": meta});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
}

#[tokio::test]
async fn only_the_bearer_of_the_token_is_served() {
    let fake = Fake::start(|_| Reply::Json(json!({"workers": [], "next_cursor": "over http"})));
    let served = serve(&fake, Some("s3cr3t")).await;
    for wrong in [None, Some("s3cr3x"), Some(""), Some("s3cr3t2")] {
        assert_eq!(post(&served.url, wrong, &list_workers()).await.status(), 401, "{wrong:?}");
    }
    let answer = post(&served.url, Some("s3cr3t"), &list_workers()).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.unwrap().contains("over http"));
}

#[tokio::test]
async fn without_a_token_loopback_is_open_and_anything_else_refused() {
    let fake = Fake::start(|_| Reply::Json(json!({"workers": []})));
    let served = serve(&fake, None).await;
    assert_eq!(post(&served.url, None, &list_workers()).await.status(), 200);
    let home = tempfile::tempdir().unwrap();
    let refused = program(&fake.url(), home.path()).args(["--http", "0.0.0.0:0"]).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(words.contains("without a token"), "{words}");
    assert!(refused.stdout.is_empty());
}
