//! Grok Build: chat completions.

use sandboxed_testkit::{
    cli::Cli,
    stub::{Limit, Step, StubModel},
};

use crate::{
    mcp::Mcp,
    run::{Home, Run, answers, mcp, mcp_calls, plain, said, stub, tool},
};

async fn run(stub: &StubModel, home: &Home, mcp: Option<&Mcp>) -> Run {
    let url = stub.base_url();
    let servers = mcp.map(|mcp| format!("mcp_servers.boss.url = \"{}\"", mcp.url())).unwrap_or_default();
    let config = format!(
        r#"
        {servers}
        cli = {{ auto_update = false }}
        models = {{ default = "stub", session_summary = "stub", max_retries = 1 }}
        endpoints = {{ xai_api_base_url = "{url}/v1", cli_chat_proxy_base_url = "{url}" }}
        [features]
        telemetry = false
        feedback = false
        remote_fetch = false
        turn_summary = false
        title_refresh = false
        [model.stub]
        model = "stub-model"
        base_url = "{url}/v1"
        env_key = "STUB_API_KEY"
        api_backend = "chat_completions"
        "#
    );
    home.write("home/.grok/config.toml", &config);
    let mut command = home.command(Cli::Grok);
    command
        .args(["-p", "go [[s]]", "--output-format", "streaming-json", "--always-approve"])
        .env("GROK_HOME", home.path("home/.grok"))
        .env("STUB_API_KEY", "sk-grok")
        .env("XAI_API_KEY", "sk-unused");
    Run::of(command).await
}

fn blocks(run: &Run) -> Vec<String> {
    said(&run.events, |event| match event["type"].as_str()? {
        "thought" => Some(("thinking", &event["data"])),
        "text" => Some(("text", &event["data"])),
        "tool_call" => Some(("tool", &event["toolName"])),
        _ => None,
    })
}

/// The CLI knocks at the door once and asks for a title besides.
fn turns(stub: &StubModel) -> Vec<String> {
    let strays: Vec<String> = stub.stray_requests().iter().map(|stray| stray.path.clone()).collect();
    assert_eq!(strays, ["/"]);
    let beside = ["not found 404", "side 200"];
    answers(stub).into_iter().filter(|answer| !beside.contains(&answer.as_str())).collect()
}

#[tokio::test]
async fn a_plain_turn_says_the_text_reports_the_usage_and_asks_nothing_else() {
    let (stub, home) = (stub(plain()).await, Home::new());
    let run = run(&stub, &home, None).await;
    assert_eq!((blocks(&run), run.exit), (vec!["text:Hello from the stub.".to_owned()], 0));
    let usage = &run.events("end")[0]["usage"];
    let fields = ["input_tokens", "cache_read_input_tokens", "output_tokens", "reasoning_tokens"];
    assert_eq!(fields.map(|field| usage[field].as_u64().unwrap()), [11, 33, 22, 5]);
    assert_eq!(turns(&stub), ["s/0 200"]);
    assert!(stub.requests().iter().any(|request| request.key == "sk-grok"));
}

#[tokio::test]
async fn a_turn_thinks_talks_runs_a_command_and_uses_its_result() {
    let (stub, home) = (stub(tool()).await, Home::new());
    let run = run(&stub, &home, None).await;
    let expected = ["thinking:Let me see.", "text:Looking.", "tool:run_terminal_command", "text:It is w7."];
    assert_eq!(blocks(&run), expected);
    assert_eq!((home.written().as_str(), run.exit), ("hi\n", 0));
    assert_eq!(turns(&stub), ["s/0 200", "s/1 200"]);
}

#[tokio::test]
async fn an_mcp_tool_is_called_and_its_result_feeds_the_next_call() {
    let (stub, home, mcp_server) = (stub(mcp()).await, Home::new(), Mcp::start().await);
    let run = run(&stub, &home, Some(&mcp_server)).await;
    assert_eq!(blocks(&run), ["tool:use_tool", "tool:use_tool", "text:Made w1 and w2."]);
    assert_eq!(mcp_server.calls(), mcp_calls());
}

#[tokio::test]
async fn a_question_is_asked_by_the_tool_for_it() {
    let (stub, home) = (stub([Step::ask("Which?", ["A", "B"]), Step::text("Then A.")]).await, Home::new());
    let run = run(&stub, &home, None).await;
    assert_eq!(blocks(&run), ["tool:ask_user_question", "text:Then A."]);
}

#[tokio::test]
async fn errors_end_the_turn_with_their_message() {
    let table = [(Step::error(401), "401"), (Step::limit(Limit::Credit), "insufficient_quota")];
    for (step, expected) in table {
        let (stub, home) = (stub([step]).await, Home::new());
        let run = run(&stub, &home, None).await;
        let message = run.events("error")[0]["message"].as_str().unwrap();
        assert!((run.exit, message.contains(expected)) == (1, true), "{message}");
    }
}
