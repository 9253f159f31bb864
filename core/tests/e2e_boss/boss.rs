//! Claude Code as a boss: started as a user would start it, its tool calls scripted, what it was answered in full.

use std::process::Stdio;
use std::time::Duration;

use sandboxed_testkit::cli::Cli;
use sandboxed_testkit::stub::StubModel;
use serde_json::Value;
use tokio::process::Command;

use crate::support::Daemon;

/// Longest session.
const SESSION: Duration = Duration::from_secs(120);

/// What a session printed at its end.
pub struct Session {
    pub said: Value,
    pub exit: Option<i32>,
    pub stderr: String,
}

/// One session of the boss in the sample repository, with the settings that `connect claude` writes and nothing else.
pub async fn session(daemon: &Daemon, stub: &StubModel, prompt: &str) -> Session {
    let claude = Cli::Claude.path().unwrap_or_else(|missing| panic!("{missing}"));
    let home = daemon.root().join("home");
    for part in ["tmp", ".claude"] {
        std::fs::create_dir_all(home.join(part)).unwrap();
    }
    let settings = daemon.settings();
    let mut command = Command::new(claude);
    command
        .args([
            "--print",
            "--output-format",
            "json",
            "--strict-mcp-config",
            "--mcp-config",
            &mcp_config(daemon).await,
        ])
        .args(["--allowedTools", "mcp__orchestrator", "--model", "claude-sonnet-4-5", "--", prompt])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", &home)
        .env("CLAUDE_CONFIG_DIR", home.join(".claude"))
        .env("TMPDIR", home.join("tmp"))
        .env("ANTHROPIC_BASE_URL", stub.base_url())
        .env("ANTHROPIC_API_KEY", "sk-test-boss")
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("CLAUDE_CODE_MAX_RETRIES", "1")
        .env("DISABLE_AUTOUPDATER", "1")
        .env("SANDBOXED_SH_DATA_DIR", &settings.data_dir)
        .env("SANDBOXED_SH_PORT", settings.port.to_string())
        .current_dir(daemon.repo())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(SESSION, command.output()).await.expect("the session ends").unwrap();
    let (said, stderr) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    Session {
        said: serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}{stderr}")),
        exit: ended.status.code(),
        stderr: stderr.into_owned(),
    }
}

/// What `connect claude` prints.
async fn mcp_config(daemon: &Daemon) -> String {
    let printed =
        Command::new(&daemon.program).args(["connect", "claude"]).current_dir(daemon.repo()).output();
    let printed = printed.await.unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    String::from_utf8(printed.stdout).unwrap()
}

/// What the tools answered to the model, in order, as the newest request of a scenario holds it.
pub fn answers(stub: &StubModel, scenario: &str) -> Vec<Value> {
    let of = format!("{scenario}/");
    let requests = stub.requests();
    let request = requests.iter().rev().find(|request| request.answer.starts_with(&of)).expect("a request");
    let messages = request.body["messages"].as_array().unwrap();
    let blocks = messages.iter().filter_map(|message| message["content"].as_array()).flatten();
    blocks.filter(|block| block["type"] == "tool_result").map(answer).collect()
}

/// A result as JSON; Claude Code adds remarks of its own behind it.
fn answer(block: &Value) -> Value {
    let text = match &block["content"] {
        Value::String(text) => text.clone(),
        blocks => blocks.as_array().unwrap().iter().filter_map(|block| block["text"].as_str()).collect(),
    };
    serde_json::Deserializer::from_str(&text).into_iter().next().expect("an answer").unwrap()
}
