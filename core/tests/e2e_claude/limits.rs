//! Limits and passing failures of the provider: parked without a slot, taken up in the same session, bounded.

use chrono::{DateTime, TimeDelta, Utc};
use sandboxed_domain::api::{AttentionKind, EventBody, LayoutResponse, ParkCause};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{ErrorReply, Script, Step};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{BOSS, Stage, end_of, report, worker, worker_with};

/// The CLI tries each request twice in this stage.
const ONE_TURN: Option<u32> = Some(2);

/// A refusal for `times` requests, then the worker is done.
fn refused(status: u16, times: Option<u32>) -> [Step; 2] {
    [
        Step { times, ..Step { error: Step::error(status).error, ..report("DONE", "in the end") } },
        Step::text("Done."),
    ]
}

/// A usage limit of a subscription, met once: it ends at a time that the provider tells.
fn usage_limit(resets_at: DateTime<Utc>) -> [Step; 2] {
    let headers = [
        ("anthropic-ratelimit-unified-status", "rejected".to_owned()),
        ("anthropic-ratelimit-unified-reset", resets_at.timestamp().to_string()),
        ("anthropic-ratelimit-unified-representative-claim", "five_hour".to_owned()),
    ];
    let error = ErrorReply {
        status: 429,
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..ErrorReply::default()
    };
    [Step { error: Some(error), times: Some(1), ..report("DONE", "in the end") }, Step::text("Done.")]
}

/// A subscription instead of an API key.
const SUBSCRIPTION: [(&str, &str); 2] =
    [("ANTHROPIC_API_KEY", ""), ("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-test-7e57ab1e5ec2e7")];

fn becomes(wanted: S) -> impl Fn(&EventBody) -> bool {
    move |body| matches!(body, EventBody::MissionStatusChanged { status, .. } if *status == wanted)
}

fn is_parked(body: &EventBody) -> bool {
    matches!(body, EventBody::Parked { .. })
}

/// Causes and counts of the times that a mission waited by itself.
async fn parks(stage: &Stage, mission: Uuid) -> Vec<(ParkCause, u32, u32)> {
    let parked = |body| match body {
        EventBody::Parked { cause, attempt, of, .. } => Some((cause, attempt, of)),
        _ => None,
    };
    stage.daemon.events(mission).await.into_iter().filter_map(|event| parked(event.body)).collect()
}

/// How often the model is shown a text.
fn occurrences(conversation: &str, text: &str) -> usize {
    conversation.matches(text).count()
}

#[tokio::test]
async fn a_limit_parks_the_worker_without_a_slot_until_its_end_and_others_of_the_key_do_not_try() {
    let resets_at = Utc::now() + TimeDelta::seconds(12);
    let script = Script::default()
        .scenario("first", usage_limit(resets_at))
        .scenario("second", [report("DONE", "later"), Step::text("Done.")]);
    let mut settings = SUBSCRIPTION.to_vec();
    settings.push(("SANDBOXED_SH_MAX_PARALLEL", "1"));
    let mut stage = Stage::with_settings(script, &settings).await;
    let first = stage.worker(worker("the marmalade task [[first]]")).await;
    let answer = stage.daemon.wait(BOSS, json!({"timeout_seconds": 240})).await;
    let event = &answer.events[0];
    assert_eq!(
        (event.worker_id, event.kind, event.status),
        (first, AttentionKind::RateLimited, S::RateLimited)
    );
    let until = event.parked_until.unwrap();
    let told = DateTime::from_timestamp(resets_at.timestamp(), 0).unwrap();
    assert!(told <= until && until <= told + TimeDelta::seconds(3), "{event:?}");
    assert_eq!(stage.daemon.client().mission(first).await.unwrap().parked_until, Some(until));

    // Its slot, the only one, is free; but not for one that would meet the same limit.
    let second = stage.worker(worker("go [[second]]")).await;
    let held = stage.event(second, is_parked).await;
    assert!(
        matches!(held.body, EventBody::Parked { cause: ParkCause::KeyLimited, until: same, .. } if same == until)
    );
    let program = json!({"title": "program", "backend": "command", "prompt": "true"});
    assert_eq!(end_of(&stage.run(program).await), (S::Completed, Some(R::Done)));
    let progress = stage.daemon.client().progress().await.unwrap();
    let waiting: Vec<_> = progress.iter().map(|view| (view.status, view.parked_until)).collect();
    assert_eq!(waiting, [(S::RateLimited, Some(until)), (S::Pending, Some(until))]);
    let layout: LayoutResponse = stage.daemon.call(BOSS, "get_workspace_layout", json!({})).await;
    assert_eq!((layout.limits.active, layout.limits.free_slots), (0, 1));

    stage.daemon.kill9();
    stage.daemon.restart().await;
    assert!(Utc::now() < resets_at, "the test is about a limit that is still there");
    for id in [first, second] {
        let record = stage.end(id).await;
        assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    }
    assert!(Utc::now() >= told, "nobody tried before the limit was over");
    assert_eq!(parks(&stage, first).await, [(ParkCause::RateLimited, 1, 10)]);
    // The session had the message: it was taken up, not done again.
    let conversation = stage.conversation("first/1").await;
    assert_eq!(occurrences(&conversation, "the marmalade task"), 1, "{conversation}");
    assert_eq!(occurrences(&conversation, "Go on where it stopped"), 1, "{conversation}");
    stage.finish().await;
}

