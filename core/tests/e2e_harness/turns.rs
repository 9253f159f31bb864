//! One turn: what the CLI does becomes events once each, a commit and a report; and what two turns cost.

use sandboxed_domain::api::{Event, EventBody};
use sandboxed_domain::mission::{MissionStatus, Outcome, ReportedBy, TerminalReason};
use sandboxed_testkit::stub::{Script, Step, Usage};
use serde_json::{Value, json};

use crate::agents::{BOSS, Behaviour, Case, Stage, end_of, report, usages, word_of};
use crate::support::git;

/// The events of the harness in short, whole messages apart; pieces of one text joined, for how a stream is cut is
/// nobody's business.
fn short(events: &[Event]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for event in events {
        let (kind, text) = match &event.body {
            EventBody::Thinking { content, .. } if !content.is_empty() => ("thinking ", content.clone()),
            EventBody::TextDelta { content } => ("text ", content.clone()),
            EventBody::ToolCall { name, .. } => ("call ", name.clone()),
            EventBody::ToolResult { name, is_error, .. } => ("result ", format!("{name} {is_error}")),
            EventBody::Error { code, message } => ("error ", format!("{code} {message}")),
            EventBody::HarnessRaw { raw } => ("raw ", raw.to_string()),
            _ => continue,
        };
        match lines.last_mut() {
            Some(last) if matches!(kind, "thinking " | "text ") && last.starts_with(kind) => {
                last.push_str(&text);
            }
            _ => lines.push(format!("{kind}{text}")),
        }
    }
    lines
}

/// Whole messages, each with the text that had come in pieces since the one before.
fn messages(events: &[Event]) -> Vec<(String, String)> {
    let (mut found, mut pieces) = (Vec::new(), String::new());
    for event in events {
        match &event.body {
            EventBody::TextDelta { content } => pieces.push_str(content),
            EventBody::AssistantMessage { content, .. } if !content.is_empty() => {
                found.push((content.clone(), std::mem::take(&mut pieces)));
            }
            _ => {}
        }
    }
    found
}

/// The first call and its result.
struct FirstTool {
    id: String,
    args: String,
    answered: String,
    result: String,
    is_error: bool,
}

fn first_tool(events: &[Event]) -> FirstTool {
    let call = events.iter().find_map(|event| match &event.body {
        EventBody::ToolCall { tool_call_id, args, .. } => Some((tool_call_id.clone(), args.to_string())),
        _ => None,
    });
    let result = events.iter().find_map(|event| match &event.body {
        EventBody::ToolResult { tool_call_id, result, is_error, .. } => {
            Some((tool_call_id.clone(), result.to_string(), *is_error))
        }
        _ => None,
    });
    let ((id, args), (answered, result, is_error)) = (call.unwrap(), result.unwrap());
    FirstTool { id, args, answered, result, is_error }
}

pub async fn a_turn_becomes_events_a_commit_and_a_report(case: &Case) {
    let commit = "echo made > made.txt && git add made.txt && git -c user.name=W -c user.email=w@x commit -qm Made && echo committed";
    let look = Step {
        thinking: Some("Let me think.".into()),
        text: Some("I make the file.".into()),
        ..Step::bash(commit)
    };
    let stage = Stage::with(case, [look, report("DONE", "made it"), Step::text("It is made.")]).await;
    let more = json!({"worktree": {"branch": "task/make"}, "verification_command": "test -f made.txt"});
    let record = stage.run(case.worker_with("make it [[s]]", more)).await;

    let events = stage.daemon.events(record.worker_id).await;
    assert_eq!(end_of(&record), (MissionStatus::Completed, Some(TerminalReason::Done)), "{events:#?}");
    let (shell, reports) = (case.shell, case.report);
    let wanted = [
        "thinking Let me think.".to_owned(),
        "text I make the file.".to_owned(),
        format!("call {shell}"),
        format!("result {shell} false"),
        format!("call {reports}"),
        format!("result {reports} false"),
        "text It is made.".to_owned(),
    ];
    assert_eq!(short(&events), wanted);
    let said = ["I make the file.", "It is made."];
    assert_eq!(messages(&events), said.map(|text| (text.to_owned(), text.to_owned())), "{events:#?}");
    let tool = first_tool(&events);
    assert_eq!(tool.id, tool.answered);
    assert!(tool.args.contains("echo made > made.txt"), "{}", tool.args);
    assert!(tool.result.contains("committed"), "{}", tool.result);

    assert_eq!(word_of(&record), (Some(Outcome::Done), ReportedBy::Tool));
    assert_eq!((record.reported.summary.as_str(), record.last_message.as_str()), ("made it", "It is made."));
    assert_eq!(record.verification.as_ref().unwrap().exit_code, Some(0));
    let facts = record.git.as_ref().unwrap();
    assert_eq!((facts.commits_ahead, facts.dirty, facts.untracked, facts.files_changed), (1, 0, 0, 1));
    assert_eq!(git(&stage.daemon.repo(), &["log", "-1", "--format=%s", "task/make"]), "Made");
    assert_eq!(stage.answers(), ["s/0", "s/1", "s/2"]);
    default_model(case, &stage).await;
    stage.finish().await;
}

