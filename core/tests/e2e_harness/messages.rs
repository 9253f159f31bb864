//! More than one message: to a busy worker, and a person's conversation.

use sandboxed_domain::api::{EventBody, MessageParams};
use sandboxed_domain::mission::{MissionStatus, Outcome, ReportedBy};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::{Value, json};

use crate::agents::{BOSS, Case, Stage, ended, word_of};

fn waits(body: &EventBody) -> bool {
    matches!(body, EventBody::MissionStatusChanged { status: MissionStatus::Waiting, .. })
}

pub async fn a_message_to_a_busy_worker_becomes_its_next_turn(case: &Case) {
    let script = Script::default()
        .scenario("first", [Step::bash("mkfifo gate; cat gate"), Step::text("BLOCKED: first turn")])
        .scenario("second", [Step::text("DONE: second turn")]);
    let stage = Stage::new(&[case], script).await;
    let id = stage.worker(case.worker("go [[first]]")).await;
    let gate = stage.made(id, "gate").await;
    let params = json!({"worker_id": id, "content": "and then [[second]]"});
    let answer: Value = stage.daemon.call(BOSS, "send_message_to_worker", params).await;
    assert_eq!((answer["queued"].as_bool(), answer["position"].as_u64()), (Some(true), Some(1)));
    stage.open_gate(&gate).await;
    let record = stage.end(id).await;
    assert_eq!((record.turns, word_of(&record)), (2, (Some(Outcome::Done), ReportedBy::Text)), "{record:#?}");
    let second = stage.conversation("second/0").await;
    assert!(second.contains("first turn"), "the second turn knows the first: {second}");
    assert_eq!(stage.answers(), ["first/0", "first/1", "second/0"]);
    let events = stage.daemon.events(id).await;
    assert_eq!(events.iter().filter(|event| ended(&event.body)).count(), 1, "{events:#?}");
    stage.finish().await;
}

pub async fn a_persons_mission_waits_and_goes_on(case: &Case) {
    let script = Script::default()
        .scenario("hello", [Step::text("DONE is a word like any other here.\nDONE")])
        .scenario("more", [Step::text("More of it.")])
        .scenario("last", [Step::text("The last.")]);
    let stage = Stage::new(&[case], script).await;
    let mission = stage.mission(case, "good morning [[hello]]").await;
    let at = stage.event(mission.id, waits).await.sequence;
    let client = stage.daemon.client();
    let params = MessageParams {
        content: "tell me more [[more]]".into(),
        mission_id: Some(mission.id),
        ..MessageParams::default()
    };
    client.message(&params).await.unwrap();
    let at = stage.event_after(mission.id, at, waits).await.sequence;
    assert!(stage.conversation("more/0").await.contains("good morning"));

    client.cancel_mission(mission.id).await.unwrap();
    let end = stage.event_after(mission.id, at, ended).await;
    let params = serde_json::from_value(json!({"content": "come back [[last]]"})).unwrap();
    client.resume_mission(mission.id, &params).await.unwrap();
    stage.event_after(mission.id, end.sequence, waits).await;
    let said = stage.conversation("last/0").await;
    assert!(said.contains("good morning") && said.contains("More of it."), "{said}");
    stage.finish().await;
}
