use serde_json::json;

use super::super::registry;
use super::*;

fn held(digest: &str, account: Option<&str>, renewed: i64) -> Held {
    let login = Login { account: account.map(str::to_owned), renewed, renewable: true, ..Login::default() };
    Held { digest: digest.to_owned(), login }
}

#[test]
fn only_a_newer_form_of_what_was_lent_comes_back() {
    use LoginStep as S;
    let user = held("u", Some("me"), 10);
    let newer = held("n", Some("me"), 11);
    let table = [
        ("as it was", Some(&user), Some("u"), Some(&user), S::Leave),
        ("renewed", Some(&user), Some("u"), Some(&newer), S::TakeBack),
        ("older than the user's", Some(&newer), Some("n"), Some(&user), S::Renew),
        ("the user's was renewed meanwhile", Some(&newer), Some("u"), Some(&user), S::Renew),
        ("both were", Some(&held("v", Some("me"), 12)), Some("u"), Some(&newer), S::Renew),
        ("another account", Some(&user), Some("u"), Some(&held("x", Some("you"), 11)), S::Renew),
        ("no account any more", Some(&user), Some("u"), Some(&held("x", None, 11)), S::Renew),
        ("never lent, so planted", Some(&user), None, Some(&newer), S::Renew),
        ("half written", Some(&user), Some("u"), None, S::Leave),
        ("gone, and the user's is new", Some(&newer), Some("u"), None, S::Renew),
        ("the user logged out", None, Some("u"), Some(&newer), S::Remove),
    ];
    for (case, user, lent, theirs, want) in table {
        assert_eq!(login_step(user, lent, theirs, false), want, "{case}");
    }
    assert_eq!(login_step(Some(&user), Some("u"), None, true), S::Renew, "a mission starts with it");
    let crippled = Held { login: Login { renewable: false, ..newer.login.clone() }, ..newer };
    assert_eq!(login_step(Some(&user), Some("u"), Some(&crippled), false), S::Renew, "it cannot be renewed");
}

#[test]
fn what_was_not_lent_stays_with_its_user() {
    let file = LoginFile {
        directory: ".x",
        moved_by: None,
        name: "login.json",
        lent: &["oauth"],
        way: LoginWay::Links(".x", &["lock"]),
        command: "x login",
        read: |_| None,
    };
    let whole = json!({"oauth": {"access": "a", "refresh": "r", "plan": "max"}, "other": {"secret": "s"}});
    assert_eq!(file.lent(&whole), json!({"oauth": {"access": "a", "refresh": "r", "plan": "max"}}));
    let theirs = json!({"oauth": {"access": "b"}, "other": {"secret": "mine"}, "more": 1});
    assert_eq!(
        file.returned(&whole, &theirs),
        json!({"oauth": {"access": "b", "refresh": "r", "plan": "max"}, "other": {"secret": "s"}})
    );
    let link = |name: &str| (format!("/m/1/.x/{name}"), format!("/m/.logins/x/{name}"));
    assert_eq!(file.placed("/m/.logins/x", "/m/1").links, [link("login.json"), link("lock")]);
    let named = LoginFile { way: LoginWay::File("X_LOGIN"), ..file };
    let variable = ("X_LOGIN".to_owned(), "/m/.logins/x/login.json".to_owned());
    assert_eq!(named.placed("/m/.logins/x", "/m/1"), Placed { variable: Some(variable), links: Vec::new() });
}

#[test]
fn the_order_of_writing_is_no_difference() {
    let (one, other): (Value, Value) = (
        serde_json::from_str(r#"{"b":[{"y":1,"x":2}],"a":{"d":1,"c":2}}"#).unwrap(),
        serde_json::from_str(r#"{"a":{"c":2,"d":1},"b":[{"x":2,"y":1}]}"#).unwrap(),
    );
    assert_eq!(canonical(&one), canonical(&other));
    assert_ne!(canonical(&json!([1, 2])), canonical(&json!([2, 1])));
}

#[test]
fn readiness_says_what_the_login_is_good_for_and_what_to_do() {
    for harness in registry().iter().filter(|harness| harness.login().is_some()) {
        let otherwise = || Readiness { auth: AuthKind::None, ready: false, reason: "no key".to_owned() };
        let shared = |expires_at, renewable| LoginFound::Shared {
            path: "/home/me/login.json".to_owned(),
            login: Login { expires_at, renewable, ..Login::default() },
        };
        let command = harness.login().unwrap().command;
        let kept = LoginFound::Kept { path: "/home/me/login.json".to_owned() };
        let share = format!("add {} to SANDBOXED_SH_SHARE_LOGINS", harness.id());
        let table = [
            (LoginFound::None, false, "no key"),
            (kept, false, share.as_str()),
            (shared(None, false), true, "uses the login in /home/me/login.json"),
            (shared(Some(2000), true), true, "good until 1970-01-01 00:33:20 UTC and renewed"),
            (shared(Some(2000), false), true, command),
            (shared(Some(500), true), true, "renewed at its next use"),
            (shared(Some(500), false), false, command),
        ];
        for (found, ready, words) in table {
            let told = login_readiness(*harness, &found, otherwise(), 1000);
            assert_eq!((told.ready, told.reason.contains(words)), (ready, true), "{found:?}: {told:?}");
        }
    }
}

#[test]
fn every_login_file_is_described_wholly() {
    for file in registry().iter().filter_map(|harness| harness.login()) {
        assert!(!file.name.contains('/') && !file.directory.starts_with('/') && !file.command.is_empty());
        assert_eq!((file.read)(&json!({})), None);
        assert_eq!((file.read)(&json!([])), None);
    }
}
