//! Statuses, reasons and outcomes, and which edges exist between statuses.
//!
//! ```text
//! pending -> preparing -> active <-> waiting
//!    ^                      |  \-> needs_input -> active
//!    |<--(its time)---------|--\-> rate_limited
//!    |<--(retry)------------|
//!                           v
//!              completed failed blocked not_feasible interrupted cancelled
//!                           |
//!                           \--(resume)--> pending
//! ```
//! Every state before an end may also go straight to an end (cancel, failure, lost runner).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a mission stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissionStatus {
    /// Waits for a slot, or first for the time of a retry or of a limit.
    Pending,
    /// Sandbox, worktree and files are being made.
    Preparing,
    /// A turn is running.
    Active,
    /// Turn over, conversation open.
    Waiting,
    /// A question or permission is pending.
    NeedsInput,
    /// Parked until a time; holds no slot.
    RateLimited,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// The worker reported a blocker.
    Blocked,
    /// The worker reported that it cannot be done.
    NotFeasible,
    /// Ended without its own doing.
    Interrupted,
    /// Ended by request.
    Cancelled,
}

impl MissionStatus {
    /// All statuses.
    pub const ALL: [Self; 12] = [
        Self::Pending,
        Self::Preparing,
        Self::Active,
        Self::Waiting,
        Self::NeedsInput,
        Self::RateLimited,
        Self::Completed,
        Self::Failed,
        Self::Blocked,
        Self::NotFeasible,
        Self::Interrupted,
        Self::Cancelled,
    ];

    /// Whether the mission has ended. Ended missions can be resumed.
    pub fn is_ended(self) -> bool {
        matches!(
            self,
            Self::Completed
                | Self::Failed
                | Self::Blocked
                | Self::NotFeasible
                | Self::Interrupted
                | Self::Cancelled
        )
    }

    /// Whether the mission holds one of the parallel slots.
    pub fn holds_slot(self) -> bool {
        matches!(self, Self::Preparing | Self::Active | Self::NeedsInput)
    }

    /// Whether the edge exists.
    pub fn can_become(self, next: Self) -> bool {
        use MissionStatus as S;
        match (self, next) {
            (a, b) if a == b => false,
            (a, S::Pending) => a.is_ended() || matches!(a, S::Waiting | S::RateLimited | S::Active),
            (a, b) if b.is_ended() => !a.is_ended(),
            (S::Pending, S::Preparing) => true,
            (S::Preparing, S::Active) => true,
            (S::Active, S::Waiting | S::NeedsInput | S::RateLimited) => true,
            (S::Waiting | S::NeedsInput, S::Active) => true,
            _ => false,
        }
    }

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Preparing => "preparing",
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::NeedsInput => "needs_input",
            Self::RateLimited => "rate_limited",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::NotFeasible => "not_feasible",
            Self::Interrupted => "interrupted",
            Self::Cancelled => "cancelled",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// Why a mission ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "names are the contract's")]
pub enum TerminalReason {
    Done,
    VerificationFailed,
    ReportedBlocked,
    ReportedNotFeasible,
    HarnessError,
    AuthError,
    RateLimited,
    BudgetExceeded,
    TimedOut,
    Stalled,
    CancelledByUser,
    CancelledByBoss,
    RunnerLost,
    SandboxFailed,
    SetupFailed,
    /// The kernel ended a process of the worker for its memory limit.
    MemoryExceeded,
    /// The worker hit its limit of processes again and again.
    ProcessesExceeded,
    /// The worker printed more than its log may hold.
    OutputExceeded,
    /// The worker filled a place beyond what it may hold.
    DiskExceeded,
}

impl TerminalReason {
    /// As stored and shown.
    pub fn as_str(self) -> String {
        serde_json::to_value(self).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// The inverse of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
    }
}

/// What a worker says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "names are the contract's")]
pub enum Outcome {
    Done,
    Blocked,
    NotFeasible,
}

/// By which way it said so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportedBy {
    /// By `report_outcome`.
    Tool,
    /// By a line of its last message.
    Text,
    /// Not at all.
    #[default]
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_mission_only_goes_back_to_the_queue() {
        for ended in MissionStatus::ALL.into_iter().filter(|s| s.is_ended()) {
            let next: Vec<_> = MissionStatus::ALL.into_iter().filter(|s| ended.can_become(*s)).collect();
            assert_eq!(next, [MissionStatus::Pending], "{ended:?}");
        }
    }

    #[test]
    fn every_open_mission_can_end_and_work_begins_with_preparation() {
        for open in MissionStatus::ALL.into_iter().filter(|s| !s.is_ended()) {
            assert!(open.can_become(MissionStatus::Cancelled), "{open:?}");
            let begins = open.can_become(MissionStatus::Preparing);
            assert_eq!(begins, open == MissionStatus::Pending, "{open:?}");
        }
    }

    #[test]
    fn words_are_read_back() {
        for status in MissionStatus::ALL {
            assert_eq!(MissionStatus::parse(status.as_str()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert_eq!(
            TerminalReason::parse(&TerminalReason::MemoryExceeded.as_str()),
            Some(TerminalReason::MemoryExceeded)
        );
        assert_eq!(TerminalReason::parse("nonsense"), None);
    }
}
