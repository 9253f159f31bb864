//! A worker asks, its boss answers, and it goes on.

use sandboxed_domain::api::{AttentionKind, EventBody};
use sandboxed_domain::mission::{MissionStatus, TerminalReason};
use sandboxed_testkit::stub::{Step, ToolCall};
use serde_json::{Value, json};

use crate::stage::{BOSS, Stage, end_of, report, worker};

fn question() -> Step {
    let input = json!({"questions": [{
        "question": "Which colour shall it be?", "header": "Colour", "multiSelect": false,
        "options": [
            {"label": "Blue", "description": "Like the sky"},
            {"label": "Green", "description": "Like the grass"},
        ],
    }]});
    Step { tool: Some(ToolCall::Named { name: "AskUserQuestion".into(), input }), ..Step::default() }
}

#[tokio::test]
async fn a_question_wakes_the_boss_and_its_answer_reaches_the_model() {
    let stage = Stage::with([question(), report("DONE", "painted"), Step::text("Done.")]).await;
    let id = stage.worker(worker("paint it [[s]]")).await;
    let answer = stage.daemon.wait(BOSS, json!({"worker_ids": [id], "timeout_seconds": 60})).await;
    let event = &answer.events[0];
    assert_eq!(
        (event.kind, event.status),
        (AttentionKind::NeedsInput, MissionStatus::NeedsInput),
        "{event:?}"
    );
    assert!(event.summary.contains("Which colour shall it be?"), "{event:?}");
    let request = event.request_id.clone().unwrap();
    let pending = stage.daemon.client().requests().await.unwrap();
    assert_eq!(
        (pending.len(), pending[0].request_id.as_str(), pending[0].kind.as_str()),
        (1, request.as_str(), "question")
    );

    let params = json!({"request_id": request, "answer": "Ultramarine"});
    let delivered: Value = stage.daemon.call(BOSS, "answer_worker", params.clone()).await;
    assert_eq!(delivered["delivered"], true);
    let twice = stage.daemon.tool(BOSS, "answer_worker", params).await.unwrap_err();
    assert_eq!(twice.code.as_str(), "already_answered");

    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (MissionStatus::Completed, Some(TerminalReason::Done)), "{record:#?}");
    assert!(stage.conversation("s/1").await.contains("Ultramarine"));
    let events = stage.daemon.events(id).await;
    let opened = events.iter().filter(|event| matches!(event.body, EventBody::RequestOpened { .. })).count();
    let answered =
        events.iter().filter(|event| matches!(event.body, EventBody::RequestAnswered { .. })).count();
    assert_eq!((opened, answered), (1, 1));
    stage.finish().await;
}

#[tokio::test]
async fn a_cancel_withdraws_an_open_question() {
    let stage = Stage::with([question(), Step::text("never")]).await;
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
