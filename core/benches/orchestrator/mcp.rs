//! An MCP client on the stdin and stdout of the shipped `mcp-orchestrator`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::support::Daemon;

/// A session that has been greeted.
pub struct Mcp {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    next_id: u64,
}

impl Mcp {
    /// A session of `boss` in `directory`.
    pub fn start(daemon: &Daemon, boss: &str, directory: &Path) -> Self {
        let beside = Path::new(env!("CARGO_BIN_EXE_sandboxed-sh")).with_file_name("inside/mcp-orchestrator");
        assert!(beside.is_file(), "{} is missing: run doctor --fix", beside.display());
        let mut child = Command::new(beside)
            .args(["--boss", boss])
            .env("SANDBOXED_SH_DATA_DIR", daemon.data())
            .env("SANDBOXED_SH_API_URL", daemon.settings().endpoint.to_string())
            .env_remove("SANDBOXED_SH_MISSION_ID")
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut mcp = Self { child, stdin, stdout: BufReader::new(stdout), next_id: 0 };
        let info = json!({"name": "bench", "version": "1"});
        mcp.ask(
            "initialize",
            &json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": info}),
        );
        mcp.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        mcp
    }

    fn send(&mut self, message: &Value) {
        self.stdin.write_all(format!("{message}\n").as_bytes()).unwrap();
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.stdout.read_line(&mut line).unwrap() > 0, "mcp-orchestrator has ended");
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["id"] == id {
                assert!(message.get("error").is_none(), "{method}: {line}");
                return message["result"].clone();
            }
        }
    }

    /// Calls a tool that must succeed and returns its structured answer.
    pub fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let result = self.ask("tools/call", &json!({"name": tool, "arguments": arguments}));
        assert_ne!(result["isError"], true, "{tool}: {result}");
        result["structuredContent"].clone()
    }
}

impl Drop for Mcp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
