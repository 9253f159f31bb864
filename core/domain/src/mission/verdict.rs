//! The judgement over a finished run: which status and which reason.
//!
//! The first rule that applies decides:
//! 1. somebody or something stopped it: cancelled, a limit, a lost runner, a sandbox or set-up that failed;
//! 2. the harness failed: no turn without its terminal event is a success;
//! 3. the worker reported `BLOCKED` or `NOT_FEASIBLE`: its word against itself is taken, nothing is verified;
//! 4. a verification command is set: its exit status decides;
//! 5. otherwise it is done.

use super::{MissionStatus, Outcome, ReportedBy, TerminalReason};
use crate::harness::FailureClass;

/// What ended a run from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the terminal reason of the same name")]
pub enum StopCause {
    CancelledByUser,
    CancelledByBoss,
    BudgetExceeded,
    TimedOut,
    Stalled,
    MemoryExceeded,
    ProcessesExceeded,
    OutputExceeded,
    DiskExceeded,
    RunnerLost,
    SandboxFailed,
    SetupFailed,
}

impl StopCause {
    /// All causes.
    pub const ALL: [Self; 12] = [
        Self::CancelledByUser,
        Self::CancelledByBoss,
        Self::BudgetExceeded,
        Self::TimedOut,
        Self::Stalled,
        Self::MemoryExceeded,
        Self::ProcessesExceeded,
        Self::OutputExceeded,
        Self::DiskExceeded,
        Self::RunnerLost,
        Self::SandboxFailed,
        Self::SetupFailed,
    ];
}

/// How the last turn ended, as the harness's terminal event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnEnd {
    /// It succeeded.
    Success,
    /// It was interrupted.
    Interrupted,
    /// It failed.
    Failed(FailureClass),
}

impl TurnEnd {
    /// From the fields of `HarnessEvent::TurnEnded`.
    pub fn new(success: bool, interrupted: bool, failure: Option<FailureClass>) -> Self {
        match (failure, interrupted, success) {
            (Some(class), _, _) => Self::Failed(class),
            (None, true, _) => Self::Interrupted,
            (None, false, true) => Self::Success,
            (None, false, false) => Self::Failed(FailureClass::Harness),
        }
    }
}

/// Where the platform's check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// No command is set.
    NotSet,
    /// A command is set and has not run.
    NotRun,
    /// It ran; no exit code means that a signal or a limit ended it.
    Ran {
        /// Its exit code.
        exit_code: Option<i32>,
    },
}

/// All that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerdictInput {
    /// What stopped it from outside.
    pub stop: Option<StopCause>,
    /// How its last turn ended.
    pub turn: TurnEnd,
    /// What the worker says (see [`super::reported`], which knows that a command says nothing).
    pub outcome: Option<Outcome>,
    /// By which way.
    pub by: ReportedBy,
    /// The platform's check.
    pub verification: Verification,
}

/// Status and reason of an ended mission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// An ended status.
    pub status: MissionStatus,
    /// Why.
    pub reason: TerminalReason,
}

/// Whether the check has to run before [`judge`] can say `done`.
pub fn needs_verification(input: &VerdictInput) -> bool {
    input.verification == Verification::NotRun && before_verification(input).is_none()
}

/// The judgement. A check that is set and has not run counts as failed, so ask [`needs_verification`] first.
pub fn judge(input: &VerdictInput) -> Verdict {
    before_verification(input).unwrap_or_else(|| match input.verification {
        Verification::NotSet | Verification::Ran { exit_code: Some(0) } => {
            verdict(MissionStatus::Completed, TerminalReason::Done)
        }
        Verification::NotRun | Verification::Ran { .. } => {
            verdict(MissionStatus::Failed, TerminalReason::VerificationFailed)
        }
    })
}

/// Rules 1 to 3.
fn before_verification(input: &VerdictInput) -> Option<Verdict> {
    if let Some(cause) = input.stop {
        return Some(stopped(cause));
    }
    match input.turn {
        TurnEnd::Failed(class) => return Some(verdict(MissionStatus::Failed, failure(class))),
        // The tool ends the task: a turn that is cut short after it has done its work.
        TurnEnd::Interrupted if input.by != ReportedBy::Tool => {
            return Some(verdict(MissionStatus::Interrupted, TerminalReason::HarnessError));
        }
        TurnEnd::Interrupted | TurnEnd::Success => {}
    }
    match input.outcome {
        Some(Outcome::Blocked) => Some(verdict(MissionStatus::Blocked, TerminalReason::ReportedBlocked)),
        Some(Outcome::NotFeasible) => {
            Some(verdict(MissionStatus::NotFeasible, TerminalReason::ReportedNotFeasible))
        }
        Some(Outcome::Done) | None => None,
    }
}

fn stopped(cause: StopCause) -> Verdict {
    use MissionStatus::{Cancelled, Failed, Interrupted};
    let (status, reason) = match cause {
        StopCause::CancelledByUser => (Cancelled, TerminalReason::CancelledByUser),
        StopCause::CancelledByBoss => (Cancelled, TerminalReason::CancelledByBoss),
        StopCause::BudgetExceeded => (Failed, TerminalReason::BudgetExceeded),
        StopCause::TimedOut => (Failed, TerminalReason::TimedOut),
        StopCause::Stalled => (Failed, TerminalReason::Stalled),
        StopCause::MemoryExceeded => (Failed, TerminalReason::MemoryExceeded),
        StopCause::ProcessesExceeded => (Failed, TerminalReason::ProcessesExceeded),
        StopCause::OutputExceeded => (Failed, TerminalReason::OutputExceeded),
        StopCause::DiskExceeded => (Failed, TerminalReason::DiskExceeded),
        StopCause::RunnerLost => (Interrupted, TerminalReason::RunnerLost),
        StopCause::SandboxFailed => (Failed, TerminalReason::SandboxFailed),
        StopCause::SetupFailed => (Failed, TerminalReason::SetupFailed),
    };
    verdict(status, reason)
}

fn failure(class: FailureClass) -> TerminalReason {
    match class {
        FailureClass::RateLimited { .. } => TerminalReason::RateLimited,
        FailureClass::Auth => TerminalReason::AuthError,
        FailureClass::BudgetReached => TerminalReason::BudgetExceeded,
        FailureClass::Transient | FailureClass::Harness => TerminalReason::HarnessError,
    }
}

fn verdict(status: MissionStatus, reason: TerminalReason) -> Verdict {
    Verdict { status, reason }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
