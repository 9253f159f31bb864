//! A stub model, a daemon that hands it to its workers, and short forms of what the tests do with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use sandboxed_domain::api::{CompletionRecord, Event, EventBody, MissionView, Usage};
use sandboxed_domain::mission::{MissionStatus, Outcome, ReportedBy, TerminalReason};
use sandboxed_testkit::cli::Cli;
use sandboxed_testkit::stub::{RequestRecord, Script, Step, StubModel};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Daemon, ids};

/// The key that nobody but the model server may ever see.
pub const KEY: &str = "sk-test-7e57ab1e5ec2e7f00dcafe";
/// Longest wait for anything a test expects.
pub const SOON: Duration = Duration::from_secs(60);
/// The boss of all workers here.
pub const BOSS: &str = "boss";

/// Model server and daemon. End the test with [`Stage::finish`].
pub struct Stage {
    pub stub: StubModel,
    pub daemon: Daemon,
}

impl Stage {
    pub async fn new(script: Script) -> Self {
        let claude = Cli::Claude.path().unwrap_or_else(|missing| panic!("{missing}"));
        let stub = StubModel::start(script).await.unwrap();
        let env = [
            ("CLAUDE_CLI_PATH", claude.to_str().unwrap()),
            ("ANTHROPIC_BASE_URL", &stub.base_url()),
            ("ANTHROPIC_API_KEY", KEY),
            ("CLAUDE_CODE_MAX_RETRIES", "1"),
            ("SANDBOXED_SH_MAX_PARALLEL", "4"),
        ];
        let daemon = Daemon::start_with(&env).await;
        Self { stub, daemon }
    }

    /// A stage whose only scenario is `s`.
    pub async fn with(steps: impl IntoIterator<Item = Step>) -> Self {
        Self::new(Script::default().scenario("s", steps)).await
    }

    /// Creates workers; their ids.
    pub async fn create(&self, workers: Value) -> Vec<Uuid> {
        ids(&self.daemon.create(BOSS, workers).await)
    }

    /// Creates one worker.
    pub async fn worker(&self, worker: Value) -> Uuid {
        self.create(json!([worker])).await[0]
    }

    /// Waits for the worker's end.
    pub async fn end(&self, worker: Uuid) -> CompletionRecord {
        self.daemon.wait_all(BOSS, &[worker]).await;
        self.daemon.record(BOSS, worker).await
    }

    /// Runs one worker to its end.
    pub async fn run(&self, worker: Value) -> CompletionRecord {
        let worker = self.worker(worker).await;
        self.end(worker).await
    }

    /// Runs an ended worker again, to the end of that turn.
    pub async fn resume(&self, worker: Uuid, prompt: &str) -> CompletionRecord {
        let before = self.newest(worker).await;
        let params = json!({"worker_id": worker, "prompt": prompt});
        let _: Value = self.daemon.call(BOSS, "resume_worker", params).await;
        self.event_after(worker, before, ended).await;
        self.daemon.record(BOSS, worker).await
    }

    pub async fn newest(&self, mission: Uuid) -> i64 {
        self.daemon.events(mission).await.last().map_or(0, |event| event.sequence)
    }

    /// Waits for an event of the mission; one that is there already counts.
    pub async fn event(&self, mission: Uuid, wanted: impl Fn(&EventBody) -> bool) -> Event {
        self.event_after(mission, 0, wanted).await
    }

    /// The same for events after a sequence.
    pub async fn event_after(&self, mission: Uuid, after: i64, wanted: impl Fn(&EventBody) -> bool) -> Event {
        let found = async {
            let stream = self.daemon.client().stream(Some(mission), Some(after)).await.unwrap();
            let mut stream = std::pin::pin!(stream);
            loop {
                let frame = stream.next().await.expect("the stream goes on").unwrap();
                if let Some(event) = frame.event().filter(|event| frame.id.is_some() && wanted(&event.body)) {
                    return event;
                }
            }
        };
        match tokio::time::timeout(SOON, found).await {
            Ok(event) => event,
            Err(_) => {
                panic!("no such event: {:#?}\n{}", self.daemon.events(mission).await, self.daemon.log())
            }
        }
    }

    /// Waits until a step is being answered; its request.
    pub async fn request(&self, answer: &str) -> Arc<RequestRecord> {
        self.stub.wait_for_request(|request| request.answer == answer, SOON).await.unwrap()
    }

