//! Several keys of one backend: a limit of one is no limit of the others, and without any nobody tries before its end.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use chrono::{DateTime, TimeDelta, Utc};
use sandboxed_domain::api::{AttentionKind, EventBody, ParkCause};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::json;
use uuid::Uuid;

use crate::agents::{BOSS, Behaviour, Case, Stage, end_of};

/// What was told of credentials: the name, and the end of its limit. So exact is what is stored of a limit.
async fn told(stage: &Stage, mission: Uuid) -> Vec<(String, Option<i64>)> {
    let credential = |body| match body {
        EventBody::Credential { label, limited_until } => {
            Some((label, limited_until.map(|until: DateTime<Utc>| until.timestamp_micros())))
        }
        _ => None,
    };
    stage.daemon.events(mission).await.into_iter().filter_map(|event| credential(event.body)).collect()
}

/// The keys that a scenario was asked with, in order.
fn keys_of(stage: &Stage, scenario: &str) -> Vec<String> {
    let requests = stage.stub.requests().into_iter();
    let of_scenario = requests.filter(|request| request.answer.starts_with(&format!("{scenario}/")));
    let mut keys: Vec<_> = of_scenario.map(|request| request.key.clone()).collect();
    keys.dedup();
    keys
}

pub async fn a_limited_key_rests_and_the_next_one_serves(case: &Case) {
    let keys = ["", "-second", "-third"].map(|more| format!("{}{more}", case.key));
    let names = ["", "_2", "_3"].map(|number| format!("{}{number}", case.key_variable));
    let limited = Step {
        error: Step::error(429).error,
        only_keys: keys[..2].to_vec(),
        ..Step::text("DONE: in the end")
    };
    let script = Script::default().scenario("one", [limited]).scenario("two", [Step::text("DONE: later")]);
    let settings = [(names[1].as_str(), keys[1].as_str()), ("SANDBOXED_SH_RATE_LIMIT_SECONDS", "1800")];
    let stage = Stage::with_settings(&[case], script, &settings).await;
    let one = stage.worker(case.worker("the marmalade task [[one]]")).await;
    let answer = stage.daemon.wait(BOSS, json!({"timeout_seconds": 240})).await;
    let parked = &answer.events[0];
    assert_eq!((parked.kind, parked.status), (AttentionKind::RateLimited, S::RateLimited), "{answer:#?}");
    let told = told(&stage, one).await;
    let limits: Vec<_> = told.iter().map(|(name, limit)| (name.as_str(), limit.is_some())).collect();
    let [first, second, _] = names.each_ref().map(String::as_str);
    assert_eq!(limits, [(first, false), (first, true), (second, false), (second, true)]);
    let ends = told.iter().filter_map(|(_, limit)| *limit);
    assert_eq!(parked.parked_until.map(|until| until.timestamp_micros()), ends.min());
    assert_eq!(keys_of(&stage, "one"), keys[..2], "each was tried, and none once more");

    // Nobody else meets the limit.
    let two = stage.worker(case.worker("go [[two]]")).await;
    let held = |body: &EventBody| matches!(body, EventBody::Parked { cause: ParkCause::KeyLimited, .. });
    stage.event(two, held).await;
    assert_eq!(stage.daemon.client().mission(two).await.unwrap().status, S::Pending);
    assert!(keys_of(&stage, "two").is_empty());

    // A key more ends the wait at once, in the same session.
    write_key(&stage, &names[2], &keys[2]);
    for id in [one, two] {
        let record = stage.end(id).await;
        assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    }
    assert_eq!((keys_of(&stage, "one"), keys_of(&stage, "two")), (keys.to_vec(), vec![keys[2].clone()]));
    stage.finish().await;
}

pub async fn a_told_end_of_a_limit_is_waited_for(case: &Case) {
    let (variable, key) = case.limit.credential;
    let told = DateTime::from_timestamp(Utc::now().timestamp() + 3600, 0).unwrap();
    let refusal = (case.limit.refusal)(told.timestamp());
    let limited =
        Step { error: Some(refusal), only_keys: vec![key.to_owned()], ..Step::text("DONE: in the end") };
    let script = Script::default().scenario("one", [limited]).scenario("two", [Step::text("DONE: later")]);
    let settings = [(case.key_variable, ""), (variable, key), ("SANDBOXED_SH_RATE_LIMIT_SECONDS", "1200")];
    let stage = Stage::with_settings(&[case], script, &settings).await;
    let one = stage.worker(case.worker("the marmalade task [[one]]")).await;
    let answer = stage.daemon.wait(BOSS, json!({"timeout_seconds": 240})).await;
    let parked = &answer.events[0];
    assert_eq!((parked.kind, parked.status), (AttentionKind::RateLimited, S::RateLimited), "{answer:#?}");
    let until = parked.parked_until.unwrap();
    // Some tell how long to wait, and were told at their request.
    let (first, last) = match case.differs(Behaviour::LimitEnd) {
        false => (told, Utc::now() + TimeDelta::seconds(3604)),
        true => (Utc::now(), Utc::now() + TimeDelta::seconds(1500)),
    };
    assert!(first <= until && until <= last, "{until} and not {first} to {last}");

    let two = stage.worker(case.worker("go [[two]]")).await;
    let held = |body: &EventBody| match body {
        // So exact is what is stored of a limit.
        EventBody::Parked { cause: ParkCause::KeyLimited, until: same, .. } => {
            same.timestamp_micros() == until.timestamp_micros()
        }
        _ => false,
    };
    stage.event(two, held).await;
    write_key(&stage, &format!("{variable}_2"), &format!("{key}-second"));
    for id in [one, two] {
        let record = stage.end(id).await;
        assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    }
    assert_eq!(keys_of(&stage, "two"), [format!("{key}-second")], "nobody else met the limit");
    let asked = stage.stub.requests();
    let said = asked.iter().rfind(|request| request.answer == "one/0").unwrap().body.to_string();
    assert!(said.contains("the marmalade task"), "{said}");
    stage.finish().await;
}

/// Somebody brings a key.
fn write_key(stage: &Stage, name: &str, key: &str) {
    let file = stage.daemon.data().join("keys.env");
    let options = std::fs::File::options().write(true).create_new(true).mode(0o600).open(file);
    writeln!(options.unwrap(), "{name}={key}").unwrap();
}
