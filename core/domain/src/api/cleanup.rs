//! Cleaning up what ended missions leave.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::mission::MissionStatus;

/// Days that completed and cancelled missions are kept unless told.
const SHORT_DAYS: u32 = 7;
/// Days that all others are kept unless told: somebody may want to look into them, or resume them.
const LONG_DAYS: u32 = 30;

/// `POST /api/cleanup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CleanupParams {
    /// Remove; without it nothing is touched and the answer tells what would be.
    pub apply: bool,
    /// Days that completed and cancelled missions are kept after their end.
    pub completed_days: u32,
    /// Days that all others are kept.
    pub failed_days: u32,
}

impl Default for CleanupParams {
    fn default() -> Self {
        Self { apply: false, completed_days: SHORT_DAYS, failed_days: LONG_DAYS }
    }
}

impl CleanupParams {
    /// Days that a mission with this status is kept; none: it has not ended and stays.
    pub fn days(&self, status: MissionStatus) -> Option<u32> {
        match status {
            MissionStatus::Completed | MissionStatus::Cancelled => Some(self.completed_days),
            status if status.is_ended() => Some(self.failed_days),
            _ => None,
        }
    }
}

/// One mission of a clean-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names say it")]
pub struct CleanupEntry {
    pub mission_id: Uuid,
    pub title: String,
    pub status: MissionStatus,
    /// What its directory, runs, worktree and own workspace take on disk.
    pub bytes: u64,
    /// Why it stays, though its time is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// What was, or would be, removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CleanupResponse {
    /// Whether anything was touched.
    pub applied: bool,
    /// Bytes of all that is in `removed`.
    pub bytes: u64,
    /// Missions that went, or would go.
    pub removed: Vec<CleanupEntry>,
    /// Missions whose time is over and that stay, each with the reason.
    pub kept: Vec<CleanupEntry>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_ended_is_never_old_enough() {
        let params = CleanupParams { completed_days: 1, failed_days: 2, ..CleanupParams::default() };
        for status in MissionStatus::ALL {
            let wanted = match status {
                MissionStatus::Completed | MissionStatus::Cancelled => Some(1),
                _ if status.is_ended() => Some(2),
                _ => None,
            };
            assert_eq!(params.days(status), wanted, "{status:?}");
        }
        assert!(!params.apply);
    }
}
