//! Cancelling: in the middle of a text, in the middle of a tool, by the boss and by time.

use std::time::{Duration, Instant};

use sandboxed_domain::api::{CancelWorkerResponse, EventBody};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Outcome, Script, Step};
use serde_json::json;
use uuid::Uuid;

use crate::stage::{BOSS, SOON, Stage, end_of, processes_with, worker, worker_with};

/// Cancels as the boss; the answer comes at once, the end soon.
async fn cancel(stage: &Stage, id: Uuid) {
    let answer: CancelWorkerResponse =
        stage.daemon.call(BOSS, "cancel_worker", json!({"worker_ids": [id]})).await;
    assert_eq!(answer.cancelled, [id.to_string()]);
}

#[tokio::test]
async fn a_cancel_in_the_middle_of_a_text_ends_the_turn_and_keeps_what_was_said() {
    let script = Script::default()
        .scenario("hang", [Step { hang: true, ..Step::text("I am going to say a lot and stop") }])
        .scenario("next", [Step::text("DONE")]);
    let stage = Stage::new(script).await;
    let id = stage.worker(worker("go [[hang]]")).await;
    stage.event(id, |body| matches!(body, EventBody::TextDelta { .. })).await;
    let settings = stage.mission_dir(id).await.join(".claude/settings.local.json").display().to_string();
    assert_eq!(processes_with(&settings).len(), 1);
    let asked = Instant::now();
    cancel(&stage, id).await;
    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (S::Cancelled, Some(R::CancelledByBoss)), "{record:#?}");
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    stage.stub.wait_for_request(|request| request.outcome == Outcome::ClientLeft, SOON).await.unwrap();
    assert_eq!(processes_with(&settings), []);
    // The session outlives it.
    let resumed = stage.resume(id, "and now [[next]]").await;
    assert_eq!(end_of(&resumed), (S::Completed, Some(R::Done)), "{resumed:#?}");
    assert!(stage.conversation("next/0").await.contains("go [[hang]]"));
    stage.finish().await;
}

#[tokio::test]
async fn a_cancel_in_the_middle_of_a_tool_leaves_nothing_of_the_tool() {
    let mark = format!("marked-{}", Uuid::new_v4());
    // Children that leave the group, ignore TERM and would outlive their parent.
    let tool = format!(
        "setsid perl -e '$SIG{{TERM}}=$SIG{{INT}}=$SIG{{HUP}}=\"IGNORE\"; sleep 311 # {mark}' & \
         nohup perl -e 'sleep 312 # {mark}' >/dev/null 2>&1 & \
         touch started; perl -e 'sleep 313 # {mark}'"
    );
    let stage = Stage::with([Step::bash(&tool), Step::text("never")]).await;
    let id = stage.worker(worker("go [[s]]")).await;
    stage.event(id, |body| matches!(body, EventBody::ToolCall { .. })).await;
    let started = stage.mission_dir(id).await.join("started");
    stage.until_file(&started).await;
    cancel(&stage, id).await;
    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (S::Cancelled, Some(R::CancelledByBoss)), "{record:#?}");
    assert_eq!(processes_with(&mark), []);
    assert_eq!(stage.answers(), ["s/0"]);
    stage.finish().await;
}

#[tokio::test]
async fn a_turn_that_hangs_ends_at_its_time_with_nothing_left() {
    let mark = format!("marked-{}", Uuid::new_v4());
    let script = Script::default()
        .scenario("text", [Step { hang: true, ..Step::text("I never get any further than this") }])
        .scenario("tool", [Step::bash(&format!("perl -e 'sleep 314 # {mark}'")), Step::text("never")]);
    let stage = Stage::new(script).await;
    let two = json!({"timeout_seconds": 4});
    let ids =
        stage.create(json!([worker_with("a [[text]]", two.clone()), worker_with("b [[tool]]", two)])).await;
    stage.daemon.wait_all(BOSS, &ids).await;
    for id in ids {
        let record = stage.daemon.record(BOSS, id).await;
        assert_eq!(end_of(&record), (S::Failed, Some(R::TimedOut)), "{record:#?}");
        assert!((4.0..20.0).contains(&record.seconds), "{}", record.seconds);
    }
    assert_eq!(processes_with(&mark), []);
    stage.finish().await;
}
