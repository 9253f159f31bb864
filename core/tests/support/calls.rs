//! Calls of the tools and routes in the short form that tests want.

use std::collections::BTreeSet;
use std::time::Duration;

use sandboxed_domain::api::{
    ApiError, AttentionEvent, AttentionKind, BatchCreateResponse, Caller, CompletionRecord, Event, EventBody,
    EventsParams, WaitResponse, WaitStatus,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::daemon::Daemon;

/// Longest time that [`Daemon::wait_all`] gives workers to end.
const PATIENCE: Duration = Duration::from_secs(300);

/// Ids of a batch's workers, in order; panics when one was not made.
pub fn ids(batch: &BatchCreateResponse) -> Vec<Uuid> {
    let id = |entry: &sandboxed_domain::api::BatchEntry| {
        entry.worker_id.unwrap_or_else(|| panic!("not made: {entry:?}"))
    };
    batch.workers.iter().map(id).collect()
}

/// A worker that runs a `sh` script.
pub fn script(title: &str, script: &str) -> Value {
    json!({"title": title, "backend": "command", "prompt": script})
}

impl Daemon {
    /// The caller that a boss in the sample repository is. `NAME@WORKSPACE` chooses a workspace.
    pub fn caller(&self, boss: &str) -> Caller {
        let (boss, workspace) = match boss.split_once('@') {
            Some((boss, workspace)) => (boss, Some(workspace.to_owned())),
            None => (boss, None),
        };
        Caller { boss: boss.to_owned(), working_directory: self.repo().display().to_string(), workspace }
    }

    /// Calls a tool as an outside boss.
    pub async fn tool(&self, boss: &str, name: &str, params: Value) -> Result<Value, ApiError> {
        self.client().tool(name, &self.caller(boss), &params).await
    }

    /// Calls a tool that must succeed, with a typed answer.
    pub async fn call<R: serde::de::DeserializeOwned>(&self, boss: &str, name: &str, params: Value) -> R {
        let answer = self.tool(boss, name, params).await.unwrap_or_else(|e| panic!("{name}: {e:?}"));
        serde_json::from_value(answer).unwrap()
    }

    /// Creates workers.
    pub async fn create(&self, boss: &str, workers: Value) -> BatchCreateResponse {
        self.call(boss, "batch_create_workers", json!({"workers": workers})).await
    }

    /// Creates one worker that runs a `sh` script, and returns its record when it has ended.
    pub async fn run(&self, boss: &str, text: &str) -> CompletionRecord {
        self.run_worker(boss, script("worker", text)).await
    }

    /// Creates one worker and returns its record when it has ended.
    pub async fn run_worker(&self, boss: &str, worker: Value) -> CompletionRecord {
        let made = ids(&self.create(boss, json!([worker])).await);
        self.wait_all(boss, &made).await;
        self.record(boss, made[0]).await
    }

    /// One wait.
    pub async fn wait(&self, boss: &str, params: Value) -> WaitResponse {
        self.call(boss, "wait_for_any_worker", params).await
    }

    /// Waits by cursor until each of `workers` has finished; returns every event on the way. Each may finish once.
    pub async fn wait_all(&self, boss: &str, workers: &[Uuid]) -> Vec<AttentionEvent> {
        let waited = tokio::time::timeout(PATIENCE, self.wait_each(boss, workers));
        waited.await.unwrap_or_else(|_| panic!("workers do not end: {workers:?}\n{}", self.log()))
    }

    async fn wait_each(&self, boss: &str, workers: &[Uuid]) -> Vec<AttentionEvent> {
        let mut left: BTreeSet<_> = workers.iter().copied().collect();
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        while !left.is_empty() {
            let params = json!({"worker_ids": workers, "cursor": cursor, "timeout_seconds": 60});
            let answer = self.wait(boss, params).await;
            for event in answer.events {
                if event.kind == AttentionKind::Finished {
                    assert!(left.remove(&event.worker_id), "finished twice: {event:?}");
                }
                seen.push(event);
            }
            assert!(
                answer.status != WaitStatus::NothingToWaitFor || left.is_empty(),
                "never finished: {left:?}"
            );
            cursor = Some(answer.cursor);
        }
        seen
    }

    /// A worker's completion record.
    pub async fn record(&self, boss: &str, worker: Uuid) -> CompletionRecord {
        let answer: Value = self.call(boss, "get_worker", json!({"worker_id": worker})).await;
        serde_json::from_value(answer["record"].clone()).unwrap()
    }

    /// All events of a mission, in order.
    pub async fn events(&self, mission: Uuid) -> Vec<Event> {
        let (client, mut all, mut since) = (self.client(), Vec::new(), None);
        loop {
            let params = EventsParams { since_seq: since, limit: Some(1000), ..Default::default() };
            let page = client.events(mission, &params).await.unwrap();
            all.extend(page.events);
            match page.next_since_seq {
                Some(next) => since = Some(next),
                None => return all,
            }
        }
    }

    /// What a mission printed, put together from its events.
    pub async fn printed(&self, mission: Uuid) -> String {
        let events = self.events(mission).await;
        let text = |event: Event| match event.body {
            EventBody::TextDelta { content } => content,
            _ => String::new(),
        };
        events.into_iter().map(text).collect()
    }
}
