//! More than one message: queued, after the end, and a person's conversation.

use sandboxed_domain::api::{EventBody, MessageParams};
use sandboxed_domain::mission::{MissionStatus, Outcome, ReportedBy};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{BOSS, Stage, report, word_of, worker};

fn waits(body: &EventBody) -> bool {
    matches!(body, EventBody::MissionStatusChanged { status: MissionStatus::Waiting, .. })
}

#[tokio::test]
async fn a_message_to_a_busy_worker_becomes_its_next_turn() {
    let gate = "mkfifo gate; cat gate";
    let script = Script::default()
        .scenario("first", [Step::bash(gate), Step::text("BLOCKED: first turn")])
        .scenario("second", [Step::text("DONE: second turn")]);
    let stage = Stage::new(script).await;
    let id = stage.worker(worker("go [[first]]")).await;
    stage.event(id, |body| matches!(body, EventBody::ToolCall { .. })).await;
    let params = json!({"worker_id": id, "content": "and then [[second]]"});
    let answer: Value = stage.daemon.call(BOSS, "send_message_to_worker", params).await;
    assert_eq!((answer["queued"].as_bool(), answer["position"].as_u64()), (Some(true), Some(1)));
    let gate = stage.mission_dir(id).await.join("gate");
    stage.open_gate(&gate).await;
    let record = stage.end(id).await;
    assert_eq!((record.turns, word_of(&record)), (2, (Some(Outcome::Done), ReportedBy::Text)), "{record:#?}");
    let second = stage.conversation("second/0").await;
    assert!(second.contains("first turn"), "the second turn knows the first");
    let events = stage.daemon.events(id).await;
    let ends = events.iter().filter(
        |event| matches!(event.body, EventBody::MissionStatusChanged { status, .. } if status.is_ended()),
    );
    assert_eq!(ends.count(), 1);
    stage.finish().await;
}

#[tokio::test]
async fn an_ended_worker_goes_on_with_the_clis_own_session_and_a_new_word() {
    let script = Script::default()
        .scenario(
            "first",
            [report("BLOCKED", "wants a decision"), Step::text("What should I do with the blue file?")],
        )
        .scenario("second", [Step::bash("echo more >> file.txt"), Step::text("DONE: went on")]);
    let stage = Stage::new(script).await;
    let first = stage.run(worker("the marmalade task [[first]]")).await;
    assert_eq!(
        (first.status, word_of(&first)),
        (MissionStatus::Blocked, (Some(Outcome::Blocked), ReportedBy::Tool))
    );
    let second = stage.resume(first.worker_id, "throw it away [[second]]").await;
    assert_eq!(
        (second.status, word_of(&second)),
        (MissionStatus::Completed, (Some(Outcome::Done), ReportedBy::Text))
    );
    assert_eq!((second.reported.summary.as_str(), second.turns), ("went on", 2));
    let request = stage.conversation("second/0").await;
    for words in
        ["the marmalade task", "wants a decision", "What should I do with the blue file?", "throw it away"]
    {
        assert!(request.contains(words), "{words:?} is missing in {request}");
    }
    assert_eq!(
        std::fs::read_to_string(stage.mission_dir(first.worker_id).await.join("file.txt")).unwrap(),
        "more\n"
    );
    stage.finish().await;
}

#[tokio::test]
async fn a_persons_mission_waits_takes_a_message_and_goes_on() {
    let script = Script::default()
        .scenario("hello", [Step::text("DONE is a word like any other here.\nDONE")])
        .scenario("more", [Step::text("More of it.")])
        .scenario("last", [Step::text("The last.")]);
    let stage = Stage::new(script).await;
    let mission = stage.mission("good morning [[hello]]").await;
    let at = stage.event(mission.id, waits).await.sequence;
    let client = stage.daemon.client();
    let params = MessageParams { content: "tell me more [[more]]".into(), mission_id: Some(mission.id) };
    client.message(&params).await.unwrap();
    let at = stage.event_after(mission.id, at, waits).await.sequence;
    assert!(stage.conversation("more/0").await.contains("good morning"));

    client.cancel_mission(mission.id).await.unwrap();
    let end = stage.event_after(mission.id, at, crate::stage::ended).await;
    let params = serde_json::from_value(json!({"content": "come back [[last]]"})).unwrap();
    client.resume_mission(mission.id, &params).await.unwrap();
    stage.event_after(mission.id, end.sequence, waits).await;
    let said = stage.conversation("last/0").await;
    assert!(said.contains("good morning") && said.contains("More of it."), "{said}");
    stage.finish().await;
}

#[tokio::test]
async fn a_message_that_a_failed_turn_left_unread_comes_first_when_the_worker_is_resumed() {
    let script = Script::default()
        .scenario("fails", [Step { first_delay_ms: 1500, ..Step::error(401) }])
        .scenario("next", [Step::text("The first."), Step::text("DONE: the second")]);
    let stage = Stage::new(script).await;
    let id: Uuid = stage.worker(worker("go [[fails]]")).await;
    stage.request("fails/0").await;
    let params = json!({"worker_id": id, "content": "and [[next]]"});
    let _: Value = stage.daemon.call(BOSS, "send_message_to_worker", params).await;
    let record = stage.end(id).await;
    assert_eq!(record.status, MissionStatus::Failed, "{record:#?}");
    let resumed = stage.resume(id, "and go on").await;
    assert_eq!((resumed.status, resumed.reported.summary.as_str()), (MissionStatus::Completed, "the second"));
    let first = stage.conversation("next/0").await;
    assert!(first.contains("and [[next]]") && !first.contains("and go on"), "{first}");
    assert!(stage.conversation("next/1").await.contains("and go on"));
    stage.finish().await;
}
