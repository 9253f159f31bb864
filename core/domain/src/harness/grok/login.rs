//! The login of Grok's user: `auth.json`, one entry for each issuer.
//!
//! The CLI takes a changed file at its next request. It renews under `auth.json.lock` beside the file and takes over
//! what another process renewed meanwhile.

use chrono::DateTime;
use serde_json::Value;

use super::super::login::{Login, LoginFile, LoginWay, token};

pub(super) static FILE: LoginFile = LoginFile {
    directory: ".grok",
    moved_by: Some("GROK_HOME"),
    name: "auth.json",
    lent: &[],
    way: LoginWay::File("GROK_AUTH_PATH"),
    command: "grok login",
    read,
};

/// The entry that is good for longest speaks for the file.
fn read(file: &Value) -> Option<Login> {
    let entries = file.as_object()?.values().filter_map(entry);
    entries.max_by_key(|login| login.expires_at.unwrap_or(i64::MAX))
}

fn entry(entry: &Value) -> Option<Login> {
    token(entry, "/key")?;
    let at = |name: &str| {
        let text = entry.get(name).and_then(Value::as_str)?;
        DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp())
    };
    Some(Login {
        expires_at: at("expires_at"),
        renewable: token(entry, "/refresh_token").is_some(),
        account: token(entry, "/user_id"),
        renewed: at("expires_at").or_else(|| at("create_time")).unwrap_or_default(),
        providers: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_file_says_whose_it_is_and_when_it_ends() {
        let file = json!({"https://auth.x.ai::id": {
            "key": "t", "refresh_token": "r", "user_id": "u1", "expires_at": "2026-11-25T18:00:00Z"
        }, "junk": 1});
        let login = read(&file).unwrap();
        assert_eq!((login.expires_at, login.renewable), (Some(1_795_629_600), true));
        assert_eq!(login.account.as_deref(), Some("u1"));
        assert_eq!(read(&json!({"x": {"key": ""}})), None);
    }
}
