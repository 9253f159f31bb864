//! A real client with one server of ours, set up as a user would do it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sandboxed_testkit::cli::Cli;
use sandboxed_testkit::stub::{Script, Step, StubModel};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// Longest session.
const SESSION: Duration = Duration::from_secs(240);
const KEY: &str = "sk-test-tools";

/// Who calls the tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    Claude,
    Codex,
}

/// A session that has ended.
pub struct Session {
    dir: TempDir,
    stub: StubModel,
    client: Client,
}

/// One of our programs, as it goes into sandboxes.
pub fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_sandboxed-sh")).with_file_name("inside").join(name)
}

impl Client {
    /// Runs `steps` in a working directory that `prepare` filled, with `program` as the server `name`.
    pub async fn session(
        self,
        name: &str,
        program: &Path,
        prepare: impl FnOnce(&Path),
        steps: impl IntoIterator<Item = Step>,
    ) -> Session {
        let dir = TempDir::new().unwrap();
        for part in ["tmp", "work", ".claude", ".codex"] {
            std::fs::create_dir(dir.path().join(part)).unwrap();
        }
        prepare(&dir.path().join("work"));
        let stub = StubModel::start(Script::default().scenario("s", steps)).await.unwrap();
        let mut command = match self {
            Self::Claude => claude(&stub, dir.path(), name, program),
            Self::Codex => codex(&stub, dir.path(), name, program),
        };
        command
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", dir.path())
            .env("TMPDIR", dir.path().join("tmp"))
            .current_dir(dir.path().join("work"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let ended = tokio::time::timeout(SESSION, command.output()).await.expect("the session ends").unwrap();
        let printed = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
        let session = Session { dir, stub, client: self };
        assert!(ended.status.success(), "{self:?}: {printed}\n{:#?}", session.results());
        session
    }
}

impl Session {
    /// A path of the working directory.
    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join("work").join(below)
    }

    /// Content of a file there.
    pub fn file(&self, below: &str) -> String {
        std::fs::read_to_string(self.path(below)).unwrap()
    }

    /// What the tools answered as the model was shown it, in order.
    pub fn results(&self) -> Vec<Value> {
        let requests = self.stub.requests();
        let Some(request) = requests.iter().rev().find(|request| request.answer.starts_with("s/")) else {
            return Vec::new();
        };
        match self.client {
            Client::Claude => {
                let messages = request.body["messages"].as_array().unwrap();
                let blocks = messages.iter().filter_map(|message| message["content"].as_array()).flatten();
                blocks.filter(|block| block["type"] == "tool_result").cloned().collect()
            }
            Client::Codex => {
                let items = request.body["input"].as_array().unwrap();
                items.iter().filter(|item| item["type"] == "function_call_output").cloned().collect()
            }
        }
    }

    /// The same as text, with line ends as they are.
    pub fn texts(&self) -> Vec<String> {
        self.results()
            .iter()
            .map(|result| result.to_string().replace("\\n", "\n").replace("\\\"", "\""))
            .collect()
    }
}

fn path(cli: Cli) -> PathBuf {
    cli.path().unwrap_or_else(|missing| panic!("{missing}"))
}

fn claude(stub: &StubModel, home: &Path, name: &str, program: &Path) -> Command {
    let settings = home.join("mcp.json");
    let servers = json!({"mcpServers": {name: {"type": "stdio", "command": program, "args": []}}});
    std::fs::write(&settings, servers.to_string()).unwrap();
    let mut command = Command::new(path(Cli::Claude));
    command
        .args(["--print", "--output-format", "json", "--strict-mcp-config", "--mcp-config"])
        .arg(settings)
        .args(["--allowedTools", &format!("mcp__{name}"), "--model", "claude-sonnet-4-5"])
        .args(["--", "[[s]] use the tools"])
        .env_clear()
        .env("CLAUDE_CONFIG_DIR", home.join(".claude"))
        .env("ANTHROPIC_BASE_URL", stub.base_url())
        .env("ANTHROPIC_API_KEY", KEY)
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("CLAUDE_CODE_MAX_RETRIES", "1")
        .env("DISABLE_AUTOUPDATER", "1");
    command
}

fn codex(stub: &StubModel, home: &Path, name: &str, program: &Path) -> Command {
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
[mcp_servers.{name}]
command = "{}"
default_tools_approval_mode = "approve"
"#,
        stub.base_url(),
        program.display()
    );
    std::fs::write(home.join(".codex/config.toml"), settings).unwrap();
    let mut command = Command::new(path(Cli::Codex));
    command
        .args(["exec", "--json", "--skip-git-repo-check", "[[s]] use the tools"])
        .env_clear()
        .env("STUB_API_KEY", KEY);
    command
}
