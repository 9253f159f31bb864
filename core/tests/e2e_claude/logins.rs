//! A login of the user: lent to missions in their sandboxes, renewed in one place and known in all others, and nowhere
//! else. The provider's own server cannot be stood in for, so a program in the sandbox renews it as the CLI does.

use std::path::PathBuf;

use sandboxed_domain::api::AuthKind;
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::agents::{Home, OWNER, answers, files_with, processes_with, until_holds};
use crate::stage::{BOSS, Stage, end_of, report, worker, worker_with};

/// In each token that is made here.
const CANARY: &str = "canary-login-claude-51c0";

fn login(number: u32) -> Value {
    let expires_at = (chrono::Utc::now() + chrono::TimeDelta::hours(i64::from(number))).timestamp_millis();
    json!({
        "claudeAiOauth": {
            "accessToken": access(number), "refreshToken": format!("sk-ant-ort01-{CANARY}-{number}"),
            "expiresAt": expires_at, "scopes": ["user:inference", "user:profile"], "subscriptionType": "max",
        },
        "mcpOauth": {"theirs": {"accessToken": format!("{CANARY}-of-a-server")}},
    })
}

fn access(number: u32) -> String {
    format!("sk-ant-oat01-{CANARY}-{number}")
}

fn of_the_user(home: &Home) -> Vec<(&'static str, String)> {
    let mut settings = home.settings("claudecode").to_vec();
    settings.push(("ANTHROPIC_API_KEY", String::new()));
    settings
}

async fn stage(home: &Home, script: Script) -> Stage {
    let settings = of_the_user(home);
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Stage::with_settings(script, &settings).await
}

/// A tool that waits until the test lets it go on, then a request that shows which token is used by then.
fn gated(script: Script, name: &str) -> Script {
    let gate = "mkfifo $SANDBOXED_SH_MISSION_DIR/gate; cat $SANDBOXED_SH_MISSION_DIR/gate";
    script.scenario(name, [Step::bash(gate), report("DONE", "ok"), Step::text("Done.")])
}

async fn lent_to(stage: &Stage, mission: Uuid) -> PathBuf {
    let directory = stage.mission_dir(mission).await;
    directory.with_file_name(".logins").join("claudecode/.credentials.json")
}

#[tokio::test]
async fn a_login_that_one_workspace_renews_is_the_users_and_every_other_missions() {
    let home = Home::with(".claude/.credentials.json", &login(1));
    let stage = stage(&home, gated(gated(Script::default(), "one"), "two")).await;
    let one = stage.worker(worker("go [[one]]")).await;
    let two = stage.worker(worker_with("go [[two]]", json!({"isolation": "fork"}))).await;
    let gates = [stage.made(one, "gate").await, stage.made(two, "gate").await];
    for name in ["one/0", "two/0"] {
        assert_eq!(stage.request(name).await.key, access(1), "{name}");
    }
    let copies = [lent_to(&stage, one).await, lent_to(&stage, two).await];
    let mut seen = files_with(CANARY.as_bytes(), stage.daemon.root());
    seen.sort();
    let mut lent = copies.each_ref().map(|path| path.display().to_string());
    lent.sort();
    assert_eq!(seen, lent, "nowhere else");
    assert!(files_with(b"of-a-server", stage.daemon.root()).is_empty(), "only what it needs");
    assert_eq!(processes_with(CANARY), []);

    let renew = format!(
        "cd $SANDBOXED_SH_MISSION_DIR/../.logins/claudecode; stat -c '%a %u %g' .credentials.json; umask 077; \
         sed 's/-1\"/-2\"/g; s/\"expiresAt\": *[0-9]*/\"expiresAt\": {}/' .credentials.json > new; \
         mv new .credentials.json",
        login(2)["claudeAiOauth"]["expiresAt"]
    );
    let played = stage.run(json!({"title": "cli", "backend": "command", "prompt": renew})).await;
    assert_eq!(stage.daemon.printed(played.worker_id).await, "600 0 0\n");
    home.until(&access(2)).await;
    assert_eq!(home.rights(), (0o600, OWNER, OWNER));
    assert_eq!(home.read()["mcpOauth"], login(1)["mcpOauth"]);
    until_holds(&copies[1], &access(2)).await;
    for gate in &gates {
        stage.open_gate(gate).await;
    }
    for name in ["one/1", "two/1"] {
        assert_eq!(stage.request(name).await.key, access(2), "{name}");
    }
    for id in [one, two] {
        let record = stage.end(id).await;
        assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
        assert!(!answers(&stage, "claudecode", id).await.contains(CANARY));
    }
    assert!(!stage.daemon.log().contains(CANARY));
    for copy in &copies {
        stage.gone(copy).await;
    }
    assert_eq!(files_with(CANARY.as_bytes(), stage.daemon.root()), Vec::<String>::new(), "nothing is left");
    stage.finish().await;
}

