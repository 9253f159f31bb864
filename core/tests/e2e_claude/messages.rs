//! A message that nobody read, and one that cannot be heard at once.

use sandboxed_domain::mission::MissionStatus;
use sandboxed_testkit::stub::{Script, Step};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{BOSS, Stage, worker};

#[tokio::test]
async fn a_message_that_a_failed_turn_left_unread_comes_first_when_the_worker_is_resumed() {
    let script = Script::default()
        .scenario("fails", [Step { first_delay_ms: 1500, ..Step::error(401) }])
        .scenario("next", [Step::text("The first."), Step::text("DONE: the second")]);
    let stage = Stage::new(script).await;
    let id: Uuid = stage.worker(worker("go [[fails]]")).await;
    stage.request("fails/0").await;
    let params = json!({"worker_id": id, "content": "and [[next]]"});
    let _: Value = stage.daemon.call(BOSS, "send_message_to_worker", params).await;
    let record = stage.end(id).await;
    assert_eq!(record.status, MissionStatus::Failed, "{record:#?}");
    let resumed = stage.resume(id, "and go on").await;
    assert_eq!((resumed.status, resumed.reported.summary.as_str()), (MissionStatus::Completed, "the second"));
    let first = stage.conversation("next/0").await;
    assert!(first.contains("and [[next]]") && !first.contains("and go on"), "{first}");
    assert!(stage.conversation("next/1").await.contains("and go on"));
    stage.finish().await;
}

#[tokio::test]
async fn a_message_for_the_running_turn_is_refused_by_an_agent_that_does_not_take_it() {
    let steps = [Step::bash("mkfifo gate; cat gate"), Step::text("DONE: undisturbed")];
    let stage = Stage::new(Script::default().scenario("s", steps)).await;
    let id: Uuid = stage.worker(worker("go [[s]]")).await;
    let gate = stage.made(id, "gate").await;
    let params = json!({"worker_id": id, "content": "mind", "into_running_turn": true});
    let error = stage.daemon.tool(BOSS, "send_message_to_worker", params).await.unwrap_err();
    assert_eq!(error.code.as_str(), "not_available");
    assert_eq!(error.field.as_deref(), Some("into_running_turn"));
    assert!(error.hint.contains("next turn"), "{}", error.hint);
    stage.open_gate(&gate).await;
    let record = stage.end(id).await;
    assert_eq!((record.turns, record.reported.summary.as_str()), (1, "undisturbed"));
    stage.finish().await;
}
