//! One turn: what the CLI does becomes events once each, commits and a report.

use sandboxed_domain::api::{Event, EventBody};
use sandboxed_domain::mission::{MissionStatus, Outcome, ReportedBy, TerminalReason};
use sandboxed_testkit::stub::{Script, Step, Usage};
use serde_json::json;

use crate::stage::{Stage, end_of, report, usages, word_of, worker_with};
use crate::support::git;

/// The events of the harness in short.
fn short(events: &[Event]) -> Vec<String> {
    let text = |event: &Event| match &event.body {
        EventBody::Thinking { content, .. } if !content.is_empty() => Some(format!("thinking {content}")),
        EventBody::TextDelta { content } => Some(format!("delta {content}")),
        EventBody::AssistantMessage { content, .. } => Some(format!("message {content}")),
        EventBody::ToolCall { name, .. } => Some(format!("call {name}")),
        EventBody::ToolResult { name, is_error, .. } => Some(format!("result {name} {is_error}")),
        EventBody::Error { code, message } => Some(format!("error {code} {message}")),
        EventBody::HarnessRaw { raw } => Some(format!("raw {raw}")),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

/// Deltas of one text joined: how a stream is cut is nobody's business.
fn joined(events: &[Event]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in short(events) {
        let kind = ["delta ", "thinking "].into_iter().find(|kind| line.starts_with(kind));
        match (kind, lines.last_mut()) {
            (Some(kind), Some(last)) if last.starts_with(kind) => last.push_str(&line[kind.len()..]),
            _ => lines.push(line),
        }
    }
    lines
}

#[tokio::test]
async fn a_turn_becomes_events_once_each_a_commit_and_a_report_by_the_tool() {
    let commit = "echo made > made.txt && git add made.txt && git -c user.name=W -c user.email=w@x commit -qm Made && echo committed";
    let look = Step {
        thinking: Some("Let me think.".into()),
        text: Some("I make the file.".into()),
        ..Step::bash(commit)
    };
    let stage = Stage::with([look, report("DONE", "made it"), Step::text("It is made.")]).await;
    let worktree = json!({"worktree": {"branch": "task/make"}, "verification_command": "test -f made.txt && test -z \"$ANTHROPIC_API_KEY\""});
    let record = stage.run(worker_with("make it [[s]]", worktree)).await;

    assert_eq!(end_of(&record), (MissionStatus::Completed, Some(TerminalReason::Done)), "{record:#?}");
    assert_eq!(word_of(&record), (Some(Outcome::Done), ReportedBy::Tool));
    assert_eq!(record.reported.summary, "made it");
    assert_eq!(record.last_message, "It is made.");
    assert_eq!(record.verification.as_ref().unwrap().exit_code, Some(0));
    let facts = record.git.as_ref().unwrap();
    assert_eq!((facts.commits_ahead, facts.dirty, facts.untracked, facts.files_changed), (1, 0, 0, 1));
    assert_eq!(git(&stage.daemon.repo(), &["log", "-1", "--format=%s", "task/make"]), "Made");

    let events = stage.daemon.events(record.worker_id).await;
    let wanted = [
        "thinking Let me think.",
        "delta I make the file.",
        "call Bash",
        "message I make the file.",
        "result Bash false",
        "call mcp__orchestrator__report_outcome",
        "result mcp__orchestrator__report_outcome false",
        "delta It is made.",
        "message It is made.",
    ];
    let mut seen = joined(&events);
    // A message is whole when it ends, after the call that it contains or before.
    let message = seen.iter().position(|line| line == wanted[3]).expect("the message");
    let line = seen.remove(message);
    assert!((2..=3).contains(&message), "{seen:#?}");
    seen.insert(3, line);
    assert_eq!(seen, wanted);
    assert!(stage.answers().iter().eq(["s/0", "s/1", "s/2"].iter()), "{:?}", stage.answers());
    stage.finish().await;
}

#[tokio::test]
async fn a_result_has_the_id_of_its_call_and_tokens_are_those_of_all_requests() {
    let usage = Usage { input: 11, output: 7, cache_read: 5, cache_write: 3, ..Usage::default() };
    let steps = [
        Step { usage, ..Step::bash("echo one; echo two >&2; exit 3") },
        Step { usage, ..Step::text("DONE") },
    ];
    let stage = Stage::with(steps).await;
    let record = stage.run(worker_with("go [[s]]", json!({"model": "claude-sonnet-4-5"}))).await;
    let events = stage.daemon.events(record.worker_id).await;
    let call = events.iter().find_map(|event| match &event.body {
        EventBody::ToolCall { tool_call_id, args, .. } => Some((tool_call_id.clone(), args.clone())),
        _ => None,
    });
    let result = events.iter().find_map(|event| match &event.body {
        EventBody::ToolResult { tool_call_id, result, is_error, .. } => {
            Some((tool_call_id.clone(), result.to_string(), *is_error))
        }
        _ => None,
    });
    let ((call, args), (answered, result, is_error)) = (call.unwrap(), result.unwrap());
    assert_eq!(call, answered);
    assert!(args["command"].as_str().unwrap().contains("exit 3"));
    assert!(is_error && result.contains("one") && result.contains("two"), "{result}");
    let sum = usages(&events);
    assert_eq!(sum.len(), 1);
    assert_eq!((sum[0].input_tokens, sum[0].output_tokens), (2 * (11 + 5 + 3), 14));
    assert_eq!((record.cost.input_tokens, record.cost.output_tokens), (38, 14));
    assert!(record.cost.usd.unwrap() > 0.0 && record.turns == 1, "{record:#?}");
    assert_eq!(stage.request("s/0").await.body["model"], "claude-sonnet-4-5");
    stage.finish().await;
}

#[tokio::test]
async fn usage_and_cost_are_each_turns_own_across_a_resume() {
    let script = Script::default()
        .scenario("one", [Step::bash("echo hi"), Step::text("DONE: first")])
        .scenario("two", [Step::bash("echo hi"), Step::text("DONE: second")]);
    let stage = Stage::new(script).await;
    let first = stage.run(worker_with("go [[one]]", json!({"model": "claude-sonnet-4-5"}))).await;
    let second = stage.resume(first.worker_id, "again [[two]]").await;
    let usages = usages(&stage.daemon.events(first.worker_id).await);
    assert_eq!(usages.len(), 2);
    assert_eq!((usages[0].input_tokens, usages[0].output_tokens), (200, 40));
    assert_eq!(usages[0], usages[1], "the same requests cost the same");
    let (one, both) = (usages[0].cost_usd.unwrap(), second.cost.usd.unwrap());
    assert!(one > 0.0 && (both - 2.0 * one).abs() < 1e-9, "{one} {both}");
    assert_eq!((second.cost.input_tokens, second.cost.output_tokens, second.turns), (400, 80, 2));
    assert_eq!(second.reported.summary, "second");
    stage.finish().await;
}
