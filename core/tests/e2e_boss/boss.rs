//! A real boss: started as its user would start it, its tool calls scripted, what it was answered in full.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use sandboxed_testkit::cli::Cli;
use sandboxed_testkit::stub::StubModel;
use serde_json::Value;
use tokio::process::Command;

use crate::support::Daemon;

/// Longest session.
const SESSION: Duration = Duration::from_secs(240);
/// The boss's own key at the model server.
const KEY: &str = "sk-test-boss";

/// Who is the boss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boss {
    Claude,
    Codex,
}

/// How a session ended.
pub struct Session {
    /// The last message.
    pub said: String,
    pub exit: Option<i32>,
    /// All that it printed.
    pub printed: String,
}

impl Boss {
    /// One session in the sample repository, with the settings that `connect` writes and nothing else that concerns us.
    pub async fn session(self, daemon: &Daemon, stub: &StubModel, prompt: &str) -> Session {
        let home = daemon.root().join("home");
        for part in ["tmp", ".claude", ".codex"] {
            std::fs::create_dir_all(home.join(part)).unwrap();
        }
        if self == Self::Codex {
            std::fs::write(home.join(".codex/config.toml"), codex_model(stub)).unwrap();
        }
        self.connect(daemon, &home).await;
        let mut command = match self {
            Self::Claude => claude(stub, &home, prompt),
            Self::Codex => codex(prompt),
        };
        let settings = daemon.settings();
        command
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", &home)
            .env("TMPDIR", home.join("tmp"))
            .env("SANDBOXED_SH_DATA_DIR", &settings.data_dir)
            .env("SANDBOXED_SH_PORT", settings.port.to_string())
            .current_dir(daemon.repo())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let ended = tokio::time::timeout(SESSION, command.output()).await.expect("the session ends").unwrap();
        self.read(&ended)
    }

    /// What a user would type, once.
    async fn connect(self, daemon: &Daemon, home: &Path) {
        let client = match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
        };
        let written = Command::new(&daemon.program)
            .args(["connect", client, "--write"])
            .env("HOME", home)
            .env_remove("CODEX_HOME")
            .current_dir(daemon.repo())
            .output();
        let written = written.await.unwrap();
        assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    }

    fn read(self, ended: &Output) -> Session {
        let (said, stderr) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        let lines: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let text = match self {
            Self::Claude => lines.iter().filter_map(|line| line["result"].as_str()).next_back(),
            Self::Codex => lines
                .iter()
                .filter(|line| line["item"]["type"] == "agent_message")
                .filter_map(|line| line["item"]["text"].as_str())
                .next_back(),
        };
        Session {
            said: text.unwrap_or_default().to_owned(),
            exit: ended.status.code(),
            printed: format!("{said}\n{stderr}"),
        }
    }

    /// What the tools answered to the model, in order, as the newest request of a scenario holds it.
    pub fn answers(self, stub: &StubModel, scenario: &str) -> Vec<Value> {
        let of = format!("{scenario}/");
        let requests = stub.requests();
        let request =
            requests.iter().rev().find(|request| request.answer.starts_with(&of)).expect("a request");
        match self {
            Self::Claude => {
                let messages = request.body["messages"].as_array().unwrap();
                let blocks = messages.iter().filter_map(|message| message["content"].as_array()).flatten();
                let results = blocks.filter(|block| block["type"] == "tool_result");
                results.map(|block| answer(&block["content"])).collect()
            }
            Self::Codex => {
                let items = request.body["input"].as_array().unwrap();
                let results = items.iter().filter(|item| item["type"] == "function_call_output");
                results.map(|item| answer(&item["output"])).collect()
            }
        }
    }
}

fn path(cli: Cli) -> PathBuf {
    cli.path().unwrap_or_else(|missing| panic!("{missing}"))
}

fn claude(stub: &StubModel, home: &Path, prompt: &str) -> Command {
    let mut command = Command::new(path(Cli::Claude));
    command
        .args(["--print", "--output-format", "json"])
        .args(["--allowedTools", "mcp__orchestrator", "--model", "claude-sonnet-4-5", "--", prompt])
        .env_clear()
        .env("CLAUDE_CONFIG_DIR", home.join(".claude"))
        .env("ANTHROPIC_BASE_URL", stub.base_url())
        .env("ANTHROPIC_API_KEY", KEY)
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("CLAUDE_CODE_MAX_RETRIES", "1")
        .env("DISABLE_AUTOUPDATER", "1");
    command
}

fn codex(prompt: &str) -> Command {
    let mut command = Command::new(path(Cli::Codex));
    command.args(["exec", "--json", prompt]).env_clear().env("STUB_API_KEY", KEY);
    command
}

/// The user's own settings: the stub in place of the provider, and nothing that calls home.
fn codex_model(stub: &StubModel) -> String {
    format!(
        r#"model = "gpt-5.5"
model_provider = "stub"
check_for_update_on_startup = false
[features]
plugins = false
apps = false
[analytics]
enabled = false
[model_providers.stub]
name = "stub"
base_url = "{}/v1"
env_key = "STUB_API_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
"#,
        stub.base_url()
    )
}

/// A result as JSON; the CLIs put remarks of their own around it.
fn answer(content: &Value) -> Value {
    let text = match content {
        Value::String(text) => text.clone(),
        blocks => blocks.as_array().unwrap().iter().filter_map(|block| block["text"].as_str()).collect(),
    };
    let start = text.find('{').unwrap_or_else(|| panic!("no answer: {text}"));
    serde_json::Deserializer::from_str(&text[start..]).into_iter().next().expect("an answer").unwrap()
}
