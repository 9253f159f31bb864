//! A goal: one turn of the mission, however many turns Codex makes of it.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandboxed_domain::api::{CancelWorkerResponse, Event, EventBody};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step, ToolCall};
use serde_json::json;
use uuid::Uuid;

use crate::agents::{BOSS, CODEX, Case, Stage, end_of, processes_of, usages};

/// The model says how the goal stands, by the tool that Codex gives it.
fn update(status: &str) -> Step {
    let input = json!({"status": status});
    Step { tool: Some(ToolCall::Named { name: "update_goal".into(), input }), ..Step::default() }
}

/// Its goal events: status and turns. How many tokens Codex has counted when it tells the end is a matter of chance.
fn goals(events: &[Event]) -> Vec<(&str, u32)> {
    let goals = events.iter().filter_map(|event| match &event.body {
        EventBody::Goal { status, iterations, .. } => Some((status.as_str(), *iterations)),
        _ => None,
    });
    goals.collect()
}

async fn cancel(stage: &Stage, id: Uuid) {
    let _: CancelWorkerResponse = stage.daemon.call(BOSS, "cancel_worker", json!({"worker_ids": [id]})).await;
    assert_eq!(end_of(&stage.end(id).await), (S::Cancelled, Some(R::CancelledByBoss)));
}

#[tokio::test]
async fn a_goal_is_one_turn_and_ends_when_it_is_complete() {
    let case = Case::new(&CODEX);
    let steps = [
        Step::bash("echo begun > begun.txt"),
        Step::text("The first part."),
        Step::text("The second part."),
        update("complete"),
        Step::text("All of it.\n\nDONE: reached"),
    ];
    let stage = Stage::with(&case, steps).await;
    let record = stage.run(case.worker("/goal make it good [[s]]")).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    assert_eq!((record.turns, record.reported.summary.as_str()), (1, "reached"));
    assert_eq!(stage.answers(), ["s/0", "s/1", "s/2", "s/3", "s/4"]);
    let events = stage.daemon.events(record.worker_id).await;
    let wanted = [("active", 0), ("active", 1), ("active", 2), ("complete", 2), ("complete", 3)];
    assert_eq!(goals(&events), wanted);
    let [usage] = usages(&events)[..] else { panic!("{events:#?}") };
    assert_eq!((usage.input_tokens, usage.output_tokens), (500, 100));
    stage.finish().await;
}

#[tokio::test]
async fn a_goal_ends_with_its_budget() {
    let case = Case::new(&CODEX);
    let stage = Stage::with(&case, (0..8).map(|part| Step::text(&format!("Part {part}.")))).await;
    let record = stage.run(case.worker("/goal --tokens 300 go on and on [[s]]")).await;
    assert_eq!(end_of(&record), (S::Failed, Some(R::BudgetExceeded)), "{record:#?}");
    let events = stage.daemon.events(record.worker_id).await;
    assert_eq!(goals(&events).last(), Some(&("budget_limited", 3)), "{events:#?}");
    let said = events.iter().find_map(|event| match &event.body {
        EventBody::Error { code, message } if code == "budget_exceeded" => Some(message.clone()),
        _ => None,
    });
    assert!(said.unwrap().contains("360 of 300 tokens"));
    stage.finish().await;
}

#[tokio::test]
async fn a_cancel_pauses_a_goal_and_a_resume_goes_on_with_it() {
    let case = Case::new(&CODEX);
    let script = Script::default()
        .scenario(
            "goal",
            [
                Step::text("The first part."),
                Step { hang: true, times: Some(1), ..Step::text("The second part.") },
                update("blocked"),
                Step::text("A key is missing."),
            ],
        )
        .scenario("key", [Step::text("Thank you."), update("complete"), Step::text("DONE: with the key")]);
    let stage = Stage::new(&[&case], script).await;
    let id = stage.worker(case.worker("/goal open the door [[goal]]")).await;
    stage.request("goal/1").await;
    cancel(&stage, id).await;
    assert_eq!(goals(&stage.daemon.events(id).await).last(), Some(&("paused", 2)));

    let blocked = stage.resume(id, "/goal resume").await;
    assert_eq!(end_of(&blocked), (S::Interrupted, Some(R::HarnessError)), "{blocked:#?}");
    assert_eq!(blocked.last_message, "A key is missing.");
    assert_eq!(goals(&stage.daemon.events(id).await).last(), Some(&("blocked", 2)));

    // Any message is heard before the goal goes on.
    let done = stage.resume(id, "it is under the mat [[key]]").await;
    assert_eq!(end_of(&done), (S::Completed, Some(R::Done)), "{done:#?}");
    assert_eq!(done.reported.summary, "with the key");
    assert_eq!(goals(&stage.daemon.events(id).await).last(), Some(&("complete", 2)));
    stage.finish().await;
}

#[tokio::test]
async fn a_goal_goes_on_after_the_death_of_its_agent() {
    let case = Case::new(&CODEX);
    let script = Script::default()
        .scenario("goal", [Step { hang: true, ..Step::text("I begin") }])
        .scenario("more", [Step::text("Where was I?"), update("complete"), Step::text("DONE: after all")]);
    let stage = Stage::new(&[&case], script).await;
    let id = stage.worker(case.worker("/goal stay alive [[goal]]")).await;
    stage.event(id, |body| matches!(body, EventBody::TextDelta { .. })).await;
    kill(Pid::from_raw(processes_of(id)[0].pid), Signal::SIGKILL).unwrap();
    let dead = stage.end(id).await;
    assert_eq!(end_of(&dead), (S::Failed, Some(R::HarnessError)), "{dead:#?}");
    let done = stage.resume(id, "go on [[more]]").await;
    assert_eq!(end_of(&done), (S::Completed, Some(R::Done)), "{done:#?}");
    assert!(stage.conversation("more/0").await.contains("stay alive"));
    assert_eq!(goals(&stage.daemon.events(id).await).last(), Some(&("complete", 2)));
    stage.finish().await;
}

#[tokio::test]
async fn a_goal_is_given_up_by_a_message() {
    let case = Case::new(&CODEX);
    let stage = Stage::new(
        &[&case],
        Script::default()
            .scenario("goal", [Step { hang: true, ..Step::text("I begin") }])
            .scenario("other", [Step::text("DONE: something else")]),
    )
    .await;
    let id = stage.worker(case.worker("/goal never end [[goal]]")).await;
    stage.event(id, |body| matches!(body, EventBody::TextDelta { .. })).await;
    cancel(&stage, id).await;
    let cleared = stage.resume(id, "/goal clear").await;
    assert_eq!(end_of(&cleared), (S::Completed, Some(R::Done)), "{cleared:#?}");
    let other = stage.resume(id, "do this instead [[other]]").await;
    assert_eq!((end_of(&other), other.turns), ((S::Completed, Some(R::Done)), 3), "{other:#?}");
    assert_eq!(stage.answers(), ["goal/0", "other/0"]);
    stage.finish().await;
}
