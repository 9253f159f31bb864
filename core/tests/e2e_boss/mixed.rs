//! Workers of every agent in one batch: one asks for a permission, one fails its check and is resumed, all are merged
//! into the boss's picture.

use std::path::{Path, PathBuf};

use sandboxed_domain::mission::{MissionStatus, Outcome, ReportedBy, TerminalReason};
use sandboxed_testkit::stub::{Script, Step, StubModel};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::agents::{SUBJECTS, Subject, report};
use crate::boss::{Boss, Session};
use crate::support::{Daemon, git};

/// Longest wait for anything a test expects.
const SOON: std::time::Duration = std::time::Duration::from_secs(120);
/// The boss's calls before it waits for the first end.
const FIRST_END: usize = 5;

#[tokio::test]
async fn claude_code_leads_workers_of_every_agent() {
    workers_of_every_agent(Boss::Claude).await;
}

#[tokio::test]
async fn codex_leads_workers_of_every_agent() {
    workers_of_every_agent(Boss::Codex).await;
}

fn tool(name: &str, input: Value) -> Step {
    Step::mcp("orchestrator", name, input)
}

/// The first asks before it acts; the last one's check fails until it is resumed.
fn worker(subject: &Subject) -> Value {
    let (id, last) = (subject.id, SUBJECTS.len() - 1);
    let asks = id == SUBJECTS[0].id;
    let check =
        if id == SUBJECTS[last].id { "test -f mended".to_owned() } else { format!("test -f {id}.txt") };
    json!({
        "title": id, "task_key": id, "backend": id, "prompt": format!("write your file [[{id}]]"),
        "worktree": {"branch": format!("task/{id}")}, "verification_command": check,
        "permission_mode": if asks { "default" } else { "bypass" },
    })
}

/// What the models of the workers do: each waits at its gate, then commits a file of its own.
fn script(gates: &Path) -> Script {
    let scenario = |script: Script, subject: &&Subject| {
        let id = subject.id;
        let work = format!(
            "cat {}/{id} && echo {id} > {id}.txt && git add . \
             && git -c user.name=W -c user.email=w@example.com commit -qm {id}",
            gates.display()
        );
        script.scenario(id, [Step::bash(&work), report("DONE", "committed"), Step::text("Done.")])
    };
    let mend = [Step::bash("touch mended"), report("DONE", "mended it"), Step::text("Mended.")];
    SUBJECTS.iter().fold(Script::default(), scenario).scenario("mend", mend)
}

/// What the boss's model does.
fn boss_steps() -> Vec<Step> {
    let workers: Vec<_> = SUBJECTS.iter().map(|subject| worker(subject)).collect();
    let last = format!("{{{{find:worker_id:{}}}}}", SUBJECTS.len() - 1);
    let next = json!({"cursor": "{{last:/cursor}}"});
    let mut steps = vec![
        tool("get_backend_auth_status", json!({})),
        tool("batch_create_workers", json!({"workers": workers})),
        tool("wait_for_any_worker", json!({})),
        tool("answer_worker", json!({"request_id": "{{find:request_id}}", "decision": "allow"})),
        tool("wait_for_any_worker", json!({"cursor": "{{find:cursor}}", "timeout_seconds": 1})),
    ];
    assert_eq!(steps.len(), FIRST_END);
    steps.extend(SUBJECTS.iter().map(|_| tool("wait_for_any_worker", next.clone())));
    steps.extend([
        tool("resume_worker", json!({"worker_id": last, "prompt": "its file is missing [[mend]]"})),
        // The last cursor: one of the first wait, one of the wait that timed out, one of each end.
        tool("wait_for_any_worker", json!({"cursor": format!("{{{{find:cursor:{}}}}}", SUBJECTS.len() + 1)})),
        tool("get_worker", json!({"worker_id": last})),
        tool("list_workers", json!({})),
        Step::text("All are done, one is mended."),
    ]);
    steps
}

/// Opens the gates one by one, each when the boss waits for it.
async fn open_gates(stub: &StubModel, gates: &Path) {
    for (at, subject) in SUBJECTS.iter().enumerate() {
        let step = format!("boss/{}", FIRST_END + at);
        stub.wait_for_request(|request| request.answer == step, SOON).await.unwrap();
        let gate = gates.join(subject.id);
        // Opening blocks until the worker has the other end.
        tokio::task::spawn_blocking(move || std::fs::write(gate, "open\n").unwrap()).await.unwrap();
    }
}

async fn start(stub: &StubModel) -> (Daemon, PathBuf) {
    let base = stub.base_url();
    let mut env: Vec<_> = SUBJECTS.iter().flat_map(|subject| subject.environment(&base)).collect();
    env.push(("SANDBOXED_SH_MAX_PARALLEL".to_owned(), SUBJECTS.len().to_string()));
    let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let daemon = Daemon::start_with(&env).await;
    let gates = daemon.repo().join(".git/objects/gates");
    std::fs::create_dir_all(&gates).unwrap();
    for subject in SUBJECTS {
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
        nix::unistd::mkfifo(&gates.join(subject.id), mode).unwrap();
    }
    (daemon, gates)
}

