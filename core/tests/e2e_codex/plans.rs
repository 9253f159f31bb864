//! Plan mode: a plan is offered, refused with a reason, and carried out when it is approved.

use sandboxed_domain::api::{AttentionKind, EventBody};
use sandboxed_domain::mission::{MissionStatus, TerminalReason};
use sandboxed_testkit::stub::Step;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::agents::{BOSS, CODEX, Case, Stage, end_of};

fn plan(text: &str) -> Step {
    Step::text(&format!("<proposed_plan>\n# {text}\n</proposed_plan>"))
}

/// Waits for a request of this kind and title, and answers it; the cursor behind it.
async fn decide(
    stage: &Stage,
    id: Uuid,
    cursor: Option<String>,
    wanted: (&str, &str),
    answer: Value,
) -> String {
    let params = json!({"worker_ids": [id], "cursor": cursor, "timeout_seconds": 240});
    let told = stage.daemon.wait(BOSS, params).await;
    let [event] = told.events.as_slice() else { panic!("{told:#?}") };
    assert_eq!(event.kind, AttentionKind::NeedsInput, "{event:#?}");
    let pending = stage.daemon.client().requests().await.unwrap();
    let [pending] = pending.as_slice() else { panic!("{pending:#?}") };
    assert!(pending.kind == wanted.0 && pending.title.contains(wanted.1), "{pending:#?}");
    let mut params = json!({"request_id": pending.request_id});
    params.as_object_mut().unwrap().extend(answer.as_object().unwrap().clone());
    let _: Value = stage.daemon.call(BOSS, "answer_worker", params).await;
    told.cursor
}

#[tokio::test]
async fn a_plan_is_refused_then_approved_and_carried_out_with_questions() {
    let case = Case::new(&CODEX);
    let steps =
        [plan("Paint it red"), plan("Paint it blue"), Step::bash("touch blue"), Step::text("DONE: blue")];
    let stage = Stage::with(&case, steps).await;
    let id = stage.worker(case.worker_with("paint it [[s]]", json!({"permission_mode": "plan"}))).await;
    let no = json!({"decision": "deny", "answer": "the boat is red already"});
    let cursor = decide(&stage, id, None, ("plan", "plan: Paint it red"), no).await;
    assert!(stage.conversation("s/1").await.contains("the boat is red already"));
    let yes = json!({"decision": "allow"});
    let cursor = decide(&stage, id, Some(cursor), ("plan", "plan: Paint it blue"), yes.clone()).await;
    decide(&stage, id, Some(cursor), ("permission", "touch blue"), yes).await;

    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (MissionStatus::Completed, Some(TerminalReason::Done)), "{record:#?}");
    assert_eq!((record.turns, record.reported.summary.as_str()), (1, "blue"));
    assert!(stage.mission_dir(id).await.join("blue").exists());
    let events = stage.daemon.events(id).await;
    let errors: Vec<_> = events.iter().filter(|e| matches!(e.body, EventBody::Error { .. })).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    stage.finish().await;
}
