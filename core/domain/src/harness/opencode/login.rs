//! The logins of OpenCode's user: one entry for each provider, a key or an account.
//!
//! The CLI reads the file whenever it needs a login and writes through a link, in place, all entries at once.

use serde_json::Value;

use super::super::login::{Login, LoginFile, LoginWay, token};

pub(super) static FILE: LoginFile = LoginFile {
    directory: ".local/share/opencode",
    moved_by: None,
    name: "auth.json",
    lent: &[],
    way: LoginWay::Links(".local/share/opencode", &[]),
    command: "opencode auth login",
    read,
};

/// The entry that is good for longest speaks for the file; a key is good for ever.
fn read(file: &Value) -> Option<Login> {
    let file = file.as_object()?;
    let entries: Vec<_> = file.values().filter_map(entry).collect();
    let renewed = entries.iter().map(|login| login.renewed).max()?;
    let longest = entries.into_iter().max_by_key(|login| login.expires_at.unwrap_or(i64::MAX))?;
    let providers = file.iter().filter(|(_, found)| entry(found).is_some()).map(|(id, _)| id.clone());
    Some(Login { renewed, providers: providers.collect(), ..longest })
}

fn entry(entry: &Value) -> Option<Login> {
    if token(entry, "/key").is_some() {
        return Some(Login::default());
    }
    token(entry, "/access").or_else(|| token(entry, "/refresh"))?;
    let expires_at = entry.get("expires").and_then(Value::as_i64).map(|millis| millis.div_euclid(1000));
    Some(Login {
        expires_at: expires_at.filter(|at| *at > 0),
        renewable: token(entry, "/refresh").is_some(),
        account: None,
        renewed: expires_at.unwrap_or_default(),
        providers: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_account_ends_and_a_key_does_not() {
        let account =
            json!({"type": "oauth", "refresh": "r", "access": "a", "expires": 1_795_629_600_000_i64});
        let login = read(&json!({"openai": account})).unwrap();
        assert_eq!((login.expires_at, login.renewable), (Some(1_795_629_600), true));
        let both = read(&json!({"openai": account, "anthropic": {"type": "api", "key": "k"}})).unwrap();
        assert_eq!((both.expires_at, both.renewed), (None, 1_795_629_600));
        assert_eq!(both.providers, ["openai", "anthropic"]);
        assert_eq!(read(&json!({"openai": {"type": "api"}})), None);
    }
}
