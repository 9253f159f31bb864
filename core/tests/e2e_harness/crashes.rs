//! Sudden death: of the CLI, and of the daemon in the middle of a turn.

use std::collections::BTreeSet;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandboxed_domain::api::{Event, EventBody};
use sandboxed_domain::mission::{MissionStatus as S, Outcome, ReportedBy, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step};
use uuid::Uuid;

use crate::agents::{Case, Stage, end_of, processes_of, processes_with, report, word_of};

pub async fn an_agent_that_is_killed_failed_and_its_session_goes_on(case: &Case) {
    let mark = format!("marked-{}", Uuid::new_v4());
    let script = Script::default()
        .scenario(
            "first",
            [Step::bash(&format!("touch started; perl -e 'sleep 315 # {mark}'")), Step::text("never")],
        )
        .scenario("second", [Step::text("DONE: recovered")]);
    let stage = Stage::new(&[case], script).await;
    let id = stage.worker(case.worker("the marmalade task [[first]]")).await;
    stage.made(id, "started").await;
    let all = processes_of(id);
    assert!(all.len() > 1 && all[1..].iter().any(|process| process.parent == all[0].pid), "{all:#?}");
    kill(Pid::from_raw(all[0].pid), Signal::SIGKILL).unwrap();
    let record = stage.end(id).await;
    // The runner lived and saw it die: the harness failed, the runner was not lost.
    assert_eq!(end_of(&record), (S::Failed, Some(R::HarnessError)), "{record:#?}");
    assert_eq!((record.exit_code, record.signal), (None, Some(9)));
    assert_eq!(processes_with(&mark), [], "its tool died with it");
    let second = stage.resume(id, "go on [[second]]").await;
    assert_eq!(end_of(&second), (S::Completed, Some(R::Done)), "{second:#?}");
    let said = stage.conversation("second/0").await;
    assert!(said.contains("the marmalade task"), "{said}");
    stage.finish().await;
}

pub async fn a_turn_goes_on_without_its_daemon_and_is_told_once(case: &Case) {
    let steps = [
        Step { text: Some("One.".into()), ..Step::bash("mkfifo gate; cat gate; echo opened") },
        Step { thinking: Some("Alone.".into()), text: Some("Two.".into()), ..Step::bash("echo alone") },
        Step { text: Some("Three.".into()), ..report("DONE", "without a daemon") },
        Step::text("Four."),
    ];
    let mut stage = Stage::with(case, steps).await;
    let id = stage.worker(case.worker("go [[s]]")).await;
    let gate = stage.made(id, "gate").await;
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
    told_once(&events);
    assert_eq!(stage.answers(), ["s/0", "s/1", "s/2", "s/3"]);
    stage.finish().await;
}

fn told_once(events: &[Event]) {
    assert!(events.is_sorted_by(|a, b| a.sequence < b.sequence));
    let (mut text, mut calls, mut results, mut reports) = (String::new(), Vec::new(), Vec::new(), 0);
    for event in events {
        match &event.body {
            EventBody::TextDelta { content } => text.push_str(content),
            EventBody::ToolCall { tool_call_id, .. } => calls.push(tool_call_id.clone()),
            EventBody::ToolResult { tool_call_id, .. } => results.push(tool_call_id.clone()),
            EventBody::OutcomeReported { .. } => reports += 1,
            _ => {}
        }
    }
    assert_eq!(text, "One.Two.Three.Four.");
    assert_eq!((calls.len(), &calls), (3, &results));
    assert_eq!(calls.iter().collect::<BTreeSet<_>>().len(), 3);
    assert_eq!(reports, 1);
}
