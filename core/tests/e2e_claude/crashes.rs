//! Sudden death: of the CLI, and of the daemon in the middle of a turn.

use std::collections::BTreeSet;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandboxed_domain::api::EventBody;
use sandboxed_domain::mission::{MissionStatus as S, Outcome, ReportedBy, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step};
use uuid::Uuid;

use crate::stage::{Stage, end_of, processes_with, report, word_of, worker};

#[tokio::test]
async fn a_cli_that_is_killed_failed_by_itself_and_its_session_goes_on() {
    let mark = format!("marked-{}", Uuid::new_v4());
    let script = Script::default()
        .scenario(
            "first",
            [Step::bash(&format!("touch started; perl -e 'sleep 315 # {mark}'")), Step::text("never")],
        )
        .scenario("second", [Step::text("DONE: recovered")]);
    let stage = Stage::new(script).await;
    let id = stage.worker(worker("the marmalade task [[first]]")).await;
    stage.event(id, |body| matches!(body, EventBody::ToolCall { .. })).await;
    let directory = stage.mission_dir(id).await;
    stage.until_file(&directory.join("started")).await;
    let cli = processes_with(directory.join(".claude/settings.local.json").to_str().unwrap());
    assert_eq!(cli.len(), 1, "{cli:#?}");
    kill(Pid::from_raw(cli[0].0), Signal::SIGKILL).unwrap();
    let record = stage.end(id).await;
    // The runner lived and saw it die: the harness failed, the runner was not lost.
    assert_eq!(end_of(&record), (S::Failed, Some(R::HarnessError)), "{record:#?}");
    assert_eq!((record.exit_code, record.signal), (None, Some(9)));
    assert_eq!(processes_with(&mark), [], "its tool died with it");
    let second = stage.resume(id, "go on [[second]]").await;
    assert_eq!(end_of(&second), (S::Completed, Some(R::Done)), "{second:#?}");
    assert!(stage.conversation("second/0").await.contains("the marmalade task"));
    stage.finish().await;
}

#[tokio::test]
async fn a_turn_goes_on_without_its_daemon_and_is_told_once_when_it_is_back() {
    let steps = [
        Step { text: Some("One.".into()), ..Step::bash("mkfifo gate; cat gate; echo opened") },
        Step { thinking: Some("Alone.".into()), text: Some("Two.".into()), ..Step::bash("echo alone") },
        Step { text: Some("Three.".into()), ..report("DONE", "without a daemon") },
        Step::text("Four."),
    ];
    let mut stage = Stage::with(steps).await;
    let id = stage.worker(worker("go [[s]]")).await;
    stage.event(id, |body| matches!(body, EventBody::ToolCall { .. })).await;
    let gate = stage.mission_dir(id).await.join("gate");
    let before = stage.daemon.events(id).await;
    stage.daemon.kill9();
    stage.open_gate(&gate).await;
    // The CLI asks for what follows two tools while nobody follows it.
    stage.request("s/2").await;
    stage.daemon.restart().await;
    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    assert_eq!((word_of(&record), record.turns), ((Some(Outcome::Done), ReportedBy::Tool), 1));
    assert_eq!(record.reported.summary, "without a daemon");

    let events = stage.daemon.events(id).await;
    assert_eq!(events[..before.len()], before[..], "what was written stays");
    assert!(events.is_sorted_by(|a, b| a.sequence < b.sequence));
    let text: String = events
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::TextDelta { content } => Some(content.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(text, "One.Two.Three.Four.");
    let (mut calls, mut results) = (Vec::new(), Vec::new());
    for event in &events {
        match &event.body {
            EventBody::ToolCall { tool_call_id, .. } => calls.push(tool_call_id.clone()),
            EventBody::ToolResult { tool_call_id, .. } => results.push(tool_call_id.clone()),
            _ => {}
        }
    }
    assert_eq!((calls.len(), &calls), (3, &results));
    assert_eq!(calls.iter().collect::<BTreeSet<_>>().len(), 3);
    let reports = events.iter().filter(|event| matches!(event.body, EventBody::OutcomeReported { .. }));
    assert_eq!(reports.count(), 1);
    assert_eq!(stage.answers(), ["s/0", "s/1", "s/2", "s/3"]);
    stage.finish().await;
}
