//! Model and effort: defaults are settings, what does not fit is refused, what is unknown is said.

use sandboxed_domain::api::{BackendAuthResponse, BatchCreateResponse, Effort};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::json;

use crate::stage::{BOSS, Stage, report, worker, worker_with};

#[tokio::test]
async fn a_default_is_used_and_shown_and_an_unknown_model_is_taken_with_a_warning() {
    let script = Script::default()
        .scenario("default", [report("DONE", "ok"), Step::text("Done.")])
        .scenario("unknown", [report("DONE", "ok"), Step::text("Done.")]);
    let settings = [
        ("SANDBOXED_SH_DEFAULT_MODEL_CLAUDECODE", "claude-haiku-4-5"),
        ("SANDBOXED_SH_DEFAULT_EFFORT_CLAUDECODE", "low"),
    ];
    let stage = Stage::with_settings(script, &settings).await;
    let status: BackendAuthResponse =
        stage.daemon.call(BOSS, "get_backend_auth_status", json!({"backend": "claudecode"})).await;
    let shown = (status.backends[0].default_model.as_str(), status.backends[0].default_effort);
    assert_eq!(shown, ("claude-haiku-4-5", Some(Effort::Low)));

    let workers = json!([
        worker("go [[default]]"),
        worker_with("go [[unknown]]", json!({"model": "claude-marmalade-9", "effort": "high"})),
        worker_with("go [[default]]", json!({"model": "gpt-5"})),
    ]);
    let answer: BatchCreateResponse =
        stage.daemon.call(BOSS, "batch_create_workers", json!({"workers": workers})).await;
    assert_eq!((answer.created, answer.failed), (2, 1), "{answer:?}");
    let [plain, unknown, foreign] = answer.workers.as_slice() else { panic!("{answer:?}") };
    assert_eq!((plain.warning.as_ref(), plain.error.as_ref()), (None, None));
    assert!(
        unknown.warning.as_deref().is_some_and(|text| text.contains("claude-marmalade-9")),
        "{unknown:?}"
    );
    assert!(foreign.error.as_ref().is_some_and(|error| error.hint.contains("sonnet")), "{foreign:?}");

    let client = stage.daemon.client();
    for (entry, scenario, model, effort) in
        [(plain, "default", "claude-haiku-4-5", "low"), (unknown, "unknown", "claude-marmalade-9", "high")]
    {
        let id = entry.worker_id.unwrap();
        stage.end(id).await;
        let view = client.mission(id).await.unwrap();
        assert_eq!(
            (view.model_override.as_deref(), view.model_effort.as_deref()),
            (Some(model), Some(effort))
        );
        assert_eq!(stage.request(&format!("{scenario}/0")).await.body["model"], model);
    }
    let params = json!({"backend": "claudecode", "title": "talk", "model_override": "claude-marmalade-9"});
    let view = client.create_mission(&serde_json::from_value(params).unwrap()).await.unwrap();
    assert!(view.warning.is_some(), "{view:?}");
    let params = json!({"backend": "claudecode", "model_override": "gpt-5"});
    let error = client.create_mission(&serde_json::from_value(params).unwrap()).await.unwrap_err();
    assert_eq!(error.field.as_deref(), Some("model_override"));
    stage.finish().await;
}
