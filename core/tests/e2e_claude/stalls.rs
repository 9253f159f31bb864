//! Silence: of a model, of a tool, and of somebody who does not answer.

use sandboxed_domain::api::EventBody;
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::{Value, json};

use crate::stage::{BOSS, Stage, end_of, report, worker, worker_with};

fn asks(body: &EventBody) -> bool {
    matches!(body, EventBody::RequestOpened { .. })
}

fn calls(body: &EventBody) -> bool {
    matches!(body, EventBody::ToolCall { .. })
}

#[tokio::test]
async fn a_silent_turn_ends_with_evidence_and_a_busy_tool_or_an_open_question_is_no_silence() {
    let script = Script::default()
        .scenario("hangs", [Step { hang: true, ..Step::text("I will") }])
        .scenario(
            "builds",
            [Step::bash("mkfifo gate; cat gate"), report("DONE", "built"), Step::text("Done.")],
        )
        .scenario("asks", [Step::bash("touch one"), report("DONE", "asked"), Step::text("Done.")]);
    let stage = Stage::with_settings(script, &[("SANDBOXED_SH_STALL_SECONDS_CLAUDECODE", "15")]).await;
    let builds = stage.worker(worker("go [[builds]]")).await;
    let asking = stage.worker(worker_with("go [[asks]]", json!({"permission_mode": "default"}))).await;
    stage.event(builds, calls).await;
    let asked = stage.event(asking, asks).await;
    let gate = stage.mission_dir(builds).await.join("gate");

    // Its whole life is longer than the limit, during which the others are silent too.
    let record = stage.run(worker("go [[hangs]]")).await;
    assert_eq!(end_of(&record), (S::Failed, Some(R::Stalled)), "{record:#?}");
    let error = record.error.unwrap();
    for part in ["silent for ", "no tool at work", "last event: text_delta", "processes (", "s of CPU"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let told = |body: &EventBody| matches!(body, EventBody::Error { code, .. } if code == "stalled");
    stage.event(record.worker_id, told).await;

    let status = |id| {
        let client = stage.daemon.client();
        async move { client.mission(id).await.unwrap().status }
    };
    assert_eq!((status(builds).await, status(asking).await), (S::Active, S::NeedsInput));
    stage.open_gate(&gate).await;
    let EventBody::RequestOpened { request_id, .. } = asked.body else { panic!("{asked:?}") };
    let params = json!({"request_id": request_id, "decision": "allow"});
    let _: Value = stage.daemon.call(BOSS, "answer_worker", params).await;
    for id in [builds, asking] {
        assert_eq!(end_of(&stage.end(id).await), (S::Completed, Some(R::Done)));
    }
    stage.finish().await;
}

#[tokio::test]
async fn a_tool_has_a_limit_of_its_own() {
    let settings = [("SANDBOXED_SH_STALL_SECONDS", "60"), ("SANDBOXED_SH_TOOL_STALL_SECONDS", "1")];
    let script = Script::default().scenario("s", [Step::bash("sleep 1000"), Step::text("never")]);
    let stage = Stage::with_settings(script, &settings).await;
    let record = stage.run(worker("go [[s]]")).await;
    assert_eq!(end_of(&record), (S::Failed, Some(R::Stalled)), "{record:#?}");
    let error = record.error.unwrap();
    assert!(error.contains("a tool at work") && error.contains("sleep S"), "{error}");
    stage.finish().await;
}
