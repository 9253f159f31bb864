//! The login of Claude Code's user.
//!
//! The CLI looks at the file before each request, and renews under a lock that lies in the same directory
//! (`.oauth_refresh.lock`), reading the file once more when it has it: missions that share the directory renew once.

use serde_json::Value;

use super::super::login::{Login, LoginFile, LoginWay, token};

/// Beside the login itself the file holds those of the user's MCP servers, which stay with the user.
const LOGIN: &str = "claudeAiOauth";

pub(super) static FILE: LoginFile = LoginFile {
    directory: ".claude",
    moved_by: Some("CLAUDE_CONFIG_DIR"),
    name: ".credentials.json",
    lent: &[LOGIN],
    way: LoginWay::Directory("CLAUDE_SECURESTORAGE_CONFIG_DIR"),
    command: "claude /login",
    read,
};

fn read(file: &Value) -> Option<Login> {
    let login = file.get(LOGIN)?;
    token(login, "/accessToken")?;
    let expires_at = login.get("expiresAt").and_then(Value::as_i64);
    let renewable = token(login, "/refreshToken").is_some();
    Some(Login {
        expires_at: expires_at.map(|millis| millis.div_euclid(1000)),
        renewable,
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
    fn the_file_says_when_it_ends_and_whether_it_is_renewed() {
        let whole = json!({"claudeAiOauth": {
            "accessToken": "sk-ant-oat01-x", "refreshToken": "sk-ant-ort01-x", "expiresAt": 1_795_632_780_000_i64,
            "scopes": ["user:inference"], "subscriptionType": "max"
        }, "mcpOauth": {"x": {"accessToken": "t"}}});
        let login = read(&whole).unwrap();
        assert_eq!((login.expires_at, login.renewable), (Some(1_795_632_780), true));
        assert!(FILE.lent(&whole).get("mcpOauth").is_none());
        assert!(!read(&json!({"claudeAiOauth": {"accessToken": "t"}})).unwrap().renewable);
        for no in [json!({"claudeAiOauth": {}}), json!({"claudeAiOauth": {"accessToken": "a\nb"}}), json!(1)]
        {
            assert_eq!(read(&no), None, "{no}");
        }
    }
}