    /// The conversation that a step answers, as JSON.
    pub async fn conversation(&self, answer: &str) -> String {
        self.request(answer).await.body["messages"].to_string()
    }

    /// The answers given so far, `scenario/step`.
    pub fn answers(&self) -> Vec<String> {
        self.stub.requests().iter().map(|request| request.answer.clone()).collect()
    }

    /// The mission of a person.
    pub async fn mission(&self, prompt: &str) -> MissionView {
        let params =
            serde_json::from_value(json!({"prompt": prompt, "backend": "claudecode", "title": "talk"}));
        self.daemon.client().create_mission(&params.unwrap()).await.unwrap()
    }

    /// The mission's own directory, which is its HOME.
    pub async fn mission_dir(&self, mission: Uuid) -> PathBuf {
        let workspace = self.daemon.client().mission(mission).await.unwrap().workspace_id;
        let paths = sandboxed_core::workspace::WorkspacePaths::new(self.daemon.data(), workspace);
        paths.mission(mission)
    }

    /// Lets a tool go on that reads the fifo `gate`; waits until it does.
    pub async fn open_gate(&self, gate: &Path) {
        self.until_file(gate).await;
        let gate = gate.to_owned();
        // Opening blocks until the tool has the other end.
        let opened = tokio::task::spawn_blocking(move || std::fs::write(gate, "open\n"));
        tokio::time::timeout(SOON, opened).await.expect("the tool reads").unwrap().unwrap();
    }

    /// Waits until a file is there, told by the kernel.
    pub async fn until_file(&self, file: &Path) {
        let file = file.to_owned();
        let there = tokio::task::spawn_blocking(move || {
            let mut inotify = inotify::Inotify::init().unwrap();
            let made = inotify::WatchMask::CREATE | inotify::WatchMask::MOVED_TO;
            inotify.watches().add(file.parent().unwrap(), made).unwrap();
            while !file.exists() {
                inotify.read_events_blocking(&mut [0; 4096]).unwrap();
            }
        });
        tokio::time::timeout(SOON, there).await.expect("the file appears").unwrap();
    }

    /// Nothing was asked that no script answers, nothing is left.
    pub async fn finish(self) {
        let strange: Vec<_> = self
            .stub
            .requests()
            .into_iter()
            .filter(|request| request.answer == "not found" || request.answer.starts_with("mistake"))
            .map(|request| format!("{} {}: {}", request.method, request.path, request.answer))
            .collect();
        assert!(strange.is_empty(), "{strange:#?}");
        self.daemon.finish().await;
    }
}

/// A worker with a prompt.
pub fn worker(prompt: &str) -> Value {
    json!({"title": "worker", "backend": "claudecode", "prompt": prompt})
}

/// A worker with more fields.
pub fn worker_with(prompt: &str, more: Value) -> Value {
    let mut worker = worker(prompt);
    worker.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    worker
}

/// A report by the tool.
pub fn report(outcome: &str, summary: &str) -> Step {
    Step::mcp("orchestrator", "report_outcome", json!({"outcome": outcome, "summary": summary}))
}

/// What a record says of the end.
pub fn end_of(record: &CompletionRecord) -> (MissionStatus, Option<TerminalReason>) {
    (record.status, record.terminal_reason)
}

/// What a record says of the worker's word.
pub fn word_of(record: &CompletionRecord) -> (Option<Outcome>, ReportedBy) {
    (record.reported.outcome, record.reported.by)
}

/// Whether the mission has ended.
pub fn ended(body: &EventBody) -> bool {
    matches!(body, EventBody::MissionStatusChanged { status, .. } if status.is_ended())
}

/// Usage of each turn.
pub fn usages(events: &[Event]) -> Vec<Usage> {
    let usage = |event: &Event| match event.body {
        EventBody::Usage(usage) => Some(usage),
        _ => None,
    };
    events.iter().filter_map(usage).collect()
}

/// Processes of the machine whose command line holds a text: `(pid, command line)`.
pub fn processes_with(text: &str) -> Vec<(i32, String)> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let read = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        (line.contains(text) && pid.unsigned_abs() != std::process::id()).then_some((pid, line))
    };
    entries.filter_map(read).collect()
}
