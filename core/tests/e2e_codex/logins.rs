//! A ChatGPT login: the real CLI renews it at a server of the test's own, for several missions at once, and each
//! renewal comes back to the user.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, Router, routing::post};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{TimeDelta, Utc};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::{Value, json};

use crate::agents::{CODEX, Case, Home, OWNER, Stage, answers, end_of, files_with, processes_with, report};

/// In each token that is made here.
const CANARY: &str = "canary-login-codex-51c0";

fn token(number: u32, lives: TimeDelta) -> String {
    let claims = json!({
        "exp": (Utc::now() + lives).timestamp(), "email": "me@example.com",
        "https://api.openai.com/auth": {"chatgpt_account_id": "account-1", "chatgpt_plan_type": "pro"},
    });
    format!("e30.{}.{CANARY}-{number}", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn refresh(number: u32) -> String {
    format!("{CANARY}-refresh-{number}")
}

/// A login whose token has ended.
fn ended_login() -> Value {
    let old = token(1, TimeDelta::minutes(-1));
    json!({
        "auth_mode": "chatgpt", "OPENAI_API_KEY": null, "last_refresh": "2026-01-01T00:00:00Z",
        "tokens": {"id_token": old, "access_token": old, "refresh_token": refresh(1), "account_id": "account-1"},
    })
}

/// Renews each refresh token once, as the provider does.
#[derive(Clone, Default)]
struct Issuer(Arc<Mutex<Vec<String>>>);

impl Issuer {
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/oauth/token", post(renew)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        format!("http://{address}/oauth/token")
    }

    fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

async fn renew(State(issuer): State<Issuer>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let mut asked = issuer.0.lock().unwrap();
    let given = body["refresh_token"].as_str().unwrap_or_default().to_owned();
    let used = asked.contains(&given);
    asked.push(given);
    if used {
        let error = json!({"error": {"code": "refresh_token_reused", "message": "already used"}});
        return (StatusCode::UNAUTHORIZED, Json(error));
    }
    let number = u32::try_from(asked.len()).unwrap() + 1;
    let new = token(number, TimeDelta::hours(1));
    (StatusCode::OK, Json(json!({"id_token": new, "access_token": new, "refresh_token": refresh(number)})))
}

#[tokio::test]
async fn an_ended_login_is_renewed_once_for_all_missions_and_comes_back() {
    let case = Case::new(&CODEX);
    let (home, issuer) = (Home::with(".codex/auth.json", &ended_login()), Issuer::default());
    let url = issuer.start().await;
    let mut settings: Vec<_> = home.settings("codex").to_vec();
    settings.push(("OPENAI_API_KEY", String::new()));
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let look = "stat -Lc '%a %u %g' $HOME/.codex/auth.json";
    let steps = || [Step::bash(look), report("DONE", "ok"), Step::text("Done.")];
    let script =
        Script::default().scenario("one", steps()).scenario("two", steps()).scenario("three", steps());
    let stage = Stage::with_settings(&[&case], script, &settings).await;
    let worker = |name: &str, isolation: &str| {
        let env = json!({"CODEX_REFRESH_TOKEN_URL_OVERRIDE": url});
        case.worker_with(&format!("go [[{name}]]"), json!({"env": env, "isolation": isolation}))
    };
    let workers = json!([worker("one", "inherit"), worker("two", "inherit"), worker("three", "fork")]);
    let ids = stage.create(workers).await;
    for id in &ids {
        let record = stage.end(*id).await;
        assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{:?} {record:#?}", issuer.asked());
        assert!(!answers(&stage, "codex", *id).await.contains(CANARY));
    }
    assert_eq!(issuer.asked(), [refresh(1)], "once for all of them");
    for name in ["one/0", "two/0", "three/0"] {
        let request = stage.request(name).await;
        assert!(request.key.ends_with(&format!("{CANARY}-2")), "{}", request.key);
    }
    assert!(stage.conversation("three/1").await.contains("600 0 0"));
    home.until(&refresh(2)).await;
    assert_eq!(home.rights(), (0o600, OWNER, OWNER));
    assert_eq!(processes_with(CANARY), []);
    assert!(!stage.daemon.log().contains(CANARY));
    let mut copies = Vec::new();
    for id in ids {
        copies.push(stage.mission_dir(id).await.with_file_name(".logins").join("codex/auth.json"));
    }
    for copy in &copies {
        stage.gone(copy).await;
    }
    assert_eq!(files_with(CANARY.as_bytes(), stage.daemon.root()), Vec::<String>::new(), "nothing is left");
    stage.finish().await;
}
