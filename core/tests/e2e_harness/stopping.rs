//! Cancelling: in the middle of a text, in the middle of a tool, by the boss and by time.

use std::time::{Duration, Instant};

use sandboxed_domain::api::{CancelWorkerResponse, EventBody};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Outcome, Script, Step};
use serde_json::json;
use uuid::Uuid;

use crate::agents::{BOSS, Case, SOON, Stage, end_of, processes_of, processes_with};

/// Interrupt, TERM and KILL together take no longer: 5 s of waiting, and what a busy machine needs to do it.
const LONGEST_STOP: Duration = Duration::from_secs(30);

/// Agents end a tool by themselves after two minutes, which is not what ends a turn here.
const TOOLS: f64 = 100.0;

/// Cancels as the boss; the answer comes at once, the end soon.
async fn cancel(stage: &Stage, id: Uuid) {
    let asked = Instant::now();
    let answer: CancelWorkerResponse =
        stage.daemon.call(BOSS, "cancel_worker", json!({"worker_ids": [id]})).await;
    assert_eq!(answer.cancelled, [id.to_string()]);
    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (S::Cancelled, Some(R::CancelledByBoss)), "{record:#?}");
    assert!(asked.elapsed() < LONGEST_STOP, "{:?}", asked.elapsed());
}

pub async fn a_cancel_in_a_text_ends_the_turn_and_keeps_the_session(case: &Case) {
    let script = Script::default()
        .scenario("hang", [Step { hang: true, ..Step::text("I am going to say a lot and stop") }])
        .scenario("next", [Step::text("DONE")]);
    let stage = Stage::new(&[case], script).await;
    let id = stage.worker(case.worker("go [[hang]]")).await;
    stage.event(id, |body| matches!(body, EventBody::TextDelta { .. })).await;
    cancel(&stage, id).await;
    stage.stub.wait_for_request(|request| request.outcome == Outcome::ClientLeft, SOON).await.unwrap();
    assert_eq!(processes_of(id), []);
    // The session outlives it.
    let resumed = stage.resume(id, "and now [[next]]").await;
    assert_eq!(end_of(&resumed), (S::Completed, Some(R::Done)), "{resumed:#?}");
    let said = stage.conversation("next/0").await;
    assert!(said.contains("go [[hang]]"), "{said}");
    stage.finish().await;
}

pub async fn a_cancel_in_a_tool_leaves_nothing_of_the_tool(case: &Case) {
    let mark = format!("marked-{}", Uuid::new_v4());
    // Children that leave the group, ignore TERM and would outlive their parent.
    let tool = format!(
        "setsid perl -e '$SIG{{TERM}}=$SIG{{INT}}=$SIG{{HUP}}=\"IGNORE\"; sleep 311 # {mark}' & \
         nohup perl -e 'sleep 312 # {mark}' >/dev/null 2>&1 & \
         touch started; perl -e 'sleep 313 # {mark}'"
    );
    let stage = Stage::with(case, [Step::bash(&tool), Step::text("never")]).await;
    let id = stage.worker(case.worker("go [[s]]")).await;
    stage.made(id, "started").await;
    cancel(&stage, id).await;
    assert_eq!(processes_with(&mark), []);
    assert_eq!(processes_of(id), []);
    assert_eq!(stage.answers(), ["s/0"]);
    stage.finish().await;
}

pub async fn a_turn_that_hangs_ends_at_its_time(case: &Case) {
    let mark = format!("marked-{}", Uuid::new_v4());
    let script = Script::default()
        .scenario("plain", [Step::text("done")])
        .scenario("text", [Step { hang: true, ..Step::text("I never get any further than this") }])
        .scenario("tool", [Step::bash(&format!("perl -e 'sleep 314 # {mark}'")), Step::text("never")]);
    let stage = Stage::new(&[case], script).await;
    // What two at once need on this machine, as busy as it is now: less might end them before they got anywhere.
    let plain = stage.create(json!([case.worker("p [[plain]]"), case.worker("q [[plain]]")])).await;
    stage.daemon.wait_all(BOSS, &plain).await;
    let mut longest = 0.0_f64;
    for id in plain {
        longest = longest.max(stage.daemon.record(BOSS, id).await.seconds);
    }
    let seconds = longest.mul_add(2.0, 2.0).ceil().min(TOOLS);
    let timed = json!({"timeout_seconds": seconds as u64});
    let workers =
        json!([case.worker_with("a [[text]]", timed.clone()), case.worker_with("b [[tool]]", timed)]);
    let ids = stage.create(workers).await;
    stage.daemon.wait_all(BOSS, &ids).await;
    for id in ids {
        let record = stage.daemon.record(BOSS, id).await;
        assert_eq!(end_of(&record), (S::Failed, Some(R::TimedOut)), "{record:#?}");
        assert!(
            (seconds..seconds + LONGEST_STOP.as_secs_f64()).contains(&record.seconds),
            "{}",
            record.seconds
        );
        assert_eq!(processes_of(id), []);
    }
    assert_eq!(processes_with(&mark), []);
    let mut answers = stage.answers();
    answers.sort();
    assert_eq!(answers, ["plain/0", "plain/0", "text/0", "tool/0"], "both had got so far");
    stage.finish().await;
}
