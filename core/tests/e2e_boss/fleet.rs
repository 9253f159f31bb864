//! Three workers from one boss, from the batch to the end, and a second session of the same boss.

use std::collections::BTreeSet;
use std::path::Path;

use sandboxed_domain::mission::{MissionStatus, TerminalReason};
use sandboxed_testkit::stub::{Script, Step, StubModel};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::boss::{Boss, Session};
use crate::support::{Daemon, git};

/// Longest wait for anything a test expects.
const SOON: std::time::Duration = std::time::Duration::from_secs(60);

/// A worker that waits at its gate, then commits a file of its own.
fn worker(name: &str, gates: &Path, check: &str) -> Value {
    let script = format!(
        "cat {}/{name} && echo {name} > {name}.txt && git add . \
         && git -c user.name=W -c user.email=w@example.com commit -qm {name} && echo {name} is ready",
        gates.display()
    );
    json!({
        "title": name, "task_key": name, "backend": "command", "prompt": script,
        "worktree": {"branch": format!("task/{name}")}, "verification_command": check,
    })
}

fn tool(name: &str, input: Value) -> Step {
    Step::mcp("orchestrator", name, input)
}

/// Opens the gates one by one, each when the boss waits for it.
async fn open_gates(stub: &StubModel, gates: &Path) {
    for (step, name) in [("boss/2", "a"), ("boss/3", "b"), ("boss/4", "c")] {
        stub.wait_for_request(|request| request.answer == step, SOON).await.unwrap();
        let gate = gates.join(name);
        // Opening blocks until the worker has the other end.
        tokio::task::spawn_blocking(move || std::fs::write(gate, "open\n").unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn claude_code_spawns_three_awaits_each_reads_one_resumes_one_and_a_new_session_finds_them() {
    three_workers(Boss::Claude).await;
}

#[tokio::test]
async fn codex_spawns_three_awaits_each_reads_one_resumes_one_and_a_new_session_finds_them() {
    three_workers(Boss::Codex).await;
}

async fn three_workers(boss: Boss) {
    let daemon = Daemon::start().await;
    let gates = daemon.repo().join(".git/objects/gates");
    std::fs::create_dir_all(&gates).unwrap();
    for name in ["a", "b", "c"] {
        nix::unistd::mkfifo(&gates.join(name), nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    }
    let fleet = json!([
        worker("a", &gates, "test -f a.txt"),
        worker("b", &gates, "test -f nothing"),
        worker("c", &gates, "test -f c.txt"),
    ]);
    let next = json!({"cursor": "{{last:/cursor}}"});
    let steps = [
        tool("get_workspace_layout", json!({})),
        tool("batch_create_workers", json!({"workers": fleet})),
        tool("wait_for_any_worker", json!({})),
        tool("wait_for_any_worker", next.clone()),
        tool("wait_for_any_worker", next),
        tool("get_worker", json!({"worker_id": "{{find:worker_id:1}}"})),
        tool(
            "resume_worker",
            json!({"worker_id": "{{find:worker_id:1}}", "prompt": "touch nothing; echo mended"}),
        ),
        tool("wait_for_any_worker", json!({"cursor": "{{find:cursor:2}}"})),
        tool("get_worker", json!({"worker_id": "{{find:worker_id:1}}", "view": "log"})),
        tool(
            "get_worker",
            json!({"worker_id": "{{find:worker_id:1}}", "view": "log", "cursor": "{{last:/next_cursor}}"}),
        ),
        tool("get_worker", json!({"worker_id": "not-mine"})),
        Step::text("Two are done and one is mended."),
    ];
    let again = [
        tool("list_workers", json!({})),
        tool("batch_create_workers", json!({"workers": fleet})),
        tool("wait_for_any_worker", json!({})),
        Step::text("They are all here."),
    ];
    let script = Script::default().scenario("boss", steps).scenario("again", again);
    let stub = StubModel::start(script).await.unwrap();

    let (first, ()) =
        tokio::join!(boss.session(&daemon, &stub, "build it [[boss]]"), open_gates(&stub, &gates));
    assert_said(&first, "Two are done and one is mended.");
    let ids = check_answers(&daemon, &boss.answers(&stub, "boss"));
    check_records(&daemon, &ids).await;

    let second = boss.session(&daemon, &stub, "where were we? [[again]]").await;
    assert_said(&second, "They are all here.");
    check_second(&boss.answers(&stub, "again"), &ids);
    daemon.finish().await;
}

fn assert_said(session: &Session, text: &str) {
    assert_eq!((session.said.as_str(), session.exit), (text, Some(0)), "{}", session.printed);
}

/// Everything that the model was told in the first session; the workers' ids.
fn check_answers(daemon: &Daemon, told: &[Value]) -> Vec<Uuid> {
    let [layout, batch, one, two, three, failed, resumed, mended, first_log, log, refused] = told else {
        panic!("{} answers: {told:#?}", told.len())
    };
    let repo = daemon.repo().display().to_string();
    assert_eq!((&layout["boss"], &layout["working_directory"]), (&json!(repo), &json!(repo)), "{told:#?}");
    assert_eq!(
        (&layout["workspace"]["kind"], &layout["repositories"][0]["path"]),
        (&json!("container"), &json!(repo))
    );

    assert_eq!((&batch["created"], &batch["failed"]), (&json!(3), &json!(0)), "{batch:#}");
    let workers = batch["workers"].as_array().unwrap();
    let ids: Vec<Uuid> =
        workers.iter().map(|entry| entry["worker_id"].as_str().unwrap().parse().unwrap()).collect();

    let mut cursors = BTreeSet::new();
    let ends =
        [(one, "completed", "done"), (two, "failed", "verification_failed"), (three, "completed", "done")];
    for (at, (wait, status, reason)) in ends.into_iter().enumerate() {
        let events = wait["events"].as_array().unwrap();
        assert_eq!((&wait["status"], events.len()), (&json!("event"), 1), "{wait:#}");
        assert_eq!(events[0]["worker_id"], json!(ids[at]), "{wait:#}");
        assert_eq!((&events[0]["status"], &events[0]["terminal_reason"]), (&json!(status), &json!(reason)));
        assert_eq!(wait["running"].as_array().unwrap().len(), 2 - at, "{wait:#}");
        assert!(cursors.insert(wait["cursor"].as_str().unwrap()), "{wait:#}");
    }
    let record = &failed["record"];
    assert_eq!(
        (&record["task_key"], &record["verification"]["exit_code"]),
        (&json!("b"), &json!(1)),
        "{failed:#}"
    );
    assert_eq!((&record["git"]["commits_ahead"], &record["git"]["branch"]), (&json!(1), &json!("task/b")));

    assert_eq!((&resumed["worker_id"], &resumed["turn"]), (&json!(ids[1]), &json!(2)), "{resumed:#}");
    let events = mended["events"].as_array().unwrap();
    assert_eq!(
        (events.len(), &events[0]["worker_id"], &events[0]["status"]),
        (1, &json!(ids[1]), &json!("completed"))
    );
    assert!(first_log["text"].as_str().unwrap().contains("b is ready"), "{first_log:#}");
    assert!(log["text"].as_str().unwrap().contains("mended"), "{log:#}");
    assert!(refused["code"] == "unknown_worker", "{refused:#}");
    ids
}

async fn check_records(daemon: &Daemon, ids: &[Uuid]) {
    let boss = daemon.repo().display().to_string();
    for (id, (name, untracked)) in ids.iter().zip([("a", 0), ("b", 1), ("c", 0)]) {
        let record = daemon.record(&boss, *id).await;
        assert_eq!(
            (record.status, record.terminal_reason),
            (MissionStatus::Completed, Some(TerminalReason::Done))
        );
        let facts = record.git.unwrap();
        assert_eq!((facts.commits_ahead, facts.dirty, facts.untracked), (1, 0, untracked), "{name}");
        assert_eq!(git(&daemon.repo(), &["log", "-1", "--format=%s", &format!("task/{name}")]), name);
    }
}

/// The second session sees the same workers, makes none twice, and hears only of what it has not acknowledged.
fn check_second(told: &[Value], ids: &[Uuid]) {
    let [list, batch, wait] = told else { panic!("{told:#?}") };
    let listed: BTreeSet<&str> =
        list["workers"].as_array().unwrap().iter().map(|row| row["worker_id"].as_str().unwrap()).collect();
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    assert_eq!(listed, ids.iter().map(String::as_str).collect());
    assert_eq!((&batch["created"], &batch["existing"]), (&json!(0), &json!(3)), "{batch:#}");
    let events = wait["events"].as_array().unwrap();
    assert_eq!((events.len(), &events[0]["worker_id"]), (1, &json!(ids[1])), "{wait:#}");
}