#[tokio::test]
async fn parks_are_bounded_and_each_is_told() {
    let settings = [("SANDBOXED_SH_RATE_LIMIT_PARKS", "2"), ("SANDBOXED_SH_RATE_LIMIT_SECONDS", "1")];
    let stage = Stage::with_settings(Script::default().scenario("s", refused(429, None)), &settings).await;
    let record = stage.run(worker("go [[s]]")).await;
    assert_eq!(end_of(&record), (S::Failed, Some(R::RateLimited)), "{record:#?}");
    let expected = [(ParkCause::RateLimited, 1, 2), (ParkCause::RateLimited, 2, 2)];
    assert_eq!(parks(&stage, record.worker_id).await, expected);
    stage.finish().await;
}

#[tokio::test]
async fn a_parked_worker_is_resumed_or_cancelled_at_once() {
    let settings = [("SANDBOXED_SH_RATE_LIMIT_SECONDS", "3600")];
    let script = Script::default()
        .scenario("one", refused(429, ONE_TURN))
        .scenario("two", refused(429, ONE_TURN))
        .scenario("other", [report("DONE", "otherwise"), Step::text("Done.")]);
    let stage = Stage::with_settings(script, &settings).await;
    let ids = stage.create(json!([worker("go [[one]]"), worker("go [[two]]")])).await;
    for id in &ids {
        stage.event(*id, becomes(S::RateLimited)).await;
    }
    let list: Value = stage.daemon.call(BOSS, "list_workers", json!({})).await;
    assert!(list["workers"].as_array().unwrap().iter().all(|row| row["parked_until"].is_string()), "{list}");
    let cancelled: Value = stage.daemon.call(BOSS, "cancel_worker", json!({"worker_ids": [ids[0]]})).await;
    assert_eq!(cancelled["cancelled"], json!([ids[0]]));
    assert_eq!(stage.daemon.client().mission(ids[0]).await.unwrap().status, S::Cancelled);
    let params = json!({"worker_id": ids[1], "prompt": "another way [[other]]"});
    let _: Value = stage.daemon.call(BOSS, "resume_worker", params).await;
    let record = stage.end(ids[1]).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    assert_eq!(record.reported.summary, "otherwise");
    stage.finish().await;
}

#[tokio::test]
async fn a_provider_that_fails_for_a_moment_is_asked_again_so_often_and_no_more() {
    let settings = [("SANDBOXED_SH_RETRIES", "1"), ("SANDBOXED_SH_RETRY_SECONDS", "1")];
    let script =
        Script::default().scenario("once", refused(503, ONE_TURN)).scenario("down", refused(503, None));
    let stage = Stage::with_settings(script, &settings).await;
    let once = stage.run(worker_with("the marmalade task [[once]]", json!({}))).await;
    assert_eq!(end_of(&once), (S::Completed, Some(R::Done)), "{once:#?}");
    assert_eq!(parks(&stage, once.worker_id).await, [(ParkCause::Transient, 1, 1)]);
    assert_eq!(occurrences(&stage.conversation("once/1").await, "the marmalade task"), 1);
    let down = stage.run(worker("go [[down]]")).await;
    assert_eq!(end_of(&down), (S::Failed, Some(R::HarnessError)), "{down:#?}");
    assert_eq!(parks(&stage, down.worker_id).await.len(), 1);
    stage.finish().await;
}
