//! A stub model, a daemon that hands it to its agents, and short forms of what the tests do with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use sandboxed_domain::api::{CompletionRecord, Event, EventBody, MissionView, Usage};
use sandboxed_domain::mission::{MissionStatus, Outcome, ReportedBy, TerminalReason};
use sandboxed_testkit::stub::{RequestRecord, Script, Step, StubModel};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Subject;
use crate::support::{Daemon, ids};

/// Longest wait for anything a test expects.
pub const SOON: Duration = Duration::from_secs(300);
/// The boss of all workers here.
pub const BOSS: &str = "boss";

/// Model server and daemon. End the test with [`Stage::finish`].
pub struct Stage {
    pub stub: StubModel,
    pub daemon: Daemon,
    strays: Vec<&'static str>,
}

impl Stage {
    /// A stage for the agents named.
    pub async fn new(subjects: &[&Subject], script: Script) -> Self {
        Self::with_settings(subjects, script, &[]).await
    }

    /// The same with more in the daemon's environment, or something else.
    pub async fn with_settings(subjects: &[&Subject], script: Script, more: &[(&str, &str)]) -> Self {
        let stub = StubModel::start(script).await.unwrap();
        let base = stub.base_url();
        let mut env: Vec<_> = subjects.iter().flat_map(|subject| subject.environment(&base)).collect();
        env.push(("SANDBOXED_SH_MAX_PARALLEL".to_owned(), "4".to_owned()));
        let env: Vec<(&str, &str)> =
            env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let daemon = Daemon::start_with(&[&env, more].concat()).await;
        let strays = subjects.iter().flat_map(|subject| subject.strays).copied().collect();
        Self { stub, daemon, strays }
    }

    /// A stage for one agent, of parts that a test made itself.
    pub fn of(subject: &Subject, stub: StubModel, daemon: Daemon) -> Self {
        Self { stub, daemon, strays: subject.strays.to_vec() }
    }

    /// A stage for one agent whose only scenario is `s`.
    pub async fn with(subject: &Subject, steps: impl IntoIterator<Item = Step>) -> Self {
        Self::new(&[subject], Script::default().scenario("s", steps)).await
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

    /// The whole request that a step answers, as JSON: the conversation is in it, whatever the API.
    pub async fn conversation(&self, answer: &str) -> String {
        self.request(answer).await.body.to_string()
    }

    /// The scripted answers given so far, `scenario/step`.
    pub fn answers(&self) -> Vec<String> {
        let requests = self.stub.requests();
        let scripted = requests.iter().filter(|request| request.answer.contains('/') && !is_mistake(request));
        scripted.map(|request| request.answer.clone()).collect()
    }

    /// The mission of a person.
    pub async fn mission(&self, subject: &Subject, prompt: &str) -> MissionView {
        let params =
            serde_json::from_value(json!({"prompt": prompt, "backend": subject.id, "title": "talk"}));
        self.daemon.client().create_mission(&params.unwrap()).await.unwrap()
    }

    /// The mission's own directory, which is its HOME.
    pub async fn mission_dir(&self, mission: Uuid) -> PathBuf {
        let workspace = self.daemon.client().mission(mission).await.unwrap().workspace_id;
        let paths = sandboxed_core::workspace::WorkspacePaths::new(self.daemon.data(), workspace);
        paths.mission(mission)
    }

    /// Waits until a tool of the mission has made this file in the mission's own directory; the file.
    pub async fn made(&self, mission: Uuid, name: &str) -> PathBuf {
        // From then on there is a directory.
        let active = |body: &EventBody| {
            matches!(body, EventBody::MissionStatusChanged { status: MissionStatus::Active, .. })
        };
        self.event(mission, active).await;
        let file = self.mission_dir(mission).await.join(name);
        if tokio::time::timeout(SOON, until_file(file.clone())).await.is_err() {
            panic!(
                "no {}: {:#?}\n{:#?}\n{}",
                file.display(),
                self.daemon.events(mission).await,
                self.answers(),
                self.daemon.log()
            );
        }
        file
    }

    /// Lets a tool go on that reads this fifo, which is there.
    pub async fn open_gate(&self, gate: &Path) {
        let gate = gate.to_owned();
        // Opening blocks until the tool has the other end.
        let opened = tokio::task::spawn_blocking(move || std::fs::write(gate, "open\n"));
        tokio::time::timeout(SOON, opened).await.expect("the tool reads").unwrap().unwrap();
    }

    /// Waits until a file is not there any more.
    pub async fn gone(&self, file: &Path) {
        let gone = tokio::time::timeout(SOON, until_gone(file));
        assert!(gone.await.is_ok(), "{} stays: {}", file.display(), self.daemon.log());
    }

    /// Nothing was asked that no script answers, nothing is left.
    pub async fn finish(self) {
        let said = |r: &Arc<RequestRecord>| format!("{} {}", r.method, r.path);
        let strange: Vec<_> = self
            .stub
            .requests()
            .into_iter()
            .filter(|request| request.answer == "not found" || is_mistake(request))
            .filter(|request| !self.strays.contains(&said(request).as_str()))
            .map(|request| format!("{}: {}", said(&request), request.answer))
            .collect();
        assert!(strange.is_empty(), "{strange:#?}");
        self.daemon.finish().await;
    }
}

/// Waits until a file is there, told by the kernel; its directory is.
async fn until_file(file: PathBuf) {
    let inotify = inotify::Inotify::init().unwrap();
    let made = inotify::WatchMask::CREATE | inotify::WatchMask::MOVED_TO;
    inotify.watches().add(file.parent().unwrap(), made).unwrap();
    let mut changes = std::pin::pin!(inotify.into_event_stream(vec![0; 4096]).unwrap());
    while !file.exists() {
        changes.next().await.expect("the watch goes on").unwrap();
    }
}

/// Waits until a file has gone, told by the kernel.
async fn until_gone(file: &Path) {
    let inotify = inotify::Inotify::init().unwrap();
    let gone = inotify::WatchMask::DELETE | inotify::WatchMask::MOVED_FROM;
    inotify.watches().add(file.parent().unwrap(), gone).unwrap();
    let mut changes = std::pin::pin!(inotify.into_event_stream(vec![0; 4096]).unwrap());
    while file.exists() {
        changes.next().await.expect("the watch goes on").unwrap();
    }
}

fn is_mistake(request: &RequestRecord) -> bool {
    request.answer.starts_with("mistake")
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
