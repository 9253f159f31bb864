//! The login of a user instead of a key: what a mission is lent is what the provider is shown, and nothing is left of it.

use sandboxed_domain::api::EventBody;
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::{Value, json};

use crate::agents::{
    BOSS, Case, Home, OPENCODE, Stage, answers, end_of, files_with, processes_of, processes_with, report,
};
use crate::support::git;

/// In each token that is made here.
const CANARY: &str = "canary-login-5e1f-51c0";

pub async fn a_users_login_serves_where_there_is_no_key(case: &Case) {
    let home = Home::with(case.login.file, &(case.login.content)(CANARY));
    let mut settings = home.settings(case.id).to_vec();
    settings.push((case.key_variable, String::new()));
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let gate = "mkfifo $SANDBOXED_SH_MISSION_DIR/gate; cat $SANDBOXED_SH_MISSION_DIR/gate";
    let steps = [Step::bash(gate), report("DONE", "with a login"), Step::text("Done.")];
    let stage = Stage::with_settings(&[case], Script::default().scenario("s", steps), &settings).await;
    let params = json!({"backend": case.id});
    let status: Value = stage.daemon.call(BOSS, "get_backend_auth_status", params).await;
    let told = &status["backends"][0];
    assert_eq!((&told["ready"], &told["auth"]), (&json!(true), &json!("cli_login")), "{told:#}");

    let env = case.login.environment(&stage);
    // Where there is a default it has to be one that the login opens.
    assert_eq!(told["default_model"], case.default_model);
    let model = case.default_model.is_empty().then_some(case.model);
    let id = stage.worker(case.worker_with("go [[s]]", json!({"model": model, "env": env}))).await;
    let gate = stage.made(id, "gate").await;
    let request = stage.request("s/0").await;
    assert!(request.key.contains(CANARY));
    let used = request.body["model"].as_str();
    assert!(used.is_none_or(|used| model.unwrap_or(case.default_model).ends_with(used)), "{used:?}");
    let lent = files_with(CANARY.as_bytes(), stage.daemon.root());
    assert!(matches!(lent.as_slice(), [one] if one.contains("/.logins/")), "{lent:#?}");
    assert_eq!(processes_with(CANARY), [], "in an argument");
    for process in processes_of(id) {
        assert!(!process.environment.contains(CANARY), "in the environment of {}", process.line);
    }
    stage.open_gate(&gate).await;
    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    assert!(!answers(&stage, case.id, id).await.contains(CANARY));
    assert!(!stage.daemon.log().contains(CANARY));
    let copy = stage.mission_dir(id).await.with_file_name(".logins").join(case.id);
    stage.gone(&copy.join(case.login.file.rsplit('/').next().unwrap())).await;
    assert_eq!(files_with(CANARY.as_bytes(), stage.daemon.root()), Vec::<String>::new(), "nothing is left");
    stage.finish().await;
}

/// OpenCode opens many providers, and the platform has a default for two of them.
#[tokio::test]
async fn a_model_that_nobody_named_is_told() {
    let home = Home::with(OPENCODE.login.file, &json!({"deepseek": {"type": "api", "key": CANARY}}));
    let mut settings = home.settings(OPENCODE.id).to_vec();
    settings.push((OPENCODE.key_variable, String::new()));
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let script = Script::default().scenario("s", [Step::text("DONE: with whatever it was")]);
    let stage = Stage::with_settings(&[&OPENCODE], script, &settings).await;
    let repo = stage.daemon.repo();
    let address = json!({"baseURL": format!("{}/v1", stage.stub.base_url())});
    let config =
        json!({"$schema": "https://opencode.ai/config.json", "provider": {"deepseek": {"options": address}}});
    std::fs::write(repo.join("opencode.json"), config.to_string()).unwrap();
    git(&repo, &["add", "."]);
    git(&repo, &["commit", "-qm", "Address"]);
    let more = json!({"worktree": {"branch": "task/any"}});
    let record = stage.run(OPENCODE.worker_with("go [[s]]", more)).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    let used = stage.request("s/0").await.body["model"].as_str().unwrap().to_owned();
    let events = stage.daemon.events(record.worker_id).await;
    let told = events.iter().filter_map(|event| match &event.body {
        EventBody::Error { code, message } if code == "model_unnamed" => Some(message.as_str()),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    assert!(
        told.len() == 1
            && told[0].contains(&format!("`deepseek/{used}`"))
            && told[0].contains("SANDBOXED_SH_DEFAULT_MODEL_OPENCODE"),
        "{told:?}"
    );
    stage.finish().await;
}