async fn workers_of_every_agent(boss: Boss) {
    // The daemon wants to know where the stub is, and the script where the daemon's repository is.
    let stub = StubModel::start(Script::default()).await.unwrap();
    let (daemon, gates) = start(&stub).await;
    stub.set_script(script(&gates).scenario("boss", boss_steps()));
    let session = boss.session(&daemon, &stub, "let all of them write [[boss]]");
    let (session, ()) = tokio::join!(session, open_gates(&stub, &gates));
    check_session(&session);
    let ids = check_answers(&boss.answers(&stub, "boss"));
    check_records(&daemon, &ids).await;
    daemon.finish().await;
}

fn check_session(session: &Session) {
    let said = (session.said.as_str(), session.exit);
    assert_eq!(said, ("All are done, one is mended.", Some(0)), "{}", session.printed);
}

/// Everything that the boss's model was told; the workers' ids.
fn check_answers(told: &[Value]) -> Vec<Uuid> {
    let count = SUBJECTS.len();
    assert_eq!(told.len(), FIRST_END + count + 4, "{told:#?}");
    let (first, rest) = told.split_at(FIRST_END);
    let (ends, rest) = rest.split_at(count);
    let [status, batch, asked, answered, timeout] = first else { unreachable!() };
    for subject in SUBJECTS {
        let backends = status["backends"].as_array().unwrap();
        let row = backends.iter().find(|row| row["backend"] == subject.id).unwrap();
        assert_eq!((&row["installed"], &row["ready"]), (&json!(true), &json!(true)), "{row:#}");
    }
    assert_eq!((&batch["created"], &batch["failed"]), (&json!(count), &json!(0)), "{batch:#}");
    let workers = batch["workers"].as_array().unwrap();
    let ids: Vec<Uuid> =
        workers.iter().map(|entry| entry["worker_id"].as_str().unwrap().parse().unwrap()).collect();

    let event = &asked["events"][0];
    let found = (&event["kind"], &event["worker_id"], &event["request_kind"]);
    assert_eq!(found, (&json!("needs_input"), &json!(ids[0]), &json!("permission")), "{asked:#}");
    assert_eq!(answered["delivered"], true);
    let running = timeout["running"].as_array().unwrap().len();
    assert_eq!((&timeout["status"], running), (&json!("timeout"), count), "{timeout:#}");
    for (at, wait) in ends.iter().enumerate() {
        let [event] = wait["events"].as_array().unwrap().as_slice() else { panic!("{wait:#}") };
        let (status, reason) =
            if at + 1 == count { ("failed", "verification_failed") } else { ("completed", "done") };
        let found = (&event["worker_id"], &event["status"], &event["terminal_reason"]);
        assert_eq!(found, (&json!(ids[at]), &json!(status), &json!(reason)), "{wait:#}");
    }
    let [resumed, mended, record, list] = rest else { unreachable!() };
    let last = json!(ids[count - 1]);
    assert_eq!((&resumed["worker_id"], &resumed["turn"]), (&last, &json!(2)), "{resumed:#}");
    let event = &mended["events"][0];
    assert_eq!((&event["worker_id"], &event["status"]), (&last, &json!("completed")), "{mended:#}");
    assert_eq!(record["record"]["reported"]["summary"], "mended it", "{record:#}");
    assert_eq!(list["workers"].as_array().unwrap().len(), count, "{list:#}");
    ids
}

async fn check_records(daemon: &Daemon, ids: &[Uuid]) {
    let boss = daemon.repo().display().to_string();
    for (at, (id, subject)) in ids.iter().zip(SUBJECTS).enumerate() {
        let record = daemon.record(&boss, *id).await;
        let end = (record.status, record.terminal_reason);
        assert_eq!(end, (MissionStatus::Completed, Some(TerminalReason::Done)), "{record:#?}");
        assert_eq!((record.reported.outcome, record.reported.by), (Some(Outcome::Done), ReportedBy::Tool));
        let mended = at + 1 == ids.len();
        let facts = record.git.unwrap();
        let found = (facts.commits_ahead, facts.dirty, facts.untracked, record.turns);
        assert_eq!(found, (1, 0, u32::from(mended), 1 + u32::from(mended)), "{}", subject.id);
        assert!(record.cost.input_tokens > 0 && record.cost.output_tokens > 0, "{}", subject.id);
        let branch = format!("task/{}", subject.id);
        assert_eq!(git(&daemon.repo(), &["log", "-1", "--format=%s", &branch]), subject.id);
    }
}
