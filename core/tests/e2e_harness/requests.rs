//! A worker asks, somebody answers, and it goes on.

use sandboxed_domain::api::{
    AnswerWorkerResponse, Answerer, ApiError, AttentionKind, Decision, ErrorCode, EventBody,
};
use sandboxed_domain::mission::{MissionStatus, TerminalReason};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::agents::{BOSS, Behaviour, Case, Stage, end_of, ended, report};

/// The next request of a worker that a wait tells: its id, kind and title, and the cursor behind it.
pub struct Asked {
    pub request: String,
    kind: String,
    title: String,
    cursor: String,
}

pub async fn asked(stage: &Stage, id: Uuid, cursor: Option<String>) -> Asked {
    let params = json!({"worker_ids": [id], "cursor": cursor, "timeout_seconds": 240});
    let answer = stage.daemon.wait(BOSS, params).await;
    let [event] = answer.events.as_slice() else { panic!("{answer:#?}") };
    let found = (event.kind, event.status);
    assert_eq!(found, (AttentionKind::NeedsInput, MissionStatus::NeedsInput), "{event:#?}");
    let request = event.request_id.clone().unwrap();
    let pending = stage.daemon.client().requests().await.unwrap();
    let [pending] = pending.as_slice() else { panic!("{pending:#?}") };
    assert_eq!(pending.request_id, request);
    let (kind, title) = (pending.kind.clone(), pending.title.clone());
    assert!(event.summary.contains(&title), "{event:#?}");
    Asked { request, kind, title, cursor: answer.cursor }
}

/// The boss answers.
pub async fn answer(stage: &Stage, request: &str, answer: Value) -> Result<(), ApiError> {
    let mut params = json!({"request_id": request});
    params.as_object_mut().unwrap().extend(answer.as_object().unwrap().clone());
    let answer = stage.daemon.tool(BOSS, "answer_worker", params).await?;
    let answer: AnswerWorkerResponse = serde_json::from_value(answer).unwrap();
    assert!(answer.delivered);
    Ok(())
}

/// The boss and a person answer at once: whose answer counts.
async fn both(
    stage: &Stage,
    request: &str,
    boss: Value,
    (decision, words): (Option<Decision>, Option<&str>),
) -> Answerer {
    let client = stage.daemon.client();
    let person = client.answer_request(request, decision, words.map(str::to_owned));
    let (boss, person) = tokio::join!(answer(stage, request, boss), person);
    let (first, late) = match (boss, person) {
        (Ok(()), Err(late)) => (Answerer::Boss, late),
        (Err(late), Ok(_)) => (Answerer::User, late),
        other => panic!("one counts, the other does not: {other:?}"),
    };
    assert_eq!(late.code, ErrorCode::AlreadyAnswered, "{late:?}");
    first
}

/// Waits for a permission to be asked for, and answers. The cursor behind it.
async fn decide(stage: &Stage, id: Uuid, cursor: Option<String>, what: &str, decision: Value) -> String {
    let asked = permission(stage, id, cursor, what).await;
    answer(stage, &asked.request, decision).await.unwrap();
    asked.cursor
}

async fn permission(stage: &Stage, id: Uuid, cursor: Option<String>, what: &str) -> Asked {
    let asked = asked(stage, id, cursor).await;
    assert_eq!(asked.kind, "permission");
    assert!(asked.title.contains(what), "{}", asked.title);
    asked
}

