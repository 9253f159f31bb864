//! Time-outs, cancels, resumes, and messages that cannot be delivered.

use sandboxed_domain::api::{CancelWorkerResponse, ErrorCode, EventBody, ResumeWorkerResponse};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Daemon, ids, script};

/// Waits until a worker has printed something.
async fn has_printed(daemon: &Daemon, worker: Uuid) {
    use futures::StreamExt;
    let mut stream = Box::pin(daemon.client().stream(Some(worker), Some(0)).await.unwrap());
    while let Some(frame) = stream.next().await {
        if matches!(frame.unwrap().event().map(|e| e.body), Some(EventBody::TextDelta { .. })) {
            return;
        }
    }
    panic!("the stream ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_over_its_time_ends_as_timed_out_with_all_its_processes() {
    let daemon = Daemon::start().await;
    let mut worker = script("slow", "trap '' TERM; (sleep 300 & ) ; echo on; sleep 300");
    worker["timeout_seconds"] = json!(1);
    let record = daemon.run_worker("boss", worker.clone()).await;
    assert_eq!((record.status, record.terminal_reason), (S::Failed, Some(R::TimedOut)), "{record:?}");
    assert!(record.seconds < 15.0, "{record:?}");
    // A check has the same limit.
    worker["prompt"] = json!("true");
    worker["verification_command"] = json!("sleep 300");
    let record = daemon.run_worker("boss", worker).await;
    assert_eq!((record.status, record.terminal_reason), (S::Failed, Some(R::TimedOut)), "{record:?}");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_ends_running_and_pending_workers_and_names_the_others() {
    let daemon = Daemon::start_with(&[("SANDBOXED_SH_MAX_PARALLEL", "2")]).await;
    let workers: Vec<_> = (0..4).map(|n| script(&format!("w{n}"), "echo on; sleep 300")).collect();
    let all = ids(&daemon.create("boss", json!(workers)).await);
    has_printed(&daemon, all[0]).await;
    has_printed(&daemon, all[1]).await;
    let unknown = Uuid::now_v7();
    let named = json!({"worker_ids": [all[0], all[3], unknown]});
    let answer: CancelWorkerResponse = daemon.call("boss", "cancel_worker", named.clone()).await;
    let text = |ids: &[Uuid]| ids.iter().map(Uuid::to_string).collect::<Vec<_>>();
    assert_eq!((answer.cancelled, answer.unknown), (text(&[all[0], all[3]]), text(&[unknown])));
    daemon.wait_all("boss", &[all[0], all[3]]).await;
    let again: CancelWorkerResponse = daemon.call("boss", "cancel_worker", named).await;
    assert_eq!(again.not_running, text(&[all[0], all[3]]), "a second cancel changes nothing");
    let theirs: CancelWorkerResponse =
        daemon.call("another", "cancel_worker", json!({"worker_ids": [all[1]]})).await;
    assert_eq!(theirs.unknown, text(&[all[1]]));
    let rest: CancelWorkerResponse = daemon.call("boss", "cancel_worker", json!({"all": true})).await;
    assert_eq!(rest.cancelled, text(&[all[1], all[2]]));
    daemon.wait_all("boss", &[all[1], all[2]]).await;
    for id in all {
        let record = daemon.record("boss", id).await;
        assert_eq!(
            (record.status, record.terminal_reason),
            (S::Cancelled, Some(R::CancelledByBoss)),
            "{record:?}"
        );
    }
    let error = daemon.tool("boss", "cancel_worker", json!({})).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_worker_is_resumed_in_its_directory_and_takes_no_messages() {
    let daemon = Daemon::start().await;
    let first = daemon.run("boss", "echo first | tee note").await;
    let id = first.worker_id;
    let resumed: ResumeWorkerResponse = daemon
        .call(
            "boss",
            "resume_worker",
            json!({"worker_id": id, "prompt": "cat note; echo second; sleep 0.2; exit 5"}),
        )
        .await;
    assert_eq!((resumed.worker_id, resumed.turn), (id, 2));
    let error =
        daemon.tool("boss", "resume_worker", json!({"worker_id": id, "prompt": "x"})).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::WrongState, "it runs");
    let error = daemon
        .tool("boss", "send_message_to_worker", json!({"worker_id": id, "content": "x"}))
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::NotAvailable, "{error:?}");
    // The first end was seen by the wait in `run`, but not acknowledged.
    let mut cursor = None::<String>;
    let mut ends = 0;
    while ends < 2 {
        let answer = daemon.wait("boss", json!({"cursor": cursor, "timeout_seconds": 120})).await;
        ends += answer.events.len();
        cursor = Some(answer.cursor);
    }
    let record = daemon.record("boss", id).await;
    assert_eq!((record.status, record.exit_code, record.turns), (S::Failed, Some(5), 2), "{record:?}");
    assert_eq!(daemon.printed(id).await, "first\nfirst\nsecond\n");
    let error = daemon
        .tool("boss", "answer_worker", json!({"request_id": "none", "decision": "allow"}))
        .await
        .unwrap_err();
    assert_eq!((error.code, error.field.as_deref()), (ErrorCode::NotFound, Some("request_id")));
    daemon.finish().await;
}
