//! OpenCode: chat completions.

use sandboxed_testkit::{
    cli::Cli,
    stub::{Step, StubModel},
};
use serde_json::json;

use crate::{
    mcp::Mcp,
    run::{Home, Run, answers, mcp, mcp_calls, plain, said, stub, tool},
};

async fn run(stub: &StubModel, home: &Home, mcp: Option<&Mcp>) -> Run {
    let mut config = json!({
        "model": "stub/m", "small_model": "stub/m", "autoupdate": false, "share": "disabled",
        "enabled_providers": ["stub"],
        "provider": {"stub": {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": format!("{}/v1", stub.base_url()), "apiKey": "{env:STUB_API_KEY}"},
            "models": {"m": {
                "reasoning": true, "tool_call": true, "limit": {"context": 200_000, "output": 8192},
            }},
        }},
    });
    if let Some(mcp) = mcp {
        config["mcp"] = json!({"boss": {"type": "remote", "url": mcp.url()}});
    }
    let mut command = home.command(Cli::OpenCode);
    // With a title given, it does not ask for one.
    command
        .args(["run", "--format", "json", "--thinking", "--title", "t", "go [[s]]"])
        .env("OPENCODE_CONFIG_CONTENT", config.to_string())
        .env("STUB_API_KEY", "sk-opencode")
        .env("OPENCODE_DISABLE_MODELS_FETCH", "1")
        .env("OPENCODE_DISABLE_AUTOUPDATE", "1")
        .env("OPENCODE_DISABLE_LSP_DOWNLOAD", "1")
        .env("OPENCODE_DISABLE_DEFAULT_PLUGINS", "1");
    Run::of(command).await
}

fn blocks(run: &Run) -> Vec<String> {
    said(&run.events, |event| {
        let part = &event["part"];
        match event["type"].as_str()? {
            "reasoning" => Some(("thinking", &part["text"])),
            "text" => Some(("text", &part["text"])),
            "tool_use" => Some(("tool", &part["tool"])),
            _ => None,
        }
    })
}

#[tokio::test]
async fn a_plain_turn_says_the_text_reports_the_usage_and_asks_nothing_else() {
    let (stub, home) = (stub(plain()).await, Home::new());
    let run = run(&stub, &home, None).await;
    assert_eq!((blocks(&run), run.exit), (vec!["text:Hello from the stub.".to_owned()], 0));
    let tokens = &run.events("step_finish")[0]["part"]["tokens"];
    let counts = [&tokens["input"], &tokens["cache"]["read"], &tokens["output"], &tokens["reasoning"]];
    assert_eq!(counts.map(|count| count.as_u64().unwrap()), [11, 33, 17, 5]);
    assert_eq!(answers(&stub), ["s/0 200"]);
    assert_eq!(stub.requests()[0].key, "sk-opencode");
}

#[tokio::test]
async fn a_turn_thinks_talks_runs_a_command_and_uses_its_result() {
    let (stub, home) = (stub(tool()).await, Home::new());
    let run = run(&stub, &home, None).await;
    assert_eq!(blocks(&run), ["thinking:Let me see.", "text:Looking.", "tool:bash", "text:It is w7."]);
    assert_eq!((home.written().as_str(), run.exit), ("hi\n", 0));
    assert_eq!(answers(&stub), ["s/0 200", "s/1 200"]);
}

#[tokio::test]
async fn an_mcp_tool_is_called_and_its_result_feeds_the_next_call() {
    let (stub, home, mcp_server) = (stub(mcp()).await, Home::new(), Mcp::start().await);
    let run = run(&stub, &home, Some(&mcp_server)).await;
    let call = "tool:boss_create_worker";
    assert_eq!(blocks(&run), [call, call, "text:Made w1 and w2."]);
    assert_eq!(mcp_server.calls(), mcp_calls());
}

#[tokio::test]
async fn a_refused_key_ends_the_turn_with_401() {
    let (stub, home) = (stub([Step::error(401)]).await, Home::new());
    let run = run(&stub, &home, None).await;
    assert_eq!((&run.events("error")[0]["error"]["data"]["statusCode"], run.exit), (&json!(401), 1));
    assert_eq!(answers(&stub), ["s/0 401"]);
}
