//! Mistakes as an MCP client on stdin and stdout sees them.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::support::Daemon;

/// A client of the real server.
struct Mcp {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    next: u64,
}

impl Mcp {
    fn start(daemon: &Daemon) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_sandboxed-sh")).with_file_name("inside/mcp-orchestrator");
        let mut child = Command::new(program)
            .args(["--boss", "stdio", "--workspace", "host"])
            .env("SANDBOXED_SH_API_URL", daemon.settings().endpoint.to_string())
            .env("SANDBOXED_SH_TOKEN_FILE", daemon.data().join("token"))
            .current_dir(daemon.repo())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut mcp = Self { child, stdin, stdout, next: 0 };
        let client = json!({"name": "test", "version": "1"});
        mcp.ask(
            "initialize",
            json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}),
        );
        mcp.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        mcp
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.stdin, "{message}").unwrap();
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        loop {
            let mut line = String::new();
            assert!(self.stdout.read_line(&mut line).unwrap() > 0, "stdout stays open");
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["id"] == id {
                return message["result"].clone();
            }
        }
    }

    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// A call whose refusal must have these parts.
    fn refused(&mut self, tool: &str, arguments: Value, code: &str, field: &str) {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], true, "{result}");
        let error: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!((error["code"].as_str(), error["field"].as_str()), (Some(code), Some(field)), "{error}");
        assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_on_stdin_gets_the_same_clear_errors_even_for_20_megabytes() {
    let daemon = Daemon::start().await;
    let mut mcp = Mcp::start(&daemon);
    let worker = |prompt: &str| json!({"title": "t", "backend": "command", "prompt": prompt});
    let long = "x".repeat(20_000_000);
    let batch = mcp.call("batch_create_workers", json!({"workers": [worker(&long), worker("")]}));
    let entries = &batch["structuredContent"]["workers"];
    let told = |at: usize| (entries[at]["error"]["code"].clone(), entries[at]["error"]["field"].clone());
    assert_eq!(told(0), (json!("too_large"), json!("workers[0].prompt")));
    assert_eq!(told(1), (json!("invalid_argument"), json!("workers[1].prompt")));
    let made = mcp.call("batch_create_workers", json!({"workers": [worker("exec sleep 600")]}));
    let id = made["structuredContent"]["workers"][0]["worker_id"].clone();
    mcp.refused("send_message_to_worker", json!({"worker_id": id, "content": long}), "too_large", "content");
    mcp.refused("send_message_to_worker", json!({"worker_id": id, "text": "x"}), "unknown_field", "text");
    mcp.refused("resume_worker", json!({"worker_id": id, "prompt": " "}), "invalid_argument", "prompt");
    mcp.refused("get_worker", json!({"worker_id": "x"}), "unknown_worker", "worker_id");
    mcp.refused("get_worker", json!({"worker_id": id, "view": "film"}), "invalid_argument", "view");
    mcp.refused("batch_create_workers", json!({"workers": []}), "invalid_argument", "workers");
    mcp.refused("batch_create_workers", json!({"workers": vec![worker("true"); 65]}), "too_large", "workers");
    mcp.refused("wait_for_any_worker", json!({"cursor": "x"}), "invalid_argument", "cursor");
    let listed = mcp.call("list_workers", json!({}));
    assert_eq!(
        listed["structuredContent"]["workers"].as_array().unwrap().len(),
        1,
        "only the good one was made"
    );
    drop(mcp.stdin);
    assert!(mcp.child.wait().unwrap().success());
    daemon.finish().await;
}
