//! Messages into the running turn: heard in it, once, whatever dies meanwhile.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandboxed_domain::api::{EventBody, MessageParams, SendMessageResponse};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::agents::{BOSS, CODEX, Case, Stage, end_of, processes_of, usages};

const WORDS: &str = "mind the gap [[second]]";

fn script() -> Script {
    Script::default()
        .scenario("first", [Step::bash("mkfifo gate; cat gate; echo opened"), Step::text("BLOCKED: deaf")])
        .scenario("second", [Step::text("DONE: heard it")])
        .scenario("third", [Step::text("DONE: and on")])
}

/// A worker whose tool waits at its gate.
async fn at_gate(stage: &Stage, case: &Case) -> (Uuid, std::path::PathBuf) {
    let id = stage.worker(case.worker("go [[first]]")).await;
    let gate = stage.made(id, "gate").await;
    (id, gate)
}

/// Tells it something meanwhile.
async fn tell(stage: &Stage, id: Uuid) {
    let params = json!({"worker_id": id, "content": WORDS, "into_running_turn": true});
    let answer: SendMessageResponse = stage.daemon.call(BOSS, "send_message_to_worker", params).await;
    assert_eq!((answer.queued, answer.position, answer.into_running_turn), (false, 0, true));
}

/// One turn, which ends with the words, heard once and after what the tool had printed.
async fn heard_once(stage: &Stage, id: Uuid) {
    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    assert_eq!((record.turns, record.reported.summary.as_str()), (1, "heard it"));
    let said = stage.conversation("second/0").await;
    assert_eq!(said.matches("mind the gap").count(), 1, "{said}");
    assert!(said.contains("opened"), "{said}");
    // The agent may have asked its model once more before it was given the words, above all after a restart.
    let answers = stage.answers();
    assert!(
        answers == ["first/0", "second/0"] || answers == ["first/0", "first/1", "second/0"],
        "{answers:?}"
    );
    let events = stage.daemon.events(id).await;
    assert_eq!(usages(&events).len(), 1);
    let told = |event: &&sandboxed_domain::api::Event| matches!(&event.body, EventBody::UserMessage { content, queued: false, .. } if content == WORDS);
    assert_eq!(events.iter().filter(told).count(), 1, "{events:#?}");
    assert!(!events.iter().any(|event| matches!(event.body, EventBody::Error { .. })), "{events:#?}");
}

#[tokio::test]
async fn a_message_is_heard_in_the_turn_that_runs() {
    let case = Case::new(&CODEX);
    let stage = Stage::new(&[&case], script()).await;
    let (id, gate) = at_gate(&stage, &case).await;
    tell(&stage, id).await;
    stage.open_gate(&gate).await;
    heard_once(&stage, id).await;
    stage.finish().await;
}

#[tokio::test]
async fn it_is_heard_once_when_the_daemon_dies_as_soon_as_it_has_accepted_it() {
    let case = Case::new(&CODEX);
    let mut stage = Stage::new(&[&case], script()).await;
    let (id, gate) = at_gate(&stage, &case).await;
    tell(&stage, id).await;
    stage.daemon.kill9();
    stage.daemon.restart().await;
    stage.open_gate(&gate).await;
    heard_once(&stage, id).await;
    // The gate may have opened before the daemon had taken its mission up again.
    let answers = stage.answers();
    assert!(
        answers == ["first/0", "second/0"] || answers == ["first/0", "first/1", "second/0"],
        "{answers:?}"
    );
    stage.finish().await;
}

#[tokio::test]
async fn what_a_killed_agent_had_not_heard_comes_first_when_it_is_resumed() {
    let case = Case::new(&CODEX);
    let stage = Stage::new(&[&case], script()).await;
    let (id, _gate) = at_gate(&stage, &case).await;
    let agent = Pid::from_raw(processes_of(id)[0].pid);
    // It hears nothing from here on: Codex takes words into its session some milliseconds before it tells that it did.
    kill(agent, Signal::SIGSTOP).unwrap();
    tell(&stage, id).await;
    kill(agent, Signal::SIGKILL).unwrap();
    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (S::Failed, Some(R::HarnessError)), "{record:#?}");
    let resumed = stage.resume(id, "go on [[third]]").await;
    assert_eq!(
        (end_of(&resumed), resumed.reported.summary.as_str()),
        ((S::Completed, Some(R::Done)), "and on")
    );
    assert_eq!(stage.answers(), ["first/0", "second/0", "third/0"]);
    let said = stage.conversation("third/0").await;
    assert_eq!(said.matches("mind the gap").count(), 1, "{said}");
    stage.finish().await;
}

#[tokio::test]
async fn without_a_running_turn_it_is_refused() {
    let case = Case::new(&CODEX);
    let script = Script::default().scenario("s", [Step::text("Hello.")]);
    let stage = Stage::new(&[&case], script).await;
    let mission = stage.mission(&case, "hello [[s]]").await;
    let waits = |body: &EventBody| matches!(body, EventBody::MissionStatusChanged { status: S::Waiting, .. });
    stage.event(mission.id, waits).await;
    let params =
        MessageParams { content: "more".into(), mission_id: Some(mission.id), into_running_turn: true };
    let error = stage.daemon.client().message(&params).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.field.as_deref()),
        ("wrong_state".into(), Some("into_running_turn"))
    );
    assert_eq!(stage.daemon.client().queue().await.unwrap(), []);
    let params = json!({"worker_id": Uuid::nil(), "content": "x", "into_running_turn": true});
    let refused: Result<Value, _> = stage.daemon.tool(BOSS, "send_message_to_worker", params).await;
    assert_eq!(refused.unwrap_err().code.as_str(), "unknown_worker");
    stage.finish().await;
}
