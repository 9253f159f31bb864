//! A question that nobody answers.

use sandboxed_domain::api::EventBody;
use sandboxed_domain::mission::{MissionStatus, TerminalReason};
use sandboxed_testkit::stub::Step;
use serde_json::{Value, json};

use crate::stage::{BOSS, Stage, end_of, worker};

#[tokio::test]
async fn a_cancel_withdraws_an_open_question() {
    let stage =
        Stage::with([Step::ask("Which colour shall it be?", ["Blue", "Green"]), Step::text("never")]).await;
    let id = stage.worker(worker("paint it [[s]]")).await;
    let opened = stage.event(id, |body| matches!(body, EventBody::RequestOpened { .. })).await;
    let EventBody::RequestOpened { request_id, .. } = opened.body else { panic!("{opened:?}") };
    let _: Value = stage.daemon.call(BOSS, "cancel_worker", json!({"worker_ids": [id]})).await;
    let record = stage.end(id).await;
    assert_eq!(
        end_of(&record),
        (MissionStatus::Cancelled, Some(TerminalReason::CancelledByBoss)),
        "{record:#?}"
    );
    assert!(stage.daemon.client().requests().await.unwrap().is_empty());
    let late = json!({"request_id": request_id, "answer": "Blue"});
    assert!(stage.daemon.tool(BOSS, "answer_worker", late).await.is_err());
    stage.finish().await;
}
