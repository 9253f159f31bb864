//! A message that nobody read.

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
