//! The login of Codex's user: a ChatGPT account, or a key that `codex login` was given.
//!
//! The CLI follows a link to the file and replaces what it points to, under a lock beside that (`auth.json.lock`). It
//! renews under another lock, in its own directory (`auth.lock`), and reads the file once more when it has that: linked
//! as well, it makes missions of a workspace renew once. A request that is refused makes it read the file first.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::DateTime;
use serde_json::Value;

use super::super::login::{Login, LoginFile, LoginWay, token};

pub(super) static FILE: LoginFile = LoginFile {
    directory: ".codex",
    moved_by: Some("CODEX_HOME"),
    name: "auth.json",
    lent: &["OPENAI_API_KEY", "auth_mode", "last_refresh", "tokens"],
    way: LoginWay::Links(".codex", &["auth.lock"]),
    command: "codex login",
    read,
};

fn read(file: &Value) -> Option<Login> {
    let Some(access) = token(file, "/tokens/access_token") else {
        return token(file, "/OPENAI_API_KEY").map(|_| Login::default());
    };
    let refreshed = file.get("last_refresh").and_then(Value::as_str).map(DateTime::parse_from_rfc3339);
    Some(Login {
        expires_at: claim(&access, "exp").as_ref().and_then(Value::as_i64),
        renewable: token(file, "/tokens/refresh_token").is_some(),
        account: token(file, "/tokens/account_id"),
        renewed: refreshed.and_then(Result::ok).map(|at| at.timestamp_millis()).unwrap_or_default(),
        providers: Vec::new(),
    })
}

/// A claim of a JSON web token, which is not verified: it says when to expect an end, no more.
fn claim(token: &str, name: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice::<Value>(&payload).ok()?.get(name).cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_file_says_whose_it_is_and_when_it_ends() {
        let access = format!("e30.{}.sig", BASE64_URL_SAFE_NO_PAD.encode(r#"{"exp":1795632565}"#));
        let file = json!({
            "auth_mode": "chatgpt", "OPENAI_API_KEY": null,
            "tokens": {"id_token": "i", "access_token": access, "refresh_token": "r", "account_id": "acc-1"},
            "last_refresh": "2026-11-25T17:49:21.083370222Z",
        });
        let login = read(&file).unwrap();
        assert_eq!((login.expires_at, login.renewable), (Some(1_795_632_565), true));
        assert_eq!((login.account.as_deref(), login.renewed), (Some("acc-1"), 1_795_628_961_083));
        assert_eq!(read(&json!({"OPENAI_API_KEY": "sk-x"})), Some(Login::default()));
        let opaque = read(&json!({"tokens": {"access_token": "opaque"}})).unwrap();
        assert_eq!((opaque.expires_at, opaque.renewable), (None, false));
        assert_eq!(read(&json!({"OPENAI_API_KEY": null, "tokens": null})), None);
    }
}
