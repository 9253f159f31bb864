//! A real client of our MCP servers, set up as its user would do it, with the stub model server in place of its model:
//! its tool calls are scripted, and what it was answered is read from what it shows the model.
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part of it")]

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use sandboxed_testkit::cli::Cli;
use sandboxed_testkit::stub::StubModel;
use serde_json::Value;
use tokio::process::Command;

/// Longest session.
const SESSION: Duration = Duration::from_secs(240);
/// The client's own key at the model server.
const KEY: &str = "sk-test-client";

/// Who calls the tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    Claude,
    Codex,
}

impl Client {
    /// One prompt and more arguments, with settings in `home` that take it to the stub. Neither servers nor a working
    /// directory are chosen yet.
    pub fn command(self, home: &Path, stub: &StubModel, arguments: &[&str], prompt: &str) -> Command {
        for part in ["tmp", ".claude", ".codex"] {
            std::fs::create_dir_all(home.join(part)).unwrap();
        }
        let mut command = match self {
            Self::Claude => claude(home, stub, arguments, prompt),
            Self::Codex => codex(home, stub, arguments, prompt),
        };
        command
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", home)
            .env("TMPDIR", home.join("tmp"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Its results of tools in the newest request of a scenario, in order, as its API holds them.
    pub fn results(self, stub: &StubModel, scenario: &str) -> Vec<Value> {
        let (of, requests) = (format!("{scenario}/"), stub.requests());
        let Some(request) = requests.iter().rfind(|request| request.answer.starts_with(&of)) else {
            return Vec::new();
        };
        let list = |name: &str| request.body[name].as_array().unwrap().clone();
        let (all, kind): (Vec<Value>, _) = match self {
            Self::Claude => {
                let contents = list("messages").into_iter().map(|message| message["content"].clone());
                let blocks = contents.filter_map(|content| content.as_array().cloned()).flatten();
                (blocks.collect(), "tool_result")
            }
            Self::Codex => (list("input"), "function_call_output"),
        };
        all.into_iter().filter(|item| item["type"] == kind).collect()
    }
}

/// Runs a session to its end.
pub async fn run(mut command: Command) -> Output {
    tokio::time::timeout(SESSION, command.output()).await.expect("the session ends").unwrap()
}

fn program(cli: Cli) -> Command {
    let mut command = Command::new(cli.path().unwrap_or_else(|missing| panic!("{missing}")));
    command.env_clear();
    command
}

fn claude(home: &Path, stub: &StubModel, arguments: &[&str], prompt: &str) -> Command {
    let mut command = program(Cli::Claude);
    command
        .args(["--print", "--output-format", "json", "--model", "claude-sonnet-4-5"])
        .args(arguments)
        .args(["--", prompt])
        .env("CLAUDE_CONFIG_DIR", home.join(".claude"))
        .env("ANTHROPIC_BASE_URL", stub.base_url())
        .env("ANTHROPIC_API_KEY", KEY)
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("CLAUDE_CODE_MAX_RETRIES", "1")
        .env("DISABLE_AUTOUPDATER", "1");
    command
}

/// The user's own settings: the stub in place of the provider, and nothing that calls home.
fn codex(home: &Path, stub: &StubModel, arguments: &[&str], prompt: &str) -> Command {
    let settings = format!(
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
    );
    std::fs::write(home.join(".codex/config.toml"), settings).unwrap();
    let mut command = program(Cli::Codex);
    command.args(["exec", "--json"]).args(arguments).arg(prompt).env("STUB_API_KEY", KEY);
    command
}
