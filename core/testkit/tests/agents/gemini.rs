//! Gemini CLI: the Gemini API. Its one-shot output holds no thoughts.

use sandboxed_testkit::{
    cli::Cli,
    stub::{Limit, Step, StubModel},
};
use serde_json::json;

use crate::{
    mcp::Mcp,
    run::{Home, Run, answers, mcp, mcp_calls, plain, said, stub, tool},
};

async fn run(stub: &StubModel, home: &Home, mcp: Option<&Mcp>) -> Run {
    let mut settings = json!({
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": false},
        "general": {"enableAutoUpdate": false, "maxAttempts": 2},
    });
    if let Some(mcp) = mcp {
        settings["mcpServers"] = json!({"boss": {"httpUrl": mcp.url()}});
    }
    home.write("home/.gemini/settings.json", &settings.to_string());
    let mut command = home.command(Cli::Node);
    command
        .arg(Cli::Gemini.path().unwrap_or_else(|missing| panic!("{missing}")))
        .args(["--output-format", "stream-json", "-m", "gemini-2.5-pro", "--approval-mode", "yolo"])
        .args(["-p", "go [[s]]"])
        .env("GEMINI_API_KEY", "sk-gemini")
        .env("GOOGLE_GEMINI_BASE_URL", stub.base_url())
        .env("GEMINI_CLI_TRUST_WORKSPACE", "true")
        // Otherwise it starts itself a second time.
        .env("GEMINI_CLI_NO_RELAUNCH", "true");
    Run::of(command).await
}

fn blocks(run: &Run) -> Vec<String> {
    said(&run.events, |event| match (event["type"].as_str()?, event["role"].as_str()) {
        ("message", Some("assistant")) => Some(("text", &event["content"])),
        ("tool_use", _) => Some(("tool", &event["tool_name"])),
        _ => None,
    })
}

#[tokio::test]
async fn a_plain_turn_says_the_text_reports_the_usage_and_asks_nothing_else() {
    let (stub, home) = (stub(plain()).await, Home::new());
    let run = run(&stub, &home, None).await;
    assert_eq!((blocks(&run), run.exit), (vec!["text:Hello from the stub.".to_owned()], 0));
    let stats = &run.events("result")[0]["stats"];
    let fields = ["input_tokens", "cached", "output_tokens", "total_tokens"];
    assert_eq!(fields.map(|field| stats[field].as_u64().unwrap()), [44, 33, 17, 66]);
    assert_eq!(answers(&stub), ["s/0 200"]);
    assert_eq!(stub.requests()[0].key, "sk-gemini");
}

#[tokio::test]
async fn a_turn_thinks_talks_runs_a_command_and_uses_its_result() {
    let (stub, home) = (stub(tool()).await, Home::new());
    let run = run(&stub, &home, None).await;
    assert_eq!(blocks(&run), ["text:Looking.", "tool:run_shell_command", "text:It is w7."]);
    assert_eq!((home.written().as_str(), run.exit), ("hi\n", 0));
    assert_eq!(answers(&stub), ["s/0 200", "s/1 200"]);
}

#[tokio::test]
async fn an_mcp_tool_is_called_and_its_result_feeds_the_next_call() {
    let (stub, home, mcp_server) = (stub(mcp()).await, Home::new(), Mcp::start().await);
    let run = run(&stub, &home, Some(&mcp_server)).await;
    let call = "tool:mcp_boss_create_worker";
    assert_eq!(blocks(&run), [call, call, "text:Made w1 and w2."]);
    assert_eq!(mcp_server.calls(), mcp_calls());
}

#[tokio::test]
async fn a_quota_of_the_day_ends_the_turn_at_once_and_other_errors_have_their_own_exit() {
    let cut = Step { disconnect_after: Some(1), ..Step::text("a text that never comes whole") };
    let table = [
        (Step::limit(Limit::Usage), 429 % 256, "daily quota", 1),
        (Step::error(401), 401 % 256, "UNAUTHENTICATED", 1),
        (cut, 1, "terminated", 1),
    ];
    for (step, exit, expected, requests) in table {
        let (stub, home) = (stub([step]).await, Home::new());
        let run = run(&stub, &home, None).await;
        let result = &run.events("result")[0];
        let message = result["error"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
        assert_eq!((run.exit, stub.requests().len()), (exit, requests), "{expected}");
    }
}

#[tokio::test]
async fn a_quota_of_the_minute_is_tried_again_after_its_delay() {
    let mut step = Step { times: Some(1), text: Some("Recovered.".into()), ..Step::limit(Limit::Rate) };
    step.error.as_mut().unwrap().retry_after = Some(1);
    let (stub, home) = (stub([step]).await, Home::new());
    let run = run(&stub, &home, None).await;
    assert_eq!((blocks(&run), run.exit), (vec!["text:Recovered.".to_owned()], 0));
    assert_eq!(answers(&stub), ["s/0 429", "s/0 200"]);
}
