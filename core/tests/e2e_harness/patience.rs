//! Nobody answers for long: which clocks run meanwhile, and that silence of another kind ends.

use std::time::Instant;

use sandboxed_domain::api::{ErrorCode, EventBody};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::agents::{Case, Stage, end_of, processes_of};
use crate::requests::{answer, asked};

/// Limits that no pause outlives.
const IMPATIENT: [&str; 2] = ["SANDBOXED_SH_STALL_SECONDS", "SANDBOXED_SH_TOOL_STALL_SECONDS"];

/// All of them want to do the same.
fn script() -> Script {
    let same = || Step::bash("echo same > same");
    let silent = Step { hang: true, ..Step::text("I say this much and no more for a long time") };
    Script::default()
        .scenario("silent", [same(), silent])
        .scenario("patient", [same(), Step::text("DONE: answered")])
        .scenario("timed", [same(), Step::text("never")])
}

pub async fn while_it_waits_for_an_answer_no_clock_runs_but_its_own(case: &Case) {
    let mut stage = Stage::new(&[case], script()).await;
    let asking = |name: &str, more: Value| {
        let mut fields = json!({"permission_mode": "default"});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        case.worker_with(&format!("go [[{name}]]"), fields)
    };
    let begun = Instant::now();
    let silent = stage.worker(asking("silent", json!({}))).await;
    let request = asked(&stage, silent, None).await.request;
    // What it needs to ask on this machine, as busy as it is now: it must not end before it did.
    let seconds = begun.elapsed().as_secs_f64().mul_add(4.0, 6.0).ceil() as u64;
    answer(&stage, &request, json!({"decision": "allow_always"})).await.unwrap();
    stage.request("silent/1").await;

    // The rule is that mission's: others are asked for the very same.
    let timed = stage.worker(asking("timed", json!({"timeout_seconds": seconds}))).await;
    let unanswered = opened(&stage, timed).await;
    let patient = stage.worker(asking("patient", json!({}))).await;
    let open = opened(&stage, patient).await;
    let record = stage.end(timed).await;
    assert_eq!(end_of(&record), (S::Failed, Some(R::TimedOut)), "{record:#?}");
    assert_eq!(processes_of(timed), []);
    let late = answer(&stage, &unanswered, json!({"decision": "allow"})).await.unwrap_err();
    assert_eq!(late.code, ErrorCode::AlreadyAnswered, "nobody is there any more: {late:?}");

    silence_ends(&mut stage, silent).await;
    assert_eq!(stage.daemon.client().mission(patient).await.unwrap().status, S::NeedsInput);
    let pending = stage.daemon.client().requests().await.unwrap();
    assert_eq!(pending.iter().map(|view| &view.request_id).collect::<Vec<_>>(), [&open]);
    limited_to(&mut stage, "").await;
    answer(&stage, &open, json!({"decision": "allow"})).await.unwrap();
    let record = stage.end(patient).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    stage.finish().await;
}

/// The next daemon has no patience with silence: who says nothing has stalled.
async fn silence_ends(stage: &mut Stage, silent: Uuid) {
    limited_to(stage, "1").await;
    let record = stage.end(silent).await;
    assert_eq!(end_of(&record), (S::Failed, Some(R::Stalled)), "{record:#?}");
    let error = record.error.unwrap();
    for part in ["silent for ", "no tool at work", "last event: ", "processes (", "s of CPU"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

/// Another daemon takes over, with other limits.
async fn limited_to(stage: &mut Stage, seconds: &str) {
    stage.daemon.kill9();
    for name in IMPATIENT {
        stage.daemon.set(name, seconds);
    }
    stage.daemon.restart().await;
}

/// Waits until the mission asks; the request.
async fn opened(stage: &Stage, mission: Uuid) -> String {
    let asks = |body: &EventBody| matches!(body, EventBody::RequestOpened { .. });
    let EventBody::RequestOpened { request_id, .. } = stage.event(mission, asks).await.body else {
        panic!("it was looked for");
    };
    request_id
}
