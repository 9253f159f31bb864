//! What the provider does wrong, and what the worker's record makes of it.

use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step, StreamError};
use serde_json::{Value, json};

use crate::stage::{BOSS, Stage, end_of, word_of, worker, worker_with};

#[tokio::test]
async fn a_failing_provider_is_told_by_kind_and_never_taken_for_a_success() {
    let overloaded = StreamError { kind: "overloaded_error".into(), message: "Overloaded".into() };
    let script = Script::default()
        .scenario("limit", [Step::error(429)])
        .scenario("key", [Step::error(401)])
        .scenario("down", [Step::error(503)])
        .scenario("nomodel", [Step::error(404)])
        .scenario("cut", [Step { disconnect_after: Some(3), ..Step::text("DONE") }])
        .scenario("stream", [Step { stream_error: Some(overloaded), ..Step::text("DONE") }]);
    let stage = Stage::new(script).await;
    let wanted = [
        ("limit", R::RateLimited),
        ("key", R::AuthError),
        ("down", R::HarnessError),
        ("nomodel", R::HarnessError),
        ("cut", R::HarnessError),
        ("stream", R::HarnessError),
    ];
    let workers: Vec<_> = wanted.iter().map(|(name, _)| worker(&format!("go [[{name}]]"))).collect();
    let ids = stage.create(json!(workers)).await;
    stage.daemon.wait_all(BOSS, &ids).await;
    for (id, (name, reason)) in ids.into_iter().zip(wanted) {
        let record = stage.daemon.record(BOSS, id).await;
        assert_eq!(end_of(&record), (S::Failed, Some(reason)), "{name}: {record:#?}");
        assert_eq!(word_of(&record).0, None, "{name}: {record:#?}");
        assert!(record.error.as_deref().is_some_and(|error| !error.is_empty()), "{name}: {record:#?}");
    }
    stage.finish().await;
}

#[tokio::test]
async fn a_fault_that_passes_is_survived() {
    let mut limit = Step { times: Some(1), text: Some("DONE: in the end".into()), ..Step::error(429) };
    limit.error.as_mut().unwrap().retry_after = Some(1);
    let stage = Stage::with([limit]).await;
    let record = stage.run(worker("go [[s]]")).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    assert_eq!(record.reported.summary, "in the end");
    assert_eq!(record.error, None);
    stage.finish().await;
}

#[tokio::test]
async fn a_model_of_somebody_else_is_refused_before_anything_is_made() {
    let stage = Stage::with([Step::text("DONE")]).await;
    let params =
        json!({"workers": [worker_with("go [[s]]", json!({"model": "gpt-5", "worktree": {"branch": "b"}}))]});
    let answer: Value = stage.daemon.call(BOSS, "batch_create_workers", params).await;
    let entry = &answer["workers"][0];
    assert_eq!(
        (answer["failed"].as_u64(), entry["error"]["code"].as_str()),
        (Some(1), Some("model_mismatch"))
    );
    assert_eq!(entry["error"]["field"], "workers[0].model");
    assert_eq!(crate::support::git(&stage.daemon.repo(), &["branch", "--list", "b"]), "");
    assert_eq!(stage.answers().len(), 0);
    stage.finish().await;
}
