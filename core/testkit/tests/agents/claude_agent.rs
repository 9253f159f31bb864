//! A Claude Code process against the stub, in a home of its own and with an environment of its own.

use std::process::Stdio;

use sandboxed_testkit::{cli::Cli, stub::StubModel};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::run::SOON;

/// How the prompt gets in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// As the argument of a one-shot run.
    Prompt(&'a str),
    /// As messages on stdin.
    Stream,
}

/// A running Claude Code; killed when dropped.
pub struct Agent {
    pub dir: TempDir,
    child: Child,
    stdin: Option<ChildStdin>,
    events: Lines<BufReader<ChildStdout>>,
}

impl Agent {
    pub fn start(stub: &StubModel, key: &str, input: Input, extra: &[&str]) -> Self {
        let claude = Cli::Claude.path().unwrap_or_else(|missing| panic!("{missing}"));
        let dir = TempDir::new().unwrap();
        for part in ["home", "tmp", "work"] {
            std::fs::create_dir(dir.path().join(part)).unwrap();
        }
        let mut command = Command::new(claude);
        command
            .args(["--print", "--output-format", "stream-json", "--verbose", "--include-partial-messages"])
            .args(["--permission-mode", "bypassPermissions", "--model", "claude-sonnet-4-5"])
            .args(extra)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", dir.path().join("home"))
            .env("CLAUDE_CONFIG_DIR", dir.path().join("home/.claude"))
            .env("TMPDIR", dir.path().join("tmp"))
            .env("ANTHROPIC_BASE_URL", stub.base_url())
            .env("ANTHROPIC_API_KEY", key)
            .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
            .env("CLAUDE_CODE_MAX_RETRIES", "1")
            .env("IS_SANDBOX", "1")
            .current_dir(dir.path().join("work"))
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        match input {
            Input::Prompt(prompt) => command.args(["--", prompt]).stdin(Stdio::null()),
            Input::Stream => command.args(["--input-format", "stream-json"]).stdin(Stdio::piped()),
        };
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let events = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { dir, child, stdin, events }
    }

    pub async fn send(&mut self, message: Value) {
        let line = format!("{message}\n");
        self.stdin.as_mut().unwrap().write_all(line.as_bytes()).await.unwrap();
    }

    pub async fn say(&mut self, text: &str) {
        let content = json!([{"type": "text", "text": text}]);
        let message = json!({"role": "user", "content": content});
        self.send(json!({"type": "user", "message": message, "parent_tool_use_id": null})).await;
    }

    /// Events up to and with the first that fulfils the condition.
    pub async fn until(&mut self, condition: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            let line = timeout(SOON, self.events.next_line()).await.expect("no event in time").unwrap();
            let line = line.unwrap_or_else(|| panic!("the CLI ended; seen: {seen:#?}"));
            seen.push(serde_json::from_str(&line).unwrap());
            if condition(&seen[seen.len() - 1]) {
                return seen;
            }
        }
    }

    /// Events of the turn, its result last.
    pub async fn turn(&mut self) -> Vec<Value> {
        self.until(|event| event["type"] == "result").await
    }

    /// Closes stdin and waits for the end; the exit status.
    pub async fn end(&mut self) -> i32 {
        drop(self.stdin.take());
        while timeout(SOON, self.events.next_line()).await.expect("no end in time").unwrap().is_some() {}
        timeout(SOON, self.child.wait()).await.expect("no exit in time").unwrap().code().expect("no signal")
    }
}

/// Runs one prompt to its end: events and exit status.
pub async fn one_shot(stub: &StubModel, prompt: &str) -> (Vec<Value>, i32) {
    let mut agent = Agent::start(stub, "sk-test", Input::Prompt(prompt), &[]);
    let events = agent.turn().await;
    (events, agent.end().await)
}

/// The result of a turn.
pub fn result(events: &[Value]) -> &Value {
    events.last().unwrap()
}

/// What the answers of a turn consist of: `thinking:…`, `text:…`, `tool_use:NAME`.
pub fn blocks(events: &[Value]) -> Vec<String> {
    let assistant = events.iter().filter(|event| event["type"] == "assistant");
    let blocks = assistant.flat_map(|event| event["message"]["content"].as_array().unwrap());
    let shown = |block: &Value| {
        let kind = block["type"].as_str().unwrap();
        let field = if kind == "tool_use" { "name" } else { kind };
        format!("{kind}:{}", block[field].as_str().unwrap())
    };
    blocks.map(shown).collect()
}
