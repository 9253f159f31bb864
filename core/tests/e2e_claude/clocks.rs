//! A wall clock that jumps, forward and back, under the real daemon: nobody ends early or is forgotten, nobody waits
//! longer than was meant, and what is told keeps its order. The daemon's clock is set alone, by `clock.c`; the kernel,
//! agents and sandboxes have the machine's.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sandboxed_domain::api::{AttentionKind, EventBody, WaitStatus};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::{Script, Step};
use serde_json::json;
use uuid::Uuid;

use crate::stage::{BOSS, Stage, end_of, report, worker};

const DAY: i64 = 86_400;

/// The daemon's wall clock.
struct Clock {
    root: tempfile::TempDir,
    file: std::fs::File,
}

impl Clock {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e_claude/clock.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-o"])
            .arg(root.path().join("clock.so"))
            .arg(source)
            .status();
        assert!(built.unwrap().success());
        let file = std::fs::File::create(root.path().join("ahead")).unwrap();
        let clock = Self { root, file };
        clock.set(0);
        clock
    }

    /// So many seconds before the machine's.
    fn set(&self, ahead: i64) {
        self.file.write_all_at(&ahead.to_ne_bytes(), 0).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.root.path().join(name).display().to_string()
    }

    async fn stage(&self, script: Script, more: &[(&str, &str)]) -> Stage {
        let (library, file) = (self.path("clock.so"), self.path("ahead"));
        let set = [("LD_PRELOAD", library.as_str()), ("TEST_CLOCK", file.as_str())];
        Stage::with_settings(script, &[&set, more].concat()).await
    }
}

/// A program that waits until its gate is opened, with a time-out that is much shorter than a day, and a check.
async fn timed(stage: &Stage) -> (Uuid, PathBuf) {
    let script = "mkfifo $SANDBOXED_SH_MISSION_DIR/gate; cat $SANDBOXED_SH_MISSION_DIR/gate";
    let id = stage
        .worker(json!({
            "title": "timed", "backend": "command", "prompt": script, "timeout_seconds": 1800,
            "verification_command": "true",
        }))
        .await;
    (id, stage.made(id, "gate").await)
}

fn program(title: &str) -> serde_json::Value {
    json!({"title": title, "backend": "command", "prompt": "true"})
}

/// When the mission got its slot, as the log has it.
async fn granted(stage: &Stage, mission: Uuid) -> i64 {
    let preparing =
        |body: &EventBody| matches!(body, EventBody::MissionStatusChanged { status: S::Preparing, .. });
    stage.event(mission, preparing).await.sequence
}

async fn status(stage: &Stage, mission: Uuid) -> S {
    stage.daemon.client().mission(mission).await.unwrap().status
}

/// A wait lasts as long as it was asked to, and finds nobody at an end.
async fn nobody_ends(stage: &Stage, cursor: &str, still: &[Uuid]) {
    let begun = Instant::now();
    let params = json!({"worker_ids": still, "cursor": cursor, "timeout_seconds": 3});
    let answer = stage.daemon.wait(BOSS, params).await;
    assert_eq!((answer.status, answer.events.len()), (WaitStatus::Timeout, 0), "{answer:?}");
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(60), "{took:?}");
    for id in still {
        assert_eq!(status(stage, *id).await, S::Active);
    }
}

/// Everything that a boss is told after a cursor, in order, until nobody is left.
async fn told_after(stage: &Stage, cursor: &str) -> Vec<(Uuid, AttentionKind)> {
    let (mut cursor, mut told) = (cursor.to_owned(), Vec::new());
    loop {
        let answer = stage.daemon.wait(BOSS, json!({"cursor": cursor, "timeout_seconds": 240})).await;
        told.extend(answer.events.iter().map(|event| (event.worker_id, event.kind)));
        match answer.status {
            WaitStatus::Event => cursor = answer.cursor,
            WaitStatus::NothingToWaitFor => return told,
            WaitStatus::Timeout => panic!("they do not end: {answer:?}\n{}", stage.daemon.log()),
        }
    }
}

/// One that runs with a time-out, one whose agent is silent, one that is parked for about 20 seconds and one that waits
/// for a slot; the clock jumps, the daemon is killed and another one begins at the other time.
async fn the_clock_jumps(by: i64) {
    let clock = Clock::new();
    // The CLI tries twice by itself.
    let limited = Step { times: Some(2), error: Step::error(429).error, ..report("DONE", "in the end") };
    let script = Script::default()
        .scenario("silent", [Step::bash("mkfifo gate; cat gate"), report("DONE", "ok"), Step::text("Done.")])
        .scenario("limited", [limited, Step::text("Done.")]);
    let more = [("SANDBOXED_SH_MAX_PARALLEL", "2"), ("SANDBOXED_SH_RATE_LIMIT_SECONDS", "20")];
    let mut stage = clock.stage(script, &more).await;
    let parked = stage.worker(worker("go [[limited]]")).await;
    let first = stage.daemon.wait(BOSS, json!({"timeout_seconds": 240})).await;
    assert_eq!(first.events.iter().map(|e| e.kind).collect::<Vec<_>>(), [AttentionKind::RateLimited]);
    let since = Instant::now();
    // It has a key of the same backend, so the silent one would be held: both slots are programs' until it is over.
    let (slow, slow_gate) = timed(&stage).await;
    let (other, other_gate) = timed(&stage).await;
    let before = stage.worker(program("before")).await;

    clock.set(by);
    let after = stage.worker(program("after")).await;
    nobody_ends(&stage, &first.cursor, &[slow, other]).await;
    stage.daemon.kill9();
    stage.daemon.restart().await;
    nobody_ends(&stage, &first.cursor, &[slow, other]).await;

    stage.open_gate(&other_gate).await;
    for id in [other, before, after, parked] {
        let record = stage.end(id).await;
        assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}\n{}", stage.daemon.log());
    }
    assert!(since.elapsed() < Duration::from_secs(180), "it waited for longer than was meant");
    assert!(granted(&stage, before).await < granted(&stage, after).await, "the older one comes first");

    let silent = stage.worker(worker("go [[silent]]")).await;
    let silent_gate = stage.made(silent, "gate").await;
    clock.set(0);
    nobody_ends(&stage, &first.cursor, &[slow, silent]).await;
    stage.daemon.kill9();
    clock.set(by);
    stage.daemon.restart().await;
    nobody_ends(&stage, &first.cursor, &[slow, silent]).await;
    stage.open_gate(&slow_gate).await;
    stage.open_gate(&silent_gate).await;
    let told = told_after(&stage, &first.cursor).await;
    let ended: Vec<_> = told.iter().filter(|(_, kind)| *kind == AttentionKind::Finished).collect();
    assert_eq!(ended.len(), 6, "each is told once: {told:?}");
    for id in [slow, silent] {
        let record = stage.daemon.record(BOSS, id).await;
        assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
        let sequences: Vec<_> = stage.daemon.events(id).await.iter().map(|event| event.sequence).collect();
        assert!(sequences.is_sorted());
    }
    let checked = stage.daemon.record(BOSS, slow).await.verification.unwrap();
    assert!(checked.seconds < 600.0, "{checked:?}");
    stage.finish().await;
}

#[tokio::test]
async fn a_clock_that_is_set_forward_ends_nobody_and_forgets_nobody() {
    the_clock_jumps(DAY).await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_lets_nobody_wait_for_longer_than_was_meant() {
    the_clock_jumps(-DAY).await;
}
