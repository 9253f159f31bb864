//! A usage limit whose end the provider tells: the worker waits for just that, and others of its key do not try.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use chrono::{DateTime, TimeDelta, Utc};
use sandboxed_domain::api::{AttentionKind, EventBody, ParkCause};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{ErrorReply, Limit, Script, Step};
use serde_json::json;

use crate::agents::{BOSS, CODEX, Case, Stage, end_of};

#[tokio::test]
async fn a_usage_limit_parks_the_worker_until_the_end_that_is_told() {
    let case = Case::new(&CODEX);
    let told = DateTime::from_timestamp(Utc::now().timestamp() + 3600, 0).unwrap();
    let resets_at = u64::try_from(told.timestamp()).ok();
    let error = ErrorReply { limit: Some(Limit::Usage), resets_at, ..ErrorReply::default() };
    let limited =
        Step { error: Some(error), only_keys: vec![case.key.to_owned()], ..Step::text("DONE: in the end") };
    let script = Script::default().scenario("one", [limited]).scenario("two", [Step::text("DONE: later")]);
    let stage = Stage::new(&[&case], script).await;
    let one = stage.worker(case.worker("the marmalade task [[one]]")).await;
    let answer = stage.daemon.wait(BOSS, json!({"timeout_seconds": 240})).await;
    let event = &answer.events[0];
    assert_eq!((event.kind, event.status), (AttentionKind::RateLimited, S::RateLimited), "{answer:#?}");
    let until = event.parked_until.unwrap();
    assert!(told <= until && until <= told + TimeDelta::seconds(3), "{until} and not {told}");

    let two = stage.worker(case.worker("go [[two]]")).await;
    let held = |body: &EventBody| matches!(body, EventBody::Parked { cause: ParkCause::KeyLimited, until: same, .. } if *same == until);
    stage.event(two, held).await;
    // A key more ends the wait.
    let file = stage.daemon.data().join("keys.env");
    let options = std::fs::File::options().write(true).create_new(true).mode(0o600).open(file);
    writeln!(options.unwrap(), "{}_2={}-second", case.key_variable, case.key).unwrap();
    for id in [one, two] {
        let record = stage.end(id).await;
        assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    }
    let mut answers = stage.answers();
    answers.sort();
    assert_eq!(answers, ["one/0", "one/0", "two/0"]);
    let asked = stage.stub.requests();
    let said = asked.iter().rfind(|request| request.answer == "one/0").unwrap().body.to_string();
    assert_eq!(said.matches("the marmalade task").count(), 1, "taken up, not done again: {said}");
    stage.finish().await;
}
