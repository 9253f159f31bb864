//! A boss that lives through all of it: it creates workers with idempotency keys, repeats what it is not sure of, and
//! waits by cursor.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sandboxed_client::{CALL_TIMEOUT, Client, Failure, Limit};
use sandboxed_domain::api::{
    AttentionEvent, AttentionKind, BatchCreateResponse, Caller, CreateWorkspaceParams, ErrorCode,
    WaitResponse,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::plan::Plan;
use crate::random::Random;
use crate::support::{Daemon, ids};

/// So many workers at least are on their way all the time.
const ON_THE_WAY: usize = 10;
/// Workers of one batch.
const BATCH: u64 = 6;

/// Every so many batches go to a workspace of their own, so that kills also meet sandboxes that start.
const NEW_WORKSPACE: u64 = 3;
/// So many workspaces at most.
const WORKSPACES: u64 = 6;

/// What the boss knows.
#[derive(Default)]
pub struct Book {
    pub workers: BTreeMap<Uuid, Plan>,
    pub finished: BTreeMap<Uuid, AttentionEvent>,
    pub batches: u64,
    pub waits: u64,
}

pub struct Boss {
    pub name: String,
    pub book: Mutex<Book>,
    /// Rung when a request that changes something is about to be sent.
    pub sending: Notify,
    caller: Caller,
    client: Client,
    /// Which life of the daemon serves.
    life: watch::Sender<u64>,
    last: watch::Sender<bool>,
    finished: Notify,
}

impl Boss {
    pub fn new(daemon: &Daemon, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            book: Mutex::default(),
            sending: Notify::new(),
            caller: daemon.caller(name),
            client: daemon.client(),
            life: watch::Sender::new(1),
            last: watch::Sender::new(false),
            finished: Notify::new(),
        }
    }

    /// The daemon serves again.
    pub fn serves_again(&self) {
        self.life.send_modify(|life| *life += 1);
    }

    /// No new workers any more.
    pub fn no_more(&self) {
        self.last.send_replace(true);
        self.finished.notify_one();
    }

    /// Calls until it is answered; a life that ends meanwhile is followed by the next.
    async fn call<R: DeserializeOwned>(&self, tool: &str, params: &Value) -> R {
        let mut life = self.life.subscribe();
        loop {
            life.borrow_and_update();
            self.sending.notify_waiters();
            let answer: Result<R, _> =
                self.client.try_tool(tool, &self.caller, params, Limit::Within(CALL_TIMEOUT)).await;
            match answer {
                Ok(answer) => return answer,
                Err(Failure::Answered(error)) => panic!("{tool}: {error:?}"),
                Err(Failure::NotSent(_) | Failure::Lost(_)) => life.changed().await.unwrap(),
            }
        }
    }

    /// Creates batch after batch, each asked for twice, as long as not too many are on their way.
    pub async fn create_until_told(self: Arc<Self>, mut random: Random) {
        for batch in 0.. {
            while self.on_the_way() >= ON_THE_WAY && !*self.last.borrow() {
                self.finished.notified().await;
            }
            if *self.last.borrow() {
                return;
            }
            let workspace = self.new_workspace(batch).await;
            let plan = |n| Plan::new(format!("b{batch}-{n}"), workspace.as_deref(), &mut random);
            let plans: Vec<_> = (0..BATCH).map(plan).collect();
            let workers: Vec<_> = plans.iter().map(Plan::worker).collect();
            let params = json!({"workers": workers, "idempotency_key": format!("batch-{batch}")});
            let made: BatchCreateResponse = self.call("batch_create_workers", &params).await;
            let again: BatchCreateResponse = self.call("batch_create_workers", &params).await;
            assert_eq!(ids(&made), ids(&again), "the same key gives the same workers");
            let mut book = self.book.lock().unwrap();
            book.workers.extend(ids(&made).into_iter().zip(plans));
            book.batches += 1;
        }
    }

    /// A workspace that has never run, for some batches.
    async fn new_workspace(&self, batch: u64) -> Option<String> {
        if !batch.is_multiple_of(NEW_WORKSPACE) || batch / NEW_WORKSPACE >= WORKSPACES {
            return None;
        }
        let name = format!("space-{batch}");
        let mut life = self.life.subscribe();
        loop {
            life.borrow_and_update();
            let params = CreateWorkspaceParams { name: name.clone(), ..Default::default() };
            match self.client.create_workspace(&params).await {
                Ok(_) => return Some(name),
                // The answer to an earlier try was lost.
                Err(error) if error.code == ErrorCode::Conflict => return Some(name),
                Err(error) if error.code == ErrorCode::DaemonUnreachable => life.changed().await.unwrap(),
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    fn on_the_way(&self) -> usize {
        let book = self.book.lock().unwrap();
        book.workers.keys().filter(|id| !book.finished.contains_key(id)).count()
    }

    /// Waits by one cursor from the first worker to the last.
    pub async fn wait_until_all_have_finished(self: Arc<Self>) {
        let mut cursor = None::<String>;
        loop {
            let params = json!({"cursor": cursor, "timeout_seconds": 2});
            let answer: WaitResponse = self.call("wait_for_any_worker", &params).await;
            cursor = Some(answer.cursor);
            {
                let mut book = self.book.lock().unwrap();
                book.waits += 1;
                for event in answer.events {
                    assert_eq!(event.kind, AttentionKind::Finished);
                    let before = book.finished.insert(event.worker_id, event.clone());
                    assert!(before.is_none(), "told twice: {event:?}");
                }
            }
            self.finished.notify_one();
            if *self.last.borrow() && self.on_the_way() == 0 {
                return;
            }
            if answer.running.is_empty() {
                // Nothing to wait for until there are workers again.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}
