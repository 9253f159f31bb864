//! A real boss: started as its user would start it, its tool calls scripted, what it was answered in full.

use std::path::Path;
use std::process::Output;

use sandboxed_testkit::stub::StubModel;
use serde_json::Value;
use tokio::process::Command;

pub use crate::client::Client as Boss;
use crate::client::run;
use crate::support::Daemon;

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
        let arguments: &[&str] = match self {
            Self::Claude => &["--allowedTools", "mcp__orchestrator"],
            Self::Codex => &[],
        };
        let mut command = self.command(&home, stub, arguments, prompt);
        self.connect(daemon, &home).await;
        let settings = daemon.settings();
        command
            .env("SANDBOXED_SH_DATA_DIR", &settings.data_dir)
            .env("SANDBOXED_SH_PORT", settings.port.to_string())
            .current_dir(daemon.repo());
        self.read(&run(command).await)
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
        let held = match self {
            Self::Claude => "content",
            Self::Codex => "output",
        };
        self.results(stub, scenario).iter().map(|result| answer(&result[held])).collect()
    }
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
