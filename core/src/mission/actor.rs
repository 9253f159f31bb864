//! One mission's loop: look at what is written, decide the next step, do it.

use std::path::PathBuf;

use sandboxed_domain::api::{ApiError, ErrorCode};
use sandboxed_domain::harness::{self, Harness};
use sandboxed_domain::mission::{MissionStatus, TerminalReason};
use tokio::sync::Notify;
use uuid::Uuid;

use super::manager::{Shared, end_mission};
use super::{drive, finish, prepare, verify};
use crate::harness::take_away;
use crate::sandbox::SandboxError;
use crate::store::{self, MissionRow, RunKind, RunPhase, RunRow, StoreError, blocking};

/// Why a step could not be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    /// The mission ends with this.
    #[error("{0}")]
    Mission(ApiError),
    /// Nothing can be written: try again later from what is written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<SandboxError> for StepError {
    fn from(error: SandboxError) -> Self {
        Self::Mission(error.into())
    }
}

impl From<ApiError> for StepError {
    fn from(error: ApiError) -> Self {
        Self::Mission(error)
    }
}

/// What comes next, from the rows alone.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Prepare,
    Start,
    Drive,
    AfterTurn,
    AfterCheck,
    Leave,
}

/// The rule of the loop.
pub(super) fn next_step(status: MissionStatus, run: Option<(RunKind, RunPhase)>) -> Step {
    if !status.holds_slot() {
        return Step::Leave;
    }
    match (status, run) {
        (MissionStatus::Preparing, _) | (_, None) => Step::Prepare,
        (_, Some((_, RunPhase::Starting))) => Step::Start,
        (_, Some((_, RunPhase::Running))) => Step::Drive,
        (_, Some((RunKind::Turn, RunPhase::Ended))) => Step::AfterTurn,
        (_, Some((RunKind::Verify, RunPhase::Ended))) => Step::AfterCheck,
    }
}

/// A mission's actor between two steps.
pub(super) struct Actor<'a> {
    pub shared: &'a Shared,
    pub id: Uuid,
    pub wake: &'a Notify,
}

/// Works on one mission until it leaves its slot.
pub(super) async fn run(shared: &Shared, id: Uuid, wake: &Notify) -> Result<(), StoreError> {
    let actor = Actor { shared, id, wake };
    loop {
        let Some((row, run)) = actor.load().await? else { return Ok(()) };
        let step = next_step(row.status, run.as_ref().map(|run| (run.kind, run.phase)));
        let result = match (step, run) {
            (Step::Leave, _) => {
                actor.take_key_away(&row).await;
                return Ok(());
            }
            (Step::Prepare, _) | (_, None) => prepare::prepare(&actor, row).await,
            (Step::Start, Some(run)) => prepare::start(&actor, row, run).await,
            (Step::Drive, Some(run)) => drive::drive(&actor, row, run).await,
            (Step::AfterTurn, Some(run)) => finish::after_turn(&actor, row, run).await,
            (Step::AfterCheck, Some(run)) => verify::after_check(&actor, row, run).await,
        };
        match result {
            Ok(()) => {}
            Err(StepError::Store(error)) => return Err(error),
            Err(StepError::Mission(error)) => actor.fail(error).await?,
        }
    }
}

impl Actor<'_> {
    async fn load(&self) -> Result<Option<(MissionRow, Option<RunRow>)>, StoreError> {
        let id = self.id;
        // Through the writer: an actor must see its own last commit.
        self.shared
            .store
            .write(move |tx| {
                let Some(row) = store::find_mission(tx, id)? else { return Ok(None) };
                Ok(Some((row, store::latest_run(tx, id)?)))
            })
            .await
    }

    /// Changes the mission's row in one transaction, from what is written now.
    pub async fn update(
        &self,
        change: impl FnOnce(&mut store::Tx<'_>, &mut MissionRow) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<MissionRow, StoreError> {
        let id = self.id;
        self.shared
            .store
            .write(move |tx| {
                let mut row = store::get_mission(tx, id)?;
                change(tx, &mut row)?;
                store::save_mission(tx, &row)?;
                Ok(row)
            })
            .await
    }

    /// Shows what the mission is doing.
    pub async fn activity(&self, text: impl Into<String>) -> Result<(), StoreError> {
        let (id, text) = (self.id, text.into());
        self.shared
            .store
            .note(move |tx| {
                let mut row = store::get_mission(tx, id)?;
                row.last_activity = text;
                store::save_mission(tx, &row)
            })
            .await
    }

    /// A step failed for good: the mission ends with a typed reason, or as it was asked to.
    async fn fail(&self, error: ApiError) -> Result<(), StoreError> {
        tracing::warn!(mission = %self.id, %error, "the mission fails");
        self.update(move |tx, row| {
            let body = sandboxed_domain::api::EventBody::Error {
                code: error.code.as_str(),
                message: error.to_string(),
            };
            store::append_event(tx, row.id, &body)?;
            let (status, reason) = match row.stop_reason.as_deref().and_then(TerminalReason::parse) {
                Some(reason) => (MissionStatus::Cancelled, reason),
                None => failure(error.code),
            };
            row.error = Some(error.to_string());
            end_mission(tx, row, status, reason)
        })
        .await
        .map(drop)
    }

    /// Takes back a key that a process was handed in a file: it has it, or does not need it any more.
    pub async fn take_key_away(&self, row: &MissionRow) {
        let Ok(harness) = harness::find(&row.backend) else { return };
        let directory = self.mission_dir(row);
        let taken = blocking(move || take_away(harness, &directory)).await;
        let error = match taken {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(mission = %self.id, %error, "its key cannot be taken away");
    }

    /// The mission's harness.
    pub fn harness(row: &MissionRow) -> Result<&'static dyn Harness, StepError> {
        harness::find(&row.backend).map_err(StepError::Mission)
    }

    /// The mission's own directory.
    pub fn mission_dir(&self, row: &MissionRow) -> PathBuf {
        self.shared.workspaces.paths(row.workspace_id).mission(row.id)
    }
}

/// How an error of the platform ends a mission.
fn failure(code: ErrorCode) -> (MissionStatus, TerminalReason) {
    match code {
        ErrorCode::SandboxUnavailable | ErrorCode::SandboxFailed => {
            (MissionStatus::Failed, TerminalReason::SandboxFailed)
        }
        ErrorCode::RunnerLost => (MissionStatus::Interrupted, TerminalReason::RunnerLost),
        _ => (MissionStatus::Failed, TerminalReason::SetupFailed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_step_follows_from_what_is_written() {
        use MissionStatus as S;
        let turn = |phase| Some((RunKind::Turn, phase));
        let check = |phase| Some((RunKind::Verify, phase));
        let table = [
            (S::Preparing, None, Step::Prepare),
            (S::Preparing, turn(RunPhase::Ended), Step::Prepare),
            (S::Active, turn(RunPhase::Starting), Step::Start),
            (S::Active, turn(RunPhase::Running), Step::Drive),
            (S::NeedsInput, turn(RunPhase::Running), Step::Drive),
            (S::Active, turn(RunPhase::Ended), Step::AfterTurn),
            (S::Active, check(RunPhase::Starting), Step::Start),
            (S::Active, check(RunPhase::Running), Step::Drive),
            (S::Active, check(RunPhase::Ended), Step::AfterCheck),
            (S::Waiting, turn(RunPhase::Ended), Step::Leave),
            (S::Completed, check(RunPhase::Ended), Step::Leave),
            (S::Pending, None, Step::Leave),
        ];
        for (status, run, step) in table {
            assert_eq!(next_step(status, run), step, "{status:?} {run:?}");
        }
    }
}
