//! Several keys of one backend: a limit of one is no limit of the others, and what is used is told by its name.

use std::os::unix::fs::PermissionsExt;

use sandboxed_domain::api::{AttentionKind, EventBody};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::agents::{CLAUDECODE, answers, files_with, processes_with};
use crate::stage::{BOSS, Stage, end_of, report, worker};

const FIRST: &str = CLAUDECODE.key;
const SECOND: &str = "sk-test-claude-second-0b5e55ed";
const NAMES: [&str; 2] = ["ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY_2"];

/// What was told of credentials: the name, and whether it was its limit.
async fn told(stage: &Stage, mission: Uuid) -> Vec<(String, bool)> {
    let credential = |body| match body {
        EventBody::Credential { label, limited_until } => Some((label, limited_until.is_some())),
        _ => None,
    };
    stage.daemon.events(mission).await.into_iter().filter_map(|event| credential(event.body)).collect()
}

async fn status(stage: &Stage) -> (bool, String) {
    let params = json!({"backend": "claudecode"});
    let told: Value = stage.daemon.call(BOSS, "get_backend_auth_status", params).await;
    let status = &told["backends"][0];
    (status["ready"] == true, status["reason"].as_str().unwrap().to_owned())
}

fn keys_of(stage: &Stage, scenario: &str) -> Vec<String> {
    let requests = stage.stub.requests();
    let mut keys: Vec<_> = requests
        .iter()
        .filter(|request| request.answer.starts_with(&format!("{scenario}/")))
        .map(|request| request.key.clone())
        .collect();
    keys.dedup();
    keys
}

#[tokio::test]
async fn a_turn_that_meets_a_limit_goes_on_with_the_next_key_and_others_begin_with_it() {
    let limited = Step {
        error: Step::error(429).error,
        only_keys: vec![FIRST.to_owned()],
        ..report("DONE", "with another key")
    };
    let script = Script::default()
        .scenario("one", [limited, Step::text("Done.")])
        .scenario("two", [report("DONE", "ok"), Step::text("Done.")]);
    let stage = Stage::with_settings(script, &[(NAMES[1], SECOND)]).await;
    let (ready, reason) = status(&stage).await;
    assert!(
        ready && reason.contains("uses ANTHROPIC_API_KEY; while that is limited: ANTHROPIC_API_KEY_2"),
        "{reason}"
    );
    let one = stage.worker(worker("the marmalade task [[one]]")).await;
    let events = stage.daemon.wait_all(BOSS, &[one]).await;
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [AttentionKind::Finished], "nobody has to wait, so nobody is woken");
    let record = stage.daemon.record(BOSS, one).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    let [first, second] = NAMES.map(str::to_owned);
    assert_eq!(told(&stage, one).await, [(first.clone(), false), (first, true), (second.clone(), false)]);
    assert_eq!(keys_of(&stage, "one"), [FIRST, SECOND]);
    let conversation = stage.conversation("one/1").await;
    assert_eq!(conversation.matches("the marmalade task").count(), 1, "taken up, not done again");

    let two = stage.worker(worker("go [[two]]")).await;
    assert_eq!(end_of(&stage.end(two).await), (S::Completed, Some(R::Done)));
    assert_eq!(keys_of(&stage, "two"), [SECOND]);
    assert_eq!(told(&stage, two).await, [(second, false)]);
    let (ready, reason) = status(&stage).await;
    assert!(ready && reason.contains("ANTHROPIC_API_KEY is limited until"), "{reason}");
    for id in [one, two] {
        let answers = answers(&stage, "claudecode", id).await;
        assert!(!answers.contains(SECOND) && !answers.contains(FIRST));
    }
    assert!(!stage.daemon.log().contains(SECOND));
    assert_eq!(processes_with(SECOND), []);
    assert_eq!(files_with(SECOND.as_bytes(), stage.daemon.root()), Vec::<String>::new());
    stage.finish().await;
}

#[tokio::test]
async fn a_key_in_the_key_file_counts_without_a_restart_and_only_while_it_is_private() {
    let script = Script::default().scenario("s", [report("DONE", "ok"), Step::text("Done.")]);
    let stage = Stage::with_settings(script, &[(NAMES[0], "")]).await;
    assert!(!status(&stage).await.0);
    let file = stage.daemon.data().join("keys.env");
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::write(&file, format!("# mine\nANTHROPIC_API_KEY={SECOND}\n")).unwrap();
    mode(0o640);
    let (ready, reason) = status(&stage).await;
    assert!(!ready && reason.contains("keys.env is not used") && reason.contains("chmod 600"), "{reason}");
    mode(0o600);
    let (ready, reason) = status(&stage).await;
    assert!(ready && !reason.contains(SECOND), "{reason}");
    assert_eq!(end_of(&stage.run(worker("go [[s]]")).await), (S::Completed, Some(R::Done)));
    assert_eq!(keys_of(&stage, "s"), [SECOND]);
    stage.finish().await;
}
