//! What the provider does wrong, and what the worker's record makes of it.

use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step, StreamError};
use serde_json::{Value, json};

use crate::agents::{BOSS, Behaviour, Case, Stage, end_of, word_of};
use crate::support::git;

pub async fn a_failing_provider_is_told_by_kind(case: &Case) {
    let overloaded = StreamError { kind: "overloaded_error".into(), message: "Overloaded".into() };
    let script = Script::default()
        .scenario("limit", [Step::error(429)])
        .scenario("key", [Step::error(401)])
        .scenario("next", [Step::text("DONE: after all")])
        .scenario("down", [Step::error(503)])
        .scenario("nomodel", [Step::error(404)])
        .scenario("stream", [Step { stream_error: Some(overloaded), ..Step::text("DONE") }])
        .scenario("cut", [Step { disconnect_after: Some(3), ..Step::text("DONE") }]);
    let impatient = [("SANDBOXED_SH_RATE_LIMIT_PARKS", "0"), ("SANDBOXED_SH_RETRIES", "0")];
    let stage = Stage::with_settings(&[case], script, &impatient).await;
    let wanted = [
        ("limit", R::RateLimited),
        ("key", R::AuthError),
        ("down", R::HarnessError),
        ("nomodel", R::HarnessError),
        ("stream", R::HarnessError),
        ("cut", R::HarnessError),
    ];
    let workers: Vec<_> =
        wanted.iter().map(|(name, _)| case.worker(&format!("the {name} task [[{name}]]"))).collect();
    let ids = stage.create(json!(workers)).await;
    stage.daemon.wait_all(BOSS, &ids).await;
    for (id, (name, reason)) in ids.iter().zip(wanted) {
        let record = stage.daemon.record(BOSS, *id).await;
        assert_eq!(end_of(&record), (S::Failed, Some(reason)), "{name}: {record:#?}");
        assert_eq!(word_of(&record).0, None, "{name}: {record:#?}");
        assert!(record.error.as_deref().is_some_and(|error| !error.is_empty()), "{name}: {record:#?}");
    }
    let resumed = stage.resume(ids[1], "try again [[next]]").await;
    assert_eq!(end_of(&resumed), (S::Completed, Some(R::Done)), "{resumed:#?}");
    let said = stage.conversation("next/0").await;
    assert_eq!(said.contains("the key task"), !case.differs(Behaviour::FailedTask), "{said}");
    stage.finish().await;
}

pub async fn a_passing_fault_is_survived(case: &Case) {
    let mut limit = Step { times: Some(1), text: Some("DONE: in the end".into()), ..Step::error(429) };
    limit.error.as_mut().unwrap().retry_after = Some(1);
    // Some try again by themselves, others leave it to the platform.
    let settings = [("SANDBOXED_SH_RATE_LIMIT_SECONDS", "1")];
    let stage = Stage::with_settings(&[case], Script::default().scenario("s", [limit]), &settings).await;
    let record = stage.run(case.worker("go [[s]]")).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    assert_eq!(record.reported.summary, "in the end");
    assert_eq!(record.error, None);
    stage.finish().await;
}

pub async fn a_model_of_another_provider_is_refused(case: &Case) {
    let stage = Stage::with(case, [Step::text("DONE")]).await;
    let more = json!({"model": case.foreign_model, "worktree": {"branch": "b"}});
    let params = json!({"workers": [case.worker_with("go [[s]]", more)]});
    let answer: Value = stage.daemon.call(BOSS, "batch_create_workers", params).await;
    let entry = &answer["workers"][0];
    let found = (answer["failed"].as_u64(), entry["error"]["code"].as_str());
    assert_eq!(found, (Some(1), Some("model_mismatch")), "{answer:#}");
    assert_eq!(entry["error"]["field"], "workers[0].model");
    assert!(!entry["error"]["hint"].as_str().unwrap_or_default().is_empty(), "{answer:#}");
    assert_eq!(git(&stage.daemon.repo(), &["branch", "--list", "b"]), "");
    assert!(stage.stub.requests().is_empty());
    stage.finish().await;
}
