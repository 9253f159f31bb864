//! Codex: the Responses API, over HTTP and over a WebSocket, with plain tools and with JavaScript that calls them.

use sandboxed_testkit::{
    cli::Cli,
    stub::{Limit, Step, StubModel},
};
use serde_json::Value;

use crate::{
    mcp::Mcp,
    run::{Home, Run, answers, mcp, mcp_calls, plain, said, stub, tool},
};

/// A model that the CLI knows, with the usual tools.
const PLAIN_TOOLS: &str = "gpt-5.5";

/// A model that gets one tool for JavaScript, which calls the others.
const CODE: &str = "gpt-6-sol";

fn home(stub: &StubModel, more: &str) -> Home {
    let home = Home::new();
    let config = format!(
        r#"
        model_provider = "stub"
        check_for_update_on_startup = false
        features = {{ plugins = false, apps = false }}
        analytics = {{ enabled = false }}
        {more}
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
    home.write("home/.codex/config.toml", &config);
    home
}

async fn run(home: &Home, model: &str, extra: &[&str]) -> Run {
    let mut command = home.command(Cli::Codex);
    command
        .args(["exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"])
        .args(["-m", model])
        .args(extra)
        .arg("go [[s]]")
        .env("CODEX_HOME", home.path("home/.codex"))
        .env("STUB_API_KEY", "sk-codex");
    Run::of(command).await
}

fn items(run: &Run) -> Vec<String> {
    said(&run.events, |event| {
        let item = &event["item"];
        match (event["type"].as_str()?, item["type"].as_str()?) {
            ("item.completed", "reasoning") => Some(("thinking", &item["text"])),
            ("item.completed", "agent_message") => Some(("text", &item["text"])),
            ("item.completed", "command_execution") => Some(("tool", &item["type"])),
            ("item.completed", "mcp_tool_call") => Some(("tool", &item["tool"])),
            _ => None,
        }
    })
}

fn usage(run: &Run) -> Vec<u64> {
    let usage = &run.events("turn.completed")[0]["usage"];
    let fields = ["input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens"];
    fields.map(|field| usage[field].as_u64().unwrap()).into()
}

#[tokio::test]
async fn a_plain_turn_says_the_text_reports_the_usage_and_asks_nothing_else() {
    let stub = stub(plain()).await;
    let home = home(&stub, "");
    let run = run(&home, PLAIN_TOOLS, &[]).await;
    assert_eq!((items(&run), run.exit), (vec!["text:Hello from the stub.".to_owned()], 0));
    assert_eq!(usage(&run), [44, 33, 22, 5]);
    assert_eq!(answers(&stub), ["s/0 200"]);
    assert_eq!(stub.requests()[0].key, "sk-codex");
}

#[tokio::test]
async fn a_turn_thinks_talks_runs_a_command_and_uses_its_result_with_both_kinds_of_tools() {
    for model in [PLAIN_TOOLS, CODE] {
        let stub = stub(tool()).await;
        let home = home(&stub, "");
        let run = run(&home, model, &[]).await;
        let expected = ["thinking:Let me see.", "text:Looking.", "tool:command_execution", "text:It is w7."];
        assert_eq!(items(&run), expected, "{model}");
        assert_eq!((home.written().as_str(), run.exit), ("hi\n", 0));
        assert_eq!(answers(&stub), ["s/0 200", "s/1 200"]);
    }
}

#[tokio::test]
async fn an_mcp_tool_is_called_and_its_result_feeds_the_next_call_with_both_kinds_of_tools() {
    for model in [PLAIN_TOOLS, CODE] {
        let (mcp_server, stub) = (Mcp::start().await, stub(mcp()).await);
        let home = home(&stub, &format!("mcp_servers.boss.url = \"{}\"", mcp_server.url()));
        let run = run(&home, model, &[]).await;
        assert_eq!(items(&run), ["tool:create_worker", "tool:create_worker", "text:Made w1 and w2."]);
        assert_eq!(mcp_server.calls(), mcp_calls(), "{model}");
    }
}

#[tokio::test]
async fn over_a_websocket_each_request_goes_on_from_the_one_before() {
    for model in [PLAIN_TOOLS, CODE] {
        let stub = stub(tool()).await;
        let home = home(&stub, "");
        let run = run(&home, model, &["-c", "model_providers.stub.supports_websockets=true"]).await;
        assert_eq!(items(&run).last().unwrap(), "text:It is w7.");
        assert_eq!(answers(&stub), ["websocket 101", "warmup 200", "s/0 200", "s/1 200"], "{model}");
        let requests = stub.requests();
        let last = &requests[3];
        assert_eq!((last.method.as_str(), last.body["input"].as_array().unwrap().len()), ("WS", 1));
        assert!(last.body["previous_response_id"].is_string());
    }
}

#[tokio::test]
async fn a_plan_that_is_used_up_ends_the_turn_at_once_and_says_until_when() {
    for sockets in ["false", "true"] {
        let stub = stub([Step::limit(Limit::Usage)]).await;
        let home = home(&stub, "");
        let setting = format!("model_providers.stub.supports_websockets={sockets}");
        let run = run(&home, PLAIN_TOOLS, &["-c", &setting]).await;
        assert_eq!(run.exit, 1);
        let message = failure(&run);
        assert!(message.contains("hit your usage limit") && message.contains("Mar 17th, 2030"), "{message}");
        let refused = answers(&stub).iter().filter(|answer| *answer == "s/0 429").count();
        assert_eq!(refused, 1);
    }
}

#[tokio::test]
async fn other_faults_end_the_turn_each_with_its_own_message() {
    let cut = Step { disconnect_after: Some(3), ..Step::text("never whole") };
    let table = [
        (Step::limit(Limit::Credit), "Quota exceeded"),
        (Step::limit(Limit::Rate), "429 Too Many Requests"),
        (Step::error(401), "401 Unauthorized"),
        (Step::error(503), "at capacity"),
        (cut, "stream disconnected"),
    ];
    for (step, expected) in table {
        let stub = stub([step]).await;
        let home = home(&stub, "");
        let run = run(&home, PLAIN_TOOLS, &[]).await;
        assert!((run.exit, failure(&run).contains(expected)) == (1, true), "{expected}: {}", failure(&run));
    }
}

fn failure(run: &Run) -> String {
    let failed: Vec<&Value> = run.events("turn.failed");
    failed[0]["error"]["message"].as_str().unwrap().to_owned()
}
