//! What the tests of all CLIs share: a home of its own, a run to its end, and the same three conversations.

use std::{path::PathBuf, process::Stdio, time::Duration};

use sandboxed_testkit::{
    cli::Cli,
    stub::{Script, Step, StubModel, Usage},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

/// Longest wait for anything a test expects.
pub const SOON: Duration = Duration::from_secs(180);

/// A stub with the steps as its scenario `s`.
pub async fn stub(steps: impl IntoIterator<Item = Step>) -> StubModel {
    StubModel::start(Script::default().scenario("s", steps)).await.unwrap()
}

/// Answers as the log names them, one for each request.
pub fn answers(stub: &StubModel) -> Vec<String> {
    stub.requests().iter().map(|request| format!("{} {}", request.answer, request.status)).collect()
}

/// One text, with a usage of four different counts.
pub fn plain() -> [Step; 1] {
    let usage = Usage { input: 11, output: 22, cache_read: 33, cache_write: 0, reasoning: 5 };
    [Step { usage, ..Step::text("Hello from the stub.") }]
}

/// Thinking, text and a shell command, whose output the next text holds.
pub fn tool() -> [Step; 2] {
    let command = r#"echo hi > hi.txt; echo '{"worker_id": "w7"}'"#;
    let bash = Some(command.to_owned());
    [
        Step { thinking: Some("Let me see.".into()), bash, ..Step::text("Looking.") },
        Step::text("It is {{find:worker_id}}."),
    ]
}

/// Two calls of an MCP tool, the second with what the first gave.
pub fn mcp() -> [Step; 3] {
    [
        Step::mcp("boss", "create_worker", json!({"name": "one"})),
        Step::mcp("boss", "create_worker", json!({"after": "{{last:/workers/0/worker_id}}"})),
        Step::text("Made {{find:worker_id}} and {{find:worker_id:1}}."),
    ]
}

/// What the MCP server gets in [`mcp`].
pub fn mcp_calls() -> [Value; 2] {
    [json!({"name": "one"}), json!({"after": "w1"})]
}

/// Home, temporary and working directory of one agent.
pub struct Home {
    dir: TempDir,
}

impl Home {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for part in ["home", "tmp", "work"] {
            std::fs::create_dir(dir.path().join(part)).unwrap();
        }
        Self { dir }
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Writes a file, with the directories above it.
    pub fn write(&self, below: &str, text: &str) {
        let path = self.path(below);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// What [`tool`] wrote.
    pub fn written(&self) -> String {
        std::fs::read_to_string(self.path("work/hi.txt")).unwrap()
    }

    /// A CLI with nothing of this process's environment.
    pub fn command(&self, cli: Cli) -> Command {
        let mut command = Command::new(cli.path().unwrap_or_else(|missing| panic!("{missing}")));
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .current_dir(self.path("work"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

/// A run that has ended.
pub struct Run {
    pub events: Vec<Value>,
    pub exit: i32,
}

impl Run {
    /// Waits for the end; every line of the output must be an event.
    pub async fn of(mut command: Command) -> Self {
        let output = timeout(SOON, command.output()).await.expect("no end in time").unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let events = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        Self { events, exit: output.status.code().expect("no signal") }
    }

    /// The events of a type.
    pub fn events(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| event["type"] == kind).collect()
    }
}

/// What was said: `kind:text`, pieces of one kind that follow each other joined; no kind, no part of it.
pub fn said<'a>(
    events: &'a [Value],
    part: impl Fn(&'a Value) -> Option<(&'a str, &'a Value)>,
) -> Vec<String> {
    let mut said: Vec<(&str, String)> = Vec::new();
    for (kind, text) in events.iter().filter_map(part) {
        let text = text.as_str().unwrap();
        match said.last_mut() {
            Some((last, joined)) if *last == kind && kind != "tool" => joined.push_str(text),
            _ => said.push((kind, text.to_owned())),
        }
    }
    said.into_iter().map(|(kind, text)| format!("{kind}:{text}")).collect()
}
