//! Claude Code: the Anthropic Messages API.

use sandboxed_testkit::stub::{Outcome, Script, Step, StubModel, ToolCall, Usage};
use serde_json::json;

use crate::{
    claude_agent::{Agent, Input, blocks, one_shot, result},
    mcp::Mcp,
    run::{SOON, answers, stub},
};

#[tokio::test]
async fn a_plain_turn_says_the_text_reports_the_usage_and_asks_nothing_else() {
    let usage = Usage { input: 11, output: 22, cache_read: 33, cache_write: 44, reasoning: 0 };
    let stub = stub([Step { usage, ..Step::text("Hello from the stub.") }]).await;
    let (events, exit) = one_shot(&stub, "hi [[s]]").await;
    assert_eq!((result(&events)["result"].as_str(), exit), (Some("Hello from the stub."), 0));
    let counted = &result(&events)["usage"];
    let fields = ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];
    assert_eq!(fields.map(|field| counted[field].as_u64().unwrap()), [11, 22, 33, 44]);
    assert_eq!(answers(&stub), ["s/0 200"]);
    assert_eq!(stub.requests()[0].key, "sk-test");
}

#[tokio::test]
async fn a_turn_thinks_talks_runs_bash_and_uses_its_result() {
    let step = Step { thinking: Some("Let me see.".into()), ..Step::text("Looking.") };
    let command = r#"echo hi > hi.txt; echo '{"worker_id": "w7"}'"#;
    let stub =
        stub([Step { bash: Some(command.into()), ..step }, Step::text("It is {{find:worker_id}}.")]).await;
    let mut agent = Agent::start(&stub, "sk-test", Input::Prompt("go [[s]]"), &[]);
    let events = agent.turn().await;
    assert_eq!(blocks(&events), ["thinking:Let me see.", "text:Looking.", "tool_use:Bash", "text:It is w7."]);
    assert_eq!(agent.end().await, 0);
    assert_eq!(std::fs::read_to_string(agent.dir.path().join("work/hi.txt")).unwrap(), "hi\n");
    assert_eq!(answers(&stub), ["s/0 200", "s/1 200"]);
}

#[tokio::test]
async fn several_tools_of_one_step_all_run_before_the_next_step() {
    let tools = ["a", "b"].map(|name| ToolCall::Bash { bash: format!("touch {name}") });
    let stub = stub([Step { tools: tools.into(), ..Step::default() }, Step::text("Both.")]).await;
    let mut agent = Agent::start(&stub, "sk-test", Input::Prompt("go [[s]]"), &[]);
    assert_eq!(blocks(&agent.turn().await), ["tool_use:Bash", "tool_use:Bash", "text:Both."]);
    agent.end().await;
    assert!(["a", "b"].iter().all(|name| agent.dir.path().join("work").join(name).exists()));
    assert_eq!(answers(&stub), ["s/0 200", "s/1 200"]);
}

#[tokio::test]
async fn messages_on_stdin_go_through_the_steps_turn_by_turn() {
    let script = Script::default()
        .scenario("s", [Step::text("first"), Step::text("second")])
        .scenario("other", [Step::text("third")]);
    let stub = StubModel::start(script).await.unwrap();
    let mut agent = Agent::start(&stub, "sk-test", Input::Stream, &[]);
    for (said, answer) in [("go [[s]]", "first"), ("go on", "second"), ("now [[other]]", "third")] {
        agent.say(said).await;
        assert_eq!(result(&agent.turn().await)["result"], answer);
    }
    assert_eq!(agent.end().await, 0);
}

#[tokio::test]
async fn a_rate_limit_that_passes_is_retried_and_the_turn_succeeds() {
    let mut step = Step { times: Some(1), text: Some("Recovered.".into()), ..Step::error(429) };
    step.error.as_mut().unwrap().retry_after = Some(1);
    let stub = stub([step]).await;
    let (events, exit) = one_shot(&stub, "hi [[s]]").await;
    let retry = events.iter().find(|event| event["subtype"] == "api_retry").unwrap();
    assert_eq!(retry["error_status"], 429);
    assert_eq!((result(&events)["result"].as_str(), exit), (Some("Recovered."), 0));
    assert_eq!(answers(&stub), ["s/0 429", "s/0 200"]);
}