#[tokio::test]
async fn a_login_outlives_the_daemon_and_its_user_has_the_last_word() {
    let home = Home::with(".claude/.credentials.json", &login(1));
    let mut stage = stage(&home, gated(Script::default(), "one")).await;
    let one = stage.worker(worker("go [[one]]")).await;
    let gate = stage.made(one, "gate").await;
    let copy = lent_to(&stage, one).await;
    stage.daemon.kill9();
    // The CLI renews it while nobody looks.
    std::fs::write(&copy, json!({"claudeAiOauth": login(2)["claudeAiOauth"]}).to_string()).unwrap();
    stage.daemon.restart().await;
    home.until(&access(2)).await;
    // The user logs in again; an older one does not come back.
    let newest = login(4);
    home.write(&newest);
    until_holds(&copy, &access(4)).await;
    std::fs::write(&copy, json!({"claudeAiOauth": login(3)["claudeAiOauth"]}).to_string()).unwrap();
    until_holds(&copy, &access(4)).await;
    assert_eq!(home.read(), newest);
    stage.open_gate(&gate).await;
    assert_eq!(stage.request("one/1").await.key, access(4));
    assert_eq!(end_of(&stage.end(one).await), (S::Completed, Some(R::Done)));
    stage.gone(&copy).await;
    stage.finish().await;
}

#[tokio::test]
async fn the_status_tells_which_credential_is_used_and_what_to_do() {
    let home = Home::with(".claude/.credentials.json", &login(1));
    let path = home.settings("claudecode")[1].1.clone();
    let status = async |settings: &[(&str, &str)]| {
        let stage = Stage::with_settings(Script::default(), settings).await;
        let told: Value =
            stage.daemon.call(BOSS, "get_backend_auth_status", json!({"backend": "claudecode"})).await;
        stage.finish().await;
        let told = told["backends"][0].clone();
        let auth: AuthKind = serde_json::from_value(told["auth"].clone()).unwrap();
        (
            told["ready"] == true,
            auth,
            told["auth_expires_at"].is_string(),
            told["reason"].as_str().unwrap().to_owned(),
        )
    };
    let shared = ("SANDBOXED_SH_SHARE_LOGINS", "all");
    let at = ("SANDBOXED_SH_LOGIN_HOME", path.as_str());
    let (ready, auth, expires, reason) = status(&[("ANTHROPIC_API_KEY", ""), at]).await;
    assert!(!ready && auth == AuthKind::None && !expires, "{reason}");
    assert!(
        reason.contains("ANTHROPIC_API_KEY") && reason.contains("claudecode to SANDBOXED_SH_SHARE_LOGINS")
    );
    let (ready, auth, expires, reason) = status(&[("ANTHROPIC_API_KEY", ""), at, shared]).await;
    assert!(ready && auth == AuthKind::CliLogin && expires, "{reason}");
    assert!(reason.contains(&format!("{path}/.claude/.credentials.json, good until")), "{reason}");
    let (ready, auth, _, reason) = status(&[at, shared]).await;
    assert!(ready && auth == AuthKind::ApiKey, "{reason}");
    let then = format!("uses ANTHROPIC_API_KEY; while that is limited: {path}/.claude/.credentials.json");
    assert!(reason.contains(&then) && !reason.contains(CANARY), "{reason}");
}
