//! The log of every request, and waiting for what it will say.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::watch;

/// Requests kept; with the usual 100 kB per request of a coding CLI that is some 100 MB.
const KEPT: usize = 1_000;

/// One request and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct RequestRecord {
    /// Number of the request, from 1, never used twice by one server.
    pub id: u64,
    /// HTTP method; `WS` for a request that came over an open WebSocket.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query without `?`.
    pub query: String,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The API key, which in tests is a fake one that tells agents apart.
    pub key: String,
    /// The body; a string if it is not JSON, null if there is none.
    pub body: Value,
    /// What answered: `scenario/step`, `side`, `models`, `count_tokens`, `account`, `websocket`, `warmup`,
    /// `not found` or `mistake: …`.
    pub answer: String,
    /// HTTP status; 0 until the response starts.
    pub status: u16,
    /// How far the answer got.
    pub outcome: Outcome,
}

/// How far an answer got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Still being given.
    Open,
    /// Given whole.
    Complete,
    /// Broken off by the script.
    Cut,
    /// The client left before the end.
    ClientLeft,
}

/// The awaited requests did not come in time.
#[derive(Debug, Error)]
#[error("no such request within {timeout:?}; seen: {seen:#?}")]
pub struct WaitError {
    /// How long was waited.
    pub timeout: Duration,
    /// What was seen instead: `method path -> answer (outcome)`.
    pub seen: Vec<String>,
}

/// The log; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    entries: watch::Sender<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    newest_id: u64,
    kept: VecDeque<Arc<RequestRecord>>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { entries: watch::Sender::new(Entries::default()) }
    }

    /// Adds a request and gives it its id.
    pub(crate) fn add(&self, mut record: RequestRecord) -> u64 {
        let mut id = 0;
        self.entries.send_modify(|entries| {
            entries.newest_id += 1;
            id = entries.newest_id;
            record.id = id;
            if entries.kept.len() == KEPT {
                entries.kept.pop_front();
            }
            entries.kept.push_back(Arc::new(record));
        });
        id
    }

    /// Changes a request that is still kept.
    pub(crate) fn update(&self, id: u64, change: impl FnOnce(&mut RequestRecord)) {
        self.entries.send_modify(|entries| {
            if let Some(record) = entries.kept.iter_mut().find(|record| record.id == id) {
                change(Arc::make_mut(record));
            }
        });
    }

    /// Forgets all requests; ids go on.
    pub(crate) fn clear(&self) {
        self.entries.send_modify(|entries| entries.kept.clear());
    }

    pub(crate) fn records(&self) -> Vec<Arc<RequestRecord>> {
        self.entries.borrow().kept.iter().cloned().collect()
    }

    /// Waits until `count` kept requests fulfil the condition, and returns them all.
    pub(crate) async fn wait(
        &self,
        count: usize,
        condition: impl Fn(&RequestRecord) -> bool,
        timeout: Duration,
    ) -> Result<Vec<Arc<RequestRecord>>, WaitError> {
        let matching = |entries: &Entries| -> Vec<_> {
            entries.kept.iter().filter(|record| condition(record)).cloned().collect()
        };
        let mut receiver = self.entries.subscribe();
        let reached = receiver.wait_for(|entries| matching(entries).len() >= count);
        match tokio::time::timeout(timeout, reached).await {
            Ok(Ok(entries)) => Ok(matching(&entries)),
            // The sender lives as long as `self`: only the time can have run out.
            Ok(Err(_)) | Err(_) => Err(WaitError { timeout, seen: self.summary() }),
        }
    }

    fn summary(&self) -> Vec<String> {
        let line =
            |r: Arc<RequestRecord>| format!("{} {} -> {} ({:?})", r.method, r.path, r.answer, r.outcome);
        self.records().into_iter().map(line).collect()
    }
}

/// Follows one answer; dropped before its end, it notes that the client left.
#[derive(Debug)]
pub(crate) struct Tracked {
    log: Log,
    id: u64,
    ended: bool,
}

impl Tracked {
    pub(crate) fn new(log: Log, id: u64) -> Self {
        Self { log, id, ended: false }
    }

    pub(crate) fn started(&self, status: u16) {
        self.log.update(self.id, |record| record.status = status);
    }

    pub(crate) fn ended(&mut self, outcome: Outcome) {
        self.ended = true;
        self.log.update(self.id, |record| record.outcome = outcome);
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if !self.ended {
            self.ended(Outcome::ClientLeft);
        }
    }
}
