//! What goes with a workspace and is nowhere else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ErrorCode;

/// Most things of one kind that are named in a sentence.
const NAMED: usize = 10;

/// `DELETE /api/workspaces/:id`: query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DestroyParams {
    /// Go on, whatever is lost: missions at work are cancelled, worktrees go with what is not committed. Branches stay
    /// in their repositories.
    pub yes: bool,
}

/// A mission that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names say it")]
pub struct LostMission {
    pub mission_id: Uuid,
    pub title: String,
    pub status: crate::mission::MissionStatus,
}

/// A worktree with something that is nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "names say it")]
pub struct LostWorktree {
    pub path: String,
    pub branch: String,
    /// What of it is nowhere else.
    pub why: String,
}

/// `GET /api/workspaces/:id/losses`: what destroying the workspace would lose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkspaceLosses {
    /// Missions that have not ended.
    pub missions: Vec<LostMission>,
    /// Worktrees with changes, files or commits that are nowhere else.
    pub worktrees: Vec<LostWorktree>,
    /// Bytes in its inbox; none when that is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub inbox_bytes: Option<u64>,
}

impl WorkspaceLosses {
    /// Whether there is nothing to ask about.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The code of a refusal.
    pub fn code(&self) -> ErrorCode {
        if self.missions.is_empty() { ErrorCode::Conflict } else { ErrorCode::WrongState }
    }

    /// One line each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let more =
            |count: usize, what: &str| (count > NAMED).then(|| format!("and {} more {what}", count - NAMED));
        for mission in self.missions.iter().take(NAMED) {
            lines.push(format!(
                "mission {} ({:?}) is {}",
                mission.mission_id,
                mission.title,
                mission.status.as_str()
            ));
        }
        lines.extend(more(self.missions.len(), "missions"));
        for worktree in self.worktrees.iter().take(NAMED) {
            lines.push(format!("worktree {} (branch {}): {}", worktree.path, worktree.branch, worktree.why));
        }
        lines.extend(more(self.worktrees.len(), "worktrees"));
        lines.extend(self.inbox_bytes.map(|bytes| format!("its inbox holds {bytes} bytes")));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mission::MissionStatus;

    #[test]
    fn everything_is_named_up_to_a_bound() {
        assert!(WorkspaceLosses::default().is_empty() && WorkspaceLosses::default().lines().is_empty());
        let worktree = |n: usize| LostWorktree {
            path: format!("/w/{n}"),
            branch: format!("task/{n}"),
            why: "2 files are not tracked".to_owned(),
        };
        let mission =
            LostMission { mission_id: Uuid::nil(), title: "t".to_owned(), status: MissionStatus::Active };
        let mut losses =
            WorkspaceLosses { worktrees: (0..12).map(worktree).collect(), ..WorkspaceLosses::default() };
        assert_eq!(losses.code(), ErrorCode::Conflict);
        losses.missions.push(mission);
        losses.inbox_bytes = Some(4096);
        let lines = losses.lines();
        assert_eq!((lines.len(), losses.code()), (13, ErrorCode::WrongState));
        assert!(lines[0].ends_with("(\"t\") is active") && lines[11] == "and 2 more worktrees", "{lines:?}");
        assert_eq!(lines[1], "worktree /w/0 (branch task/0): 2 files are not tracked");
        assert_eq!(lines[12], "its inbox holds 4096 bytes");
    }
}
