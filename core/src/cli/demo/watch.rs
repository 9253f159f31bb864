//! Waiting for the workers as a boss does, with short waits so that the lines move.

use std::collections::BTreeMap;

use sandboxed_domain::api::{
    AnswerWorkerParams, AnswerWorkerResponse, ApiError, AttentionEvent, AttentionKind, BatchEntry,
    CompletionRecord, Decision, ErrorCode, GetWorkerParams, GetWorkerResponse, WaitParams, WaitResponse,
    WaitStatus, WorkerViewKind,
};
use uuid::Uuid;

use super::boss::Boss;
use super::progress::Progress;
use super::report;

/// One wait in seconds. A boss would block for minutes; here a person looks on.
const WAIT_SECONDS: f64 = 1.0;

/// The workers of a batch with what is known of them.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Names by id, of those that have not finished.
    open: BTreeMap<Uuid, String>,
    /// Records by name, in the order of the batch.
    pub(super) records: Vec<(String, Option<CompletionRecord>)>,
}

impl Watch {
    /// Of the created entries.
    ///
    /// # Errors
    /// The first entry that was not created.
    pub(super) fn new(entries: Vec<BatchEntry>) -> Result<Self, ApiError> {
        let mut watch = Self::default();
        for entry in entries {
            let (Some(id), Some(name)) = (entry.worker_id, entry.task_key) else {
                let missing = || ApiError::new(ErrorCode::Internal, "a worker was not created");
                return Err(entry.error.unwrap_or_else(missing));
            };
            watch.open.insert(id, name.clone());
            watch.records.push((name, None));
        }
        Ok(watch)
    }

    /// Waits until all have finished; each record is shown as it comes.
    pub(super) async fn run(&mut self, boss: &Boss, progress: &mut Progress) -> Result<(), ApiError> {
        let mut cursor = None;
        while !self.open.is_empty() {
            let params = WaitParams { worker_ids: Vec::new(), cursor, timeout_seconds: Some(WAIT_SECONDS) };
            let answer: WaitResponse = boss.call("wait_for_any_worker", &params).await?;
            for worker in &answer.running {
                if let Some(name) = self.open.get(&worker.worker_id) {
                    let state = worker.status.as_str();
                    progress.worker(worker.worker_id, name, state, &worker.last_activity, worker.seconds);
                }
            }
            for event in &answer.events {
                self.event(event, boss, progress).await?;
            }
            if answer.status == WaitStatus::NothingToWaitFor
                && answer.events.is_empty()
                && !self.open.is_empty()
            {
                return Err(ApiError::new(ErrorCode::Internal, "workers ended without an event")
                    .hint("see `sandboxed-sh mission list`"));
            }
            cursor = Some(answer.cursor);
        }
        progress.clear();
        Ok(())
    }

    async fn event(
        &mut self,
        event: &AttentionEvent,
        boss: &Boss,
        progress: &mut Progress,
    ) -> Result<(), ApiError> {
        let Some(name) = self.open.get(&event.worker_id).cloned() else { return Ok(()) };
        match event.kind {
            AttentionKind::Finished => {
                let record = record(boss, event.worker_id).await?;
                progress.finished(event.worker_id);
                progress.say(&report::record(&name, &record));
                self.open.remove(&event.worker_id);
                if let Some(row) = self.records.iter_mut().find(|(known, _)| *known == name) {
                    row.1 = Some(record);
                }
            }
            AttentionKind::NeedsInput => {
                progress.say(&format!("  {name} asks: {} (answered with yes)", event.summary));
                answer(boss, event).await?;
            }
            AttentionKind::RateLimited | AttentionKind::BudgetReached => {
                progress.say(&format!("  {name}: {}", event.summary));
            }
        }
        Ok(())
    }
}

async fn record(boss: &Boss, id: Uuid) -> Result<CompletionRecord, ApiError> {
    let params = GetWorkerParams {
        worker_id: id.to_string(),
        view: WorkerViewKind::Result,
        cursor: None,
        max_bytes: None,
    };
    let answer: GetWorkerResponse = boss.call("get_worker", &params).await?;
    answer.record.ok_or_else(|| ApiError::new(ErrorCode::Internal, "a finished worker has no record"))
}

/// Inside its sandbox and its own worktree a worker may do what it asks for.
async fn answer(boss: &Boss, event: &AttentionEvent) -> Result<(), ApiError> {
    let params = AnswerWorkerParams {
        request_id: event.request_id.clone().unwrap_or_default(),
        decision: Some(Decision::Allow),
        answer: Some("Yes. Decide such things yourself.".to_owned()),
    };
    match boss.call::<_, AnswerWorkerResponse>("answer_worker", &params).await {
        Ok(_) => Ok(()),
        Err(error) if error.code == ErrorCode::AlreadyAnswered => Ok(()),
        Err(error) => Err(error),
    }
}
