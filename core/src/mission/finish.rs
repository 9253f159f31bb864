//! After a turn: the next message, an open conversation, a check, or the end with its record.

use std::path::PathBuf;

use sandboxed_domain::api::{GitFacts, VerificationView};
use sandboxed_domain::harness::BackendKind;
use sandboxed_domain::mission::{
    MissionStatus, ReportedBy, StopCause, TerminalReason, ToolReport, TurnEnd, VerdictInput, Verification,
    judge, needs_verification, reported,
};

use super::actor::{Actor, StepError};
use super::manager::end_mission;
use super::prepare::prepare;
use super::{setbacks, verify};
use crate::git;
use crate::store::{self, MissionRow, RunRow, blocking};

/// A run of the harness has ended: what now?
pub(super) async fn after_turn(actor: &Actor<'_>, row: MissionRow, run: RunRow) -> Result<(), StepError> {
    let harness = Actor::harness(&row)?;
    let capabilities = harness.capabilities();
    let id = actor.id;
    let succeeded = row.last_turn.as_ref().is_some_and(|turn| turn.success);
    if row.stop_reason.is_none() && capabilities.resume && succeeded {
        let waiting = actor.shared.store.write(move |tx| store::next_message(tx, id)).await?;
        if waiting.is_some() {
            // It came while the process was closing: it becomes the next turn of a new one.
            return prepare(actor, row).await;
        }
        if row.boss.is_none() {
            actor.update(|tx, row| store::transition(tx, row, MissionStatus::Waiting, None)).await?;
            return Ok(());
        }
    }
    if setbacks::wait_instead(actor, &row, &run).await? {
        return Ok(());
    }
    let input = verdict_input(&row, capabilities.kind, None);
    if needs_verification(&input)
        && let Some(command) = row.spec.verification_command.clone()
    {
        return verify::plan_check(actor, &row, command).await;
    }
    end(actor, row, None).await
}

fn verdict_input(
    row: &MissionRow,
    kind: BackendKind,
    verification: Option<&VerificationView>,
) -> VerdictInput {
    let said = own_word(row, kind);
    VerdictInput {
        stop: row.stop_reason.as_deref().and_then(stop_cause),
        turn: match &row.last_turn {
            Some(turn) => TurnEnd::new(turn.success, turn.interrupted, turn.class()),
            None => TurnEnd::new(false, false, None),
        },
        outcome: said.outcome,
        by: said.by,
        verification: match (&row.spec.verification_command, verification) {
            (None, _) => Verification::NotSet,
            (Some(_), None) => Verification::NotRun,
            (Some(_), Some(view)) => Verification::Ran { exit_code: view.exit_code },
        },
    }
}

/// What the worker says of itself in this turn. A turn that failed has not come to its last word.
fn own_word(row: &MissionRow, kind: BackendKind) -> sandboxed_domain::api::Reported {
    let by_tool = row.reported.clone().filter(|said| said.by == ReportedBy::Tool).and_then(|said| {
        Some(ToolReport { outcome: said.outcome?, summary: said.summary, blocker: said.blocker })
    });
    let failed = row.last_turn.as_ref().is_some_and(|turn| !turn.success && !turn.interrupted);
    let text = if failed && kind == BackendKind::Agent { "" } else { row.last_message.as_str() };
    reported(by_tool, text, kind)
}

fn stop_cause(word: &str) -> Option<StopCause> {
    use TerminalReason as R;
    match TerminalReason::parse(word)? {
        R::CancelledByUser => Some(StopCause::CancelledByUser),
        R::CancelledByBoss => Some(StopCause::CancelledByBoss),
        R::BudgetExceeded => Some(StopCause::BudgetExceeded),
        R::TimedOut => Some(StopCause::TimedOut),
        R::Stalled => Some(StopCause::Stalled),
        R::MemoryExceeded => Some(StopCause::MemoryExceeded),
        R::ProcessesExceeded => Some(StopCause::ProcessesExceeded),
        R::OutputExceeded => Some(StopCause::OutputExceeded),
        R::DiskExceeded => Some(StopCause::DiskExceeded),
        R::RunnerLost => Some(StopCause::RunnerLost),
        R::SandboxFailed => Some(StopCause::SandboxFailed),
        R::SetupFailed => Some(StopCause::SetupFailed),
        R::Done
        | R::VerificationFailed
        | R::ReportedBlocked
        | R::ReportedNotFeasible
        | R::HarnessError
        | R::AuthError
        | R::RateLimited => None,
    }
}

/// Judges the mission and writes its end.
pub(super) async fn end(
    actor: &Actor<'_>,
    row: MissionRow,
    verification: Option<VerificationView>,
) -> Result<(), StepError> {
    let kind = Actor::harness(&row)?.capabilities().kind;
    let (facts, git_error) = git_facts(&row).await?;
    actor
        .update(move |tx, row| {
            let verdict = judge(&verdict_input(row, kind, verification.as_ref()));
            row.reported = Some(own_word(row, kind));
            row.verification = verification;
            row.git = facts;
            row.git_error = git_error;
            end_mission(tx, row, verdict.status, verdict.reason)
        })
        .await?;
    Ok(())
}

/// The facts of the mission's worktree, or why there are none.
async fn git_facts(row: &MissionRow) -> Result<(Option<GitFacts>, Option<String>), StepError> {
    let (Some(repo), Some(worktree), Some(base)) =
        (row.repo.clone().map(PathBuf::from), row.worktree.clone().map(PathBuf::from), row.base_oid.clone())
    else {
        return Ok((None, None));
    };
    let branch = row.branch.clone();
    let facts = blocking(move || git::facts(&worktree, &repo, Some(&base), branch.as_deref())).await?;
    Ok(match facts {
        Ok(facts) => (Some(facts), None),
        Err(error) => (None, Some(error.to_string())),
    })
}
