//! The login of Gemini's user: a Google account.
//!
//! The CLI reads the file when it starts and writes through a link, in place. Google's renewals take nothing back, so
//! missions may renew side by side; what the CLI writes may lack the token that renews, which then stays as it was.

use serde_json::Value;

use super::super::login::{Login, LoginFile, LoginWay, token};

pub(super) static FILE: LoginFile = LoginFile {
    directory: ".gemini",
    moved_by: None,
    name: "oauth_creds.json",
    lent: &[],
    way: LoginWay::Links(".gemini", &[]),
    command: "gemini",
    read,
};

fn read(file: &Value) -> Option<Login> {
    token(file, "/access_token")?;
    let expires_at = file.get("expiry_date").and_then(Value::as_i64).map(|millis| millis.div_euclid(1000));
    Some(Login {
        expires_at,
        renewable: token(file, "/refresh_token").is_some(),
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
    fn the_file_says_when_it_ends_and_what_it_lacks_stays() {
        let file = json!({
            "access_token": "ya29.a", "refresh_token": "1//r", "expiry_date": 1_795_629_600_000_i64,
            "token_type": "Bearer", "scope": "openid"
        });
        let login = read(&file).unwrap();
        assert_eq!((login.expires_at, login.renewable), (Some(1_795_629_600), true));
        let renewed = json!({"access_token": "ya29.b", "expiry_date": 1_795_633_200_000_i64});
        assert!(
            !read(&renewed).unwrap().renewable && read(&FILE.returned(&file, &renewed)).unwrap().renewable
        );
    }
}