#[tokio::test]
async fn a_refused_key_ends_the_turn_with_401() {
    let stub = stub([Step::error(401)]).await;
    let (events, exit) = one_shot(&stub, "hi [[s]]").await;
    assert_eq!((result(&events)["api_error_status"].as_u64(), exit), (Some(401), 1));
    assert_eq!(result(&events)["is_error"], true);
}

#[tokio::test]
async fn a_stream_that_is_always_cut_fails_the_turn_in_both_forms() {
    let stub = stub([Step { disconnect_after: Some(3), ..Step::text("never whole") }]).await;
    let (events, exit) = one_shot(&stub, "hi [[s]]").await;
    assert_eq!((result(&events)["is_error"].as_bool(), exit), (Some(true), 1));
    let requests = stub.wait_for_requests(2, |request| request.outcome == Outcome::Cut, SOON).await.unwrap();
    let streamed: Vec<bool> = requests.iter().map(|request| request.body["stream"] == true).collect();
    assert!(streamed.contains(&true) && streamed.contains(&false), "{streamed:?}");
}

#[tokio::test]
async fn a_stream_cut_once_recovers() {
    let stub = stub([Step { disconnect_after: Some(3), times: Some(1), ..Step::text("whole now") }]).await;
    let (events, exit) = one_shot(&stub, "hi [[s]]").await;
    assert_eq!((result(&events)["result"].as_str(), exit), (Some("whole now"), 0));
}

#[tokio::test]
async fn an_interrupt_leaves_a_hanging_answer_and_the_process_stays_usable() {
    let script = Script::default()
        .scenario("hang", [Step { hang: true, ..Step::text("I am going to stop here") }])
        .scenario("next", [Step::text("Still here.")]);
    let stub = StubModel::start(script).await.unwrap();
    let mut agent = Agent::start(&stub, "sk-test", Input::Stream, &[]);
    agent.say("go [[hang]]").await;
    agent.until(|event| event["event"]["delta"]["type"] == "text_delta").await;
    let interrupt = json!({"subtype": "interrupt"});
    agent.send(json!({"type": "control_request", "request_id": "r1", "request": interrupt})).await;
    let events = agent.turn().await;
    assert_eq!(result(&events)["terminal_reason"], "aborted_streaming");
    stub.wait_for_request(|request| request.outcome == Outcome::ClientLeft, SOON).await.unwrap();
    agent.say("and now [[next]]").await;
    assert_eq!(result(&agent.turn().await)["result"], "Still here.");
    assert_eq!(agent.end().await, 0);
}

#[tokio::test]
async fn an_mcp_tool_that_the_cli_defers_is_called_and_its_result_feeds_the_next_call() {
    let mcp = Mcp::start().await;
    let stub = stub([
        Step::mcp("boss", "create_worker", json!({"name": "one"})),
        Step::mcp("boss", "create_worker", json!({"after": "{{last:/workers/0/worker_id}}"})),
        Step::text("Made {{find:worker_id}} and {{find:worker_id:1}}."),
    ])
    .await;
    let config = json!({"mcpServers": {"boss": {"type": "http", "url": mcp.url()}}}).to_string();
    let extra = ["--strict-mcp-config", "--mcp-config", &config];
    let mut agent = Agent::start(&stub, "sk-test", Input::Prompt("go [[s]]"), &extra);
    assert_eq!(result(&agent.turn().await)["result"], "Made w1 and w2.");
    agent.end().await;
    assert_eq!(mcp.calls(), [json!({"name": "one"}), json!({"after": "w1"})]);
    let offered = stub.requests()[0].body["tools"].to_string();
    assert!(!offered.contains("mcp__boss__create_worker"), "the CLI no longer defers MCP tools");
}
