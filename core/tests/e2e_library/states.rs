//! How an agent's MCP servers are: in events, in the mission's view, in a worker's record and at the shell.

use std::process::Command;

use sandboxed_domain::api::{EventBody, McpState};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::json;

use crate::agents::{CLAUDECODE, CODEX, GEMINI, GROK, OPENCODE, Stage, Subject, end_of, report};
use crate::mcp::PROGRAM;
use crate::shelf::write;

/// One worker with a server that works and one whose program is not there, which is told or not.
async fn states_are_told(subject: &'static Subject, absent: McpState) {
    let script = Script::default()
        .scenario("s", [Step::mcp("looker", "look", json!({})), report("DONE", "ok"), Step::text("Done.")]);
    let stage = Stage::new(&[subject], script).await;
    let client = stage.daemon.client();
    write(&client, "tools/look-mcp", PROGRAM).await;
    write(&client, "mcps/looker.toml", "command = \"look-mcp\"\n").await;
    write(&client, "mcps/absent.toml", "command = \"absent-mcp\"\n").await;
    let id = stage.worker(subject.worker_with("go [[s]]", json!({"mcps": ["looker", "absent"]}))).await;
    let told = |wanted: &'static str, how: McpState| {
        move |body: &EventBody| match body {
            EventBody::McpServer { name, state, .. } => name == wanted && *state == how,
            _ => false,
        }
    };
    for name in ["orchestrator", "looker"] {
        stage.event(id, told(name, McpState::Ready)).await;
    }
    if absent != McpState::Configured {
        stage.event(id, told("absent", absent)).await;
    }
    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    let view = client.mission(id).await.unwrap();
    let states: Vec<_> = view.mcp_servers.iter().map(|server| (server.name.as_str(), server.state)).collect();
    let want = [("absent", absent), ("looker", McpState::Ready), ("orchestrator", McpState::Ready)];
    assert_eq!(states, want);
    let why = view.mcp_servers[0].detail.as_deref().unwrap_or_default();
    assert_eq!(why.is_empty(), absent != McpState::Failed, "{view:?}");
    assert_eq!(record.mcp_servers, view.mcp_servers);
    let events = stage.daemon.events(id).await;
    let news = events.iter().filter(|event| told("looker", McpState::Ready)(&event.body)).count();
    assert_eq!(news, 1, "only what is news is an event: {events:#?}");
    stage.finish().await;
}

#[tokio::test]
async fn claude_code_tells_how_its_servers_are() {
    states_are_told(&CLAUDECODE, McpState::Failed).await;
}

#[tokio::test]
async fn codex_tells_how_its_servers_are() {
    states_are_told(&CODEX, McpState::Failed).await;
}

#[tokio::test]
async fn opencode_tells_how_its_servers_are() {
    states_are_told(&OPENCODE, McpState::Failed).await;
}

/// It has no word on a program that is not there.
#[tokio::test]
async fn grok_tells_how_its_servers_are() {
    states_are_told(&GROK, McpState::Configured).await;
}

/// Its protocol has no word on servers: which ones it was given is all that is known, and is shown at the shell too.
#[tokio::test]
async fn gemini_tells_nothing_and_nothing_is_made_up() {
    let stage = Stage::with(&GEMINI, [report("DONE", "ok"), Step::text("Done.")]).await;
    let client = stage.daemon.client();
    write(&client, "mcps/absent.toml", "command = \"absent-mcp\"\n").await;
    let id = stage.worker(GEMINI.worker_with("go [[s]]", json!({"mcps": ["absent"]}))).await;
    let record = stage.end(id).await;
    let states: Vec<_> =
        record.mcp_servers.iter().map(|server| (server.name.as_str(), server.state)).collect();
    assert_eq!(states, [("absent", McpState::Configured), ("orchestrator", McpState::Configured)]);
    let shown = Command::new(env!("CARGO_BIN_EXE_sandboxed-sh"))
        .args(["mission", "show", &id.to_string()])
        .env("SANDBOXED_SH_DATA_DIR", stage.daemon.data())
        .env("SANDBOXED_SH_PORT", stage.daemon.settings().port.to_string())
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("absent configured") && shown.contains("orchestrator configured"), "{shown}");
    stage.finish().await;
}
