//! Handshakes of all eras, the list of tools, resources, HTTP and its token, and a clean end.

use std::process::Stdio;

use rmcp::model::ReadResourceRequestParams;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::stage::{Server, Stage, program, soon};

/// `UPDATE_GOLDEN=1` writes the file anew.
#[tokio::test]
async fn the_list_of_tools_is_the_one_checked_in() {
    let stage = Stage::new().await;
    let tools = stage.server.tools().await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, format!("{}\n", serde_json::to_string_pretty(&tools).unwrap())).unwrap();
    }
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(tools, golden, "tools/list changed: if that is meant, run this test with UPDATE_GOLDEN=1");
    stage.finish().await;
}

/// One line in, one line out, written by hand.
async fn exchange(messages: &[Value], answers: usize) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let mut child = program(dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for message in messages {
        stdin.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }
    let mut got = Vec::new();
    while got.len() < answers {
        got.push(serde_json::from_str(&soon(lines.next_line()).await.unwrap().unwrap()).unwrap());
    }
    drop(stdin);
    assert!(soon(child.wait()).await.unwrap().success(), "the end of stdin is a clean end");
    got
}

#[tokio::test]
async fn every_era_sees_the_same_tools_and_instructions() {
    let mut seen = Vec::new();
    for version in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        let info = json!({"name": "x", "version": "1"});
        let params = json!({"protocolVersion": version, "capabilities": {}, "clientInfo": info});
        let messages = [
            json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}),
            json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
            json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}),
        ];
        let mut got = exchange(&messages, 2).await;
        assert_eq!(got[0]["result"]["protocolVersion"], version);
        seen.push((got[0]["result"]["instructions"].take(), got[1]["result"]["tools"].take()));
    }
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "x", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let messages = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta}}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {"_meta": meta}}),
    ];
    let mut got = exchange(&messages, 2).await;
    got.sort_by_key(|answer| answer["id"].as_i64());
    seen.push((got[0]["result"]["instructions"].take(), got[1]["result"]["tools"].take()));
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:#?}");
}

#[tokio::test]
async fn a_bad_call_is_answered_with_what_is_wrong() {
    let stage = Stage::new().await;
    for (tool, arguments, code, field) in [
        ("read_file", json!({}), "invalid_argument", "path"),
        ("read_file", json!({"path": "a", "line": 3}), "unknown_field", "line"),
        ("read_file", json!({"path": "a\u{0}b"}), "invalid_argument", "path"),
        ("write_file", json!({"path": "a", "content": "x", "mode": "w"}), "invalid_argument", "mode"),
        ("edit_file", json!({"path": "a", "edits": []}), "invalid_argument", "edits"),
        ("list_files", json!({"limit": 0}), "invalid_argument", "limit"),
        ("search_files", json!({"pattern": "x", "context": 11}), "invalid_argument", "context"),
        ("run_command", json!({"command": " "}), "invalid_argument", "command"),
        ("run_command", json!({"command": "ls", "yield_seconds": 1e9}), "invalid_argument", "yield_seconds"),
        ("run_command", json!({"command": "ls", "cwd": "none"}), "not_found", "cwd"),
        ("run_command", json!({"command": "ls", "rows": 0}), "invalid_argument", "rows"),
        ("read_output", json!({"job_id": "../x"}), "unknown_job", "job_id"),
        ("signal_job", json!({"job_id": "j0", "signal": "DANCE"}), "invalid_argument", "signal"),
        ("send_input", json!({"job_id": "j0"}), "invalid_argument", "text"),
        ("list_jobs", json!({"limit": 101}), "invalid_argument", "limit"),
    ] {
        let problem = stage.server.problem(tool, arguments.clone()).await;
        assert_eq!(
            (&problem["code"], &problem["field"]),
            (&json!(code), &json!(field)),
            "{tool} {arguments}"
        );
    }
    assert_eq!(std::fs::read_dir(stage.dir.path()).unwrap().count(), 0, "none of these left anything behind");
    stage.finish().await;
}

#[tokio::test]
async fn what_an_answer_links_to_is_a_resource() {
    let stage = Stage::new().await;
    let text: String = (0..5000).map(|n| format!("this is line {n}\n")).collect();
    stage.write("long ü.txt", &text);
    let answer = stage.server.call("read_file", json!({"path": "long ü.txt"})).await;
    let uri = answer.link().unwrap();
    let read =
        async |uri: &str| stage.server.client().read_resource(ReadResourceRequestParams::new(uri)).await;
    let resource = serde_json::to_value(soon(read(&uri)).await.unwrap()).unwrap();
    assert_eq!(resource["contents"][0]["text"], json!(text));
    assert!(soon(read("file:///etc/passwd")).await.is_err());
    assert!(soon(stage.server.client().list_all_resources()).await.unwrap().is_empty());
    stage.finish().await;
}

#[tokio::test]
async fn over_http_only_the_bearer_of_the_token_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    let root = dir.path().join("w");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("a"), "over http").unwrap();
    let mut child = program(&root)
        .args(["--http", "127.0.0.1:0", "--token-file"])
        .arg(&token)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let url = loop {
        let line = soon(lines.next_line()).await.unwrap().expect("it says where it serves");
        if let Some(at) = line.find("http://") {
            break line[at..].trim().to_owned();
        }
    };
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "h", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({"name": "read_file", "arguments": {"path": "a"}, "_meta": meta});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let post = async |bearer: Option<&str>| {
        let mut request = reqwest::Client::new()
            .post(&url)
            .header("Accept", "application/json, text/event-stream")
            .header("MCP-Protocol-Version", "2026-07-28")
            .header("Mcp-Method", "tools/call")
            .header("Mcp-Name", "read_file")
            .json(&message);
        if let Some(bearer) = bearer {
            request = request.header("Authorization", format!("Bearer {bearer}"));
        }
        soon(request.send()).await.unwrap()
    };
    let secret = std::fs::read_to_string(&token).unwrap();
    for wrong in [None, Some(""), Some("x"), Some(&secret.trim()[1..])] {
        assert_eq!(post(wrong).await.status(), 401, "{wrong:?}");
    }
    let answer = post(Some(secret.trim())).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.unwrap().contains("over http"));
    let refused = program(&root).args(["--http", "127.0.0.1:0"]).output().await.unwrap();
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--token-file"));
}

#[tokio::test]
async fn a_workspace_that_is_not_there_is_said_at_once() {
    let failed = program(std::path::Path::new("/none/of/it")).output().await.unwrap();
    assert!(!failed.status.success() && failed.stdout.is_empty());
    assert!(String::from_utf8_lossy(&failed.stderr).contains("/none/of/it"));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let failed = program(&dir.path().join("file")).output().await.unwrap();
    assert!(!failed.status.success());
    // A server of a directory that is removed meanwhile says so too.
    let server = Server::start(dir.path()).await;
    drop(dir);
    assert_eq!(server.problem("write_file", json!({"path": "a", "content": ""})).await["code"], "not_found");
    server.leave().await;
}