// A redirection into a file is harmless to none of them.
pub async fn a_permission_is_asked_denied_allowed_and_allowed_always(case: &Case) {
    let script = Script::default()
        .scenario(
            "one",
            [
                Step::bash("echo one > one"),
                Step::bash("echo two > two"),
                Step::bash("echo two > two"),
                Step::text("BLOCKED: and now?"),
            ],
        )
        .scenario(
            "two",
            [Step::bash("echo two > two"), Step::bash("echo three > three"), Step::text("DONE")],
        );
    let mut stage = Stage::new(&[case], script).await;
    let id = stage.worker(case.worker_with("go [[one]]", json!({"permission_mode": "default"}))).await;
    let one = permission(&stage, id, None, "echo one > one").await;
    let (allow, deny) = (json!({"decision": "allow"}), (Some(Decision::Deny), None));
    let counts = both(&stage, &one.request, allow, deny).await;
    let cursor = one.cursor;
    let open = asked(&stage, id, Some(cursor.clone())).await;
    stage.daemon.kill9();
    stage.daemon.restart().await;
    // The request is still there, and who waits with the old cursor is told of it again.
    assert_eq!(asked(&stage, id, Some(cursor.clone())).await.request, open.request);
    let always = json!({"decision": "allow_always"});
    let cursor = decide(&stage, id, Some(cursor), "echo two > two", always).await;
    let end =
        stage.daemon.wait(BOSS, json!({"worker_ids": [id], "cursor": cursor, "timeout_seconds": 240})).await;
    let first = stage.daemon.record(BOSS, id).await;
    assert_eq!(end_of(&first), (MissionStatus::Blocked, Some(TerminalReason::ReportedBlocked)), "{first:#?}");

    let before = stage.newest(id).await;
    let params = json!({"worker_id": id, "prompt": "go on [[two]]"});
    let _: Value = stage.daemon.call(BOSS, "resume_worker", params).await;
    let no = json!({"decision": "deny", "answer": "not that one"});
    decide(&stage, id, Some(end.cursor), "echo three > three", no).await;
    stage.event_after(id, before, ended).await;
    let second = stage.daemon.record(BOSS, id).await;
    assert_eq!(end_of(&second), (MissionStatus::Completed, Some(TerminalReason::Done)), "{second:#?}");

    let directory = stage.mission_dir(id).await;
    let made = ["one", "two", "three"].map(|name| directory.join(name).exists());
    assert_eq!(made, [counts == Answerer::Boss, true, false]);
    let told = stage.conversation("two/2").await.contains("not that one");
    assert_eq!(told, !case.differs(Behaviour::DenialReason));
    assert_eq!(answerers(&stage, id).await, [counts, Answerer::Boss, Answerer::Boss]);
    stage.finish().await;
}

/// Who answered what somebody had to answer, in order.
async fn answerers(stage: &Stage, id: Uuid) -> Vec<Answerer> {
    let by = |body| match body {
        EventBody::RequestAnswered { by: by @ (Answerer::Boss | Answerer::User), .. } => Some(by),
        _ => None,
    };
    stage.daemon.events(id).await.into_iter().filter_map(|event| by(event.body)).collect()
}

/// Names of the tools with which agents ask.
const QUESTION_TOOLS: [&str; 5] =
    ["AskUserQuestion", "ask_user_question", "ask_user", "question", "request_user_input"];

/// An agent that cannot ask offers no such tool to its model.
async fn cannot_ask(case: &Case) {
    let stage = Stage::with(case, [Step::text("DONE")]).await;
    stage.run(case.worker("paint it [[s]]")).await;
    let offered = stage.conversation("s/0").await;
    assert!(offered.contains(case.shell), "{offered}");
    for tool in QUESTION_TOOLS {
        assert!(!offered.contains(&format!("\"name\":\"{tool}\"")), "{tool} is offered: {offered}");
    }
    stage.finish().await;
}

pub async fn a_question_wakes_the_boss_and_its_answer_reaches_the_model(case: &Case) {
    if case.differs(Behaviour::Question) {
        return cannot_ask(case).await;
    }
    let question = Step::ask("Which colour shall it be?", ["Blue", "Green"]);
    let mut stage = Stage::with(case, [question, report("DONE", "painted"), Step::text("Done.")]).await;
    let id = stage.worker(case.worker("paint it [[s]]")).await;
    let before = asked(&stage, id, None).await;
    stage.daemon.kill9();
    stage.daemon.restart().await;
    let asked = asked(&stage, id, None).await;
    assert_eq!(asked.request, before.request);
    assert_eq!((asked.kind.as_str(), asked.title.as_str()), ("question", "Which colour shall it be?"));
    let boss = json!({"answer": "Ultramarine"});
    let first = both(&stage, &asked.request, boss, (None, Some("Vermilion"))).await;

    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (MissionStatus::Completed, Some(TerminalReason::Done)), "{record:#?}");
    let heard = stage.conversation("s/1").await;
    let words = ["Ultramarine", "Vermilion"].map(|word| heard.contains(word));
    assert_eq!(words, [first == Answerer::Boss, first == Answerer::User], "{heard}");
    assert_eq!(answerers(&stage, id).await, [first]);
    stage.finish().await;
}
