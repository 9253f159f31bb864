//! An MCP client on the server's stdin and stdout that checks every line it gets.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// Longer than anything a test waits for; its end is a failure.
const PATIENCE: Duration = Duration::from_secs(120);

/// What comes of `future`, which must be soon.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

/// Which protocol the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// `initialize`, then bare requests.
    Legacy(&'static str),
    /// 2026-07-28: each request carries its own metadata.
    Modern { tasks: bool },
}

pub struct Mcp {
    pub child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    era: Era,
    next_id: i64,
    /// What the handshake said.
    pub info: Value,
    _home: tempfile::TempDir,
}

/// The program with an environment of its own.
pub fn program(url: &str, home: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-orchestrator"));
    command
        .env_clear()
        .env("HOME", home)
        .env("SANDBOXED_SH_API_URL", url)
        .current_dir(home)
        .kill_on_drop(true);
    command
}

impl Mcp {
    pub async fn start(url: &str, era: Era, client: &str, args: &[&str]) -> Self {
        Self::start_with(url, era, client, args, &[]).await
    }

    pub async fn start_with(url: &str, era: Era, client: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = program(url, home.path());
        command.args(args).envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stdin = child.stdin.take();
        let mut mcp = Self { child, stdin, lines, era, next_id: 0, info: Value::Null, _home: home };
        mcp.greet(client).await;
        mcp
    }

    async fn greet(&mut self, client: &str) {
        match self.era {
            Era::Legacy(version) => {
                let info = json!({"name": client, "version": "1"});
                let params = json!({"protocolVersion": version, "capabilities": {}, "clientInfo": info});
                self.info = self.ask("initialize", params).await;
                self.notify("notifications/initialized", json!({})).await;
            }
            Era::Modern { .. } => self.info = self.ask("server/discover", json!({})).await,
        }
    }

    fn meta(&self) -> Value {
        let Era::Modern { tasks } = self.era else { return json!({}) };
        let capabilities =
            if tasks { json!({"extensions": {"io.modelcontextprotocol/tasks": {}}}) } else { json!({}) };
        json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "modern", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        })
    }

    async fn send(&mut self, message: &Value) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    pub async fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params})).await;
    }

    /// Sends a request and returns its id.
    pub async fn request(&mut self, method: &str, mut params: Value) -> i64 {
        self.next_id += 1;
        if let Era::Modern { .. } = self.era {
            let mut meta = self.meta();
            if let Some(more) = params.get("_meta").and_then(Value::as_object) {
                meta.as_object_mut().unwrap().extend(more.clone());
            }
            params["_meta"] = meta;
        }
        let id = self.next_id;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        id
    }

    /// The next message. Every line of stdout must be one.
    pub async fn receive(&mut self) -> Value {
        let line = soon(self.lines.next_line()).await;
        let line = line.unwrap().expect("stdout stays open");
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("not JSON: {e}: {line}"));
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        message
    }

    /// Sends a request and returns its result, passing over notifications.
    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        let answer = self.ask_raw(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    pub async fn ask_raw(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params).await;
        self.answer_to(id).await
    }

    pub async fn answer_to(&mut self, id: i64) -> Value {
        loop {
            let message = self.receive().await;
            if message["id"] == id {
                return message;
            }
        }
    }

    /// Starts a tool call and returns its id; progress is reported with that id as its token.
    pub async fn start_call(&mut self, tool: &str, arguments: Value) -> i64 {
        let token = self.next_id + 1;
        self.request(
            "tools/call",
            json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": token}}),
        )
        .await
    }

    pub async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// A call that must fail: the error in its text.
    pub async fn call_failing(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_eq!(result["isError"], true, "{result}");
        assert!(result.get("structuredContent").is_none(), "{result}");
        serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap()
    }

    /// Closes stdin; the status must come by itself, and nothing more on stdout but JSON-RPC.
    pub async fn hang_up(mut self) -> std::process::ExitStatus {
        drop(self.stdin.take());
        self.exit().await
    }

    pub async fn exit(mut self) -> std::process::ExitStatus {
        let rest = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                let message: Value = serde_json::from_str(&line).unwrap();
                assert_eq!(message["jsonrpc"], "2.0");
            }
            self.child.wait().await.unwrap()
        };
        soon(rest).await
    }
}