/// No model was named.
async fn default_model(case: &Case, stage: &Stage) {
    let params = json!({"backend": case.id});
    let status: Value = stage.daemon.call(BOSS, "get_backend_auth_status", params).await;
    assert_eq!(status["backends"][0]["default_model"], case.default_model);
    let used = stage.request("s/0").await.body["model"].clone();
    let fits = used.as_str().is_none_or(|used| case.default_model.ends_with(used));
    assert!(case.default_model.is_empty() || fits, "{used}");
}

pub async fn each_turn_has_its_own_usage_and_a_resume_knows_the_first(case: &Case) {
    let usage = Usage { input: 11, output: 7, cache_read: 5, ..Usage::default() };
    let script = Script::default()
        .scenario(
            "one",
            [
                Step { usage, ..Step::bash("echo the-blue-file; echo alas >&2; exit 3") },
                Step { usage, ..Step::text("BLOCKED: what about it?") },
            ],
        )
        .scenario(
            "two",
            [
                Step { usage, ..Step::bash("echo more >> file.txt") },
                Step { usage, ..Step::text("DONE: went on") },
            ],
        );
    let stage = Stage::new(&[case], script).await;
    let first = stage.run(case.worker_with("the marmalade task [[one]]", json!({"model": case.model}))).await;
    assert_eq!(end_of(&first), (MissionStatus::Blocked, Some(TerminalReason::ReportedBlocked)), "{first:#?}");
    let second = stage.resume(first.worker_id, "throw it away [[two]]").await;
    assert_eq!(end_of(&second), (MissionStatus::Completed, Some(TerminalReason::Done)), "{second:#?}");
    assert_eq!((second.reported.summary.as_str(), second.turns), ("went on", 2));
    let request = stage.conversation("two/0").await;
    for words in ["the marmalade task", "the-blue-file", "what about it?", "throw it away"] {
        assert!(request.contains(words), "{words:?} is missing in {request}");
    }
    let file = stage.mission_dir(first.worker_id).await.join("file.txt");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "more\n");

    let events = stage.daemon.events(first.worker_id).await;
    let warned = |event: &Event| matches!(event.body, EventBody::Error { .. });
    assert!(!events.iter().any(warned), "nothing is amiss: {events:#?}");
    let tool = first_tool(&events);
    assert!(tool.result.contains("the-blue-file") && tool.result.contains("alas"), "{}", tool.result);
    assert_eq!(tool.is_error, !case.differs(Behaviour::ToolFailure), "{}", tool.result);
    let usages = usages(&events);
    let tokens: Vec<_> = usages.iter().map(|usage| (usage.input_tokens, usage.output_tokens)).collect();
    assert_eq!(tokens, [(2 * (11 + 5), 14); 2], "of two requests each");
    assert_eq!((second.cost.input_tokens, second.cost.output_tokens), (64, 28));
    let costs: Vec<_> = usages.iter().map(|usage| usage.cost_usd).collect();
    if case.differs(Behaviour::Cost) {
        assert_eq!((costs, second.cost.usd), (vec![None; 2], None));
    } else {
        let (one, both) = (costs[0].unwrap(), second.cost.usd.unwrap());
        assert!(one > 0.0 && costs[0] == costs[1] && (both - 2.0 * one).abs() < 1e-9, "{costs:?} {both}");
    }
    let model = stage.request("one/0").await.body["model"].clone();
    assert!(model.as_str().is_none_or(|model| case.model.ends_with(model)), "{model}");
    stage.finish().await;
}
