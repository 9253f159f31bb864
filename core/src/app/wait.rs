//! `wait_for_any_worker`: pushed, bounded, never an error for a time-out, nothing twice and nothing lost.

use std::time::Duration;

use sandboxed_domain::api::{ApiError, AttentionEvent, RunningWorker, WaitParams, WaitResponse, WaitStatus};
use sandboxed_domain::mission::{Cursor, MissionStatus};
use tokio::time::Instant;
use uuid::Uuid;

use super::App;
use super::caller::Identity;
use crate::store::{self, MissionQuery, MissionRow};

/// Longest wait of one call, in seconds.
const LONGEST: f64 = 3600.0;
/// Wait when the caller names none, in seconds.
const DEFAULT: f64 = 30.0;
/// Budget of the answer in bytes, a little under what is promised.
const BUDGET: usize = 1900;
/// Of which events may take so much, so that there is room to say who still runs.
const EVENTS_BUDGET: usize = 1400;
/// Most events looked at for one answer.
const PAGE: u32 = 16;

impl App {
    /// Waits for an attention event past the cursor.
    ///
    /// # Errors
    /// A cursor that is none, a worker of somebody else.
    pub async fn wait(&self, identity: &Identity, params: WaitParams) -> Result<WaitResponse, ApiError> {
        let boss = Self::boss_name(identity)?;
        let mut only = Vec::with_capacity(params.worker_ids.len());
        for id in &params.worker_ids {
            only.push(self.worker(&boss, id).await?.id);
        }
        let cursor = self.start_cursor(&boss, params.cursor.as_deref()).await?;
        let seconds = params.timeout_seconds.unwrap_or(DEFAULT);
        if !seconds.is_finite() || seconds < 0.0 {
            return Err(ApiError::invalid("timeout_seconds", format!("{seconds} is not a time"))
                .hint("0 to 3600 seconds"));
        }
        let deadline = Instant::now() + Duration::from_secs_f64(seconds.min(LONGEST));
        let mut news = self.store.watch_attention();
        loop {
            news.borrow_and_update();
            let (events, running) = self.look(&boss, &cursor, &only).await?;
            let status = match (events.is_empty(), running.is_empty()) {
                (false, _) => Some(WaitStatus::Event),
                (true, true) => Some(WaitStatus::NothingToWaitFor),
                (true, false) if Instant::now() >= deadline => Some(WaitStatus::Timeout),
                (true, false) => None,
            };
            if let Some(status) = status {
                return self.answer(&boss, cursor, status, events, running).await;
            }
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return Err(closed()) },
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
    }

    async fn start_cursor(&self, boss: &str, text: Option<&str>) -> Result<Cursor, ApiError> {
        let boss = boss.to_owned();
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return Ok(self.store.read(move |c| store::acknowledged(c, &boss)).await?);
        };
        let cursor = Cursor::parse(text).ok_or_else(|| {
            ApiError::invalid("cursor", format!("{text:?} is not a cursor"))
                .hint("pass the cursor of your last answer, or leave it out")
        })?;
        let seen = cursor.clone();
        self.store.write(move |tx| store::acknowledge(tx, &boss, &seen)).await?;
        Ok(cursor)
    }

    async fn look(
        &self,
        boss: &str,
        cursor: &Cursor,
        only: &[Uuid],
    ) -> Result<(Vec<(i64, AttentionEvent)>, Vec<MissionRow>), ApiError> {
        let (boss, cursor, only) = (boss.to_owned(), cursor.clone(), only.to_vec());
        Ok(self
            .store
            .read(move |c| {
                // Who runs is read first: a worker that ends in between is then seen by its event.
                let statuses: Vec<_> = MissionStatus::ALL.into_iter().filter(|s| !s.is_ended()).collect();
                let query = MissionQuery {
                    boss: Some(boss.clone()),
                    statuses,
                    oldest_first: true,
                    limit: 1024,
                    ..Default::default()
                };
                let mut running = store::query_missions(c, &query)?;
                running.retain(|row| only.is_empty() || only.contains(&row.id));
                Ok((store::attention_after(c, &boss, &cursor, &only, PAGE)?, running))
            })
            .await?)
    }

    async fn answer(
        &self,
        boss: &str,
        cursor: Cursor,
        status: WaitStatus,
        found: Vec<(i64, AttentionEvent)>,
        running: Vec<MissionRow>,
    ) -> Result<WaitResponse, ApiError> {
        let mut answer = WaitResponse {
            status,
            events: Vec::new(),
            cursor: String::new(),
            running: Vec::new(),
            running_total: running.len() as u32,
            next: next(status).to_owned(),
        };
        let mut delivered = Vec::new();
        for (sequence, event) in found {
            answer.events.push(event);
            if answer.events.len() > 1 && size(&answer) > EVENTS_BUDGET {
                answer.events.pop();
                break;
            }
            delivered.push(sequence);
        }
        let boss = boss.to_owned();
        let moved = self.store.read(move |c| store::advance_cursor(c, &boss, cursor, &delivered)).await?;
        answer.cursor = moved.to_string();
        for row in running {
            answer.running.push(running_worker(&row));
            if size(&answer) > BUDGET {
                answer.running.pop();
                break;
            }
        }
        Ok(answer)
    }
}

fn size(answer: &WaitResponse) -> usize {
    serde_json::to_vec(answer).map_or(0, |bytes| bytes.len())
}

fn closed() -> ApiError {
    ApiError::new(sandboxed_domain::api::ErrorCode::Internal, "the daemon is shutting down")
        .hint("call again with the same cursor")
}

fn next(status: WaitStatus) -> &'static str {
    match status {
        WaitStatus::Event => "get_worker for each finished one, then wait again with this cursor",
        WaitStatus::Timeout => "normal: call wait_for_any_worker again with this cursor",
        WaitStatus::NothingToWaitFor => "no worker is running and nothing is unseen",
    }
}

/// A running worker in short.
pub(super) fn running_worker(row: &MissionRow) -> RunningWorker {
    RunningWorker {
        worker_id: row.id,
        status: row.status,
        seconds: row.seconds() as u64,
        last_activity: crate::mission::one_line(&row.last_activity, 60),
        parked_until: row.parked_until(),
    }
}
