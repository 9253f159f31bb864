//! Whether a message may go into the turn that runs.

use crate::api::{ApiError, ErrorCode};
use crate::harness::Harness;
use crate::mission::MissionStatus;

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// It is the next turn.
    NextTurn,
    /// Into the turn that runs.
    RunningTurn,
}

impl Destination {
    /// From the field `into_running_turn`.
    pub fn of(into_running_turn: bool) -> Self {
        if into_running_turn { Self::RunningTurn } else { Self::NextTurn }
    }
}

/// Refuses a message for the running turn where there is no such way or no such turn. `at_turn`: the mission's newest
/// run is one of the agent, not a check of ours.
///
/// # Errors
/// `not_available`: the backend takes messages only between turns. `wrong_state`: no turn runs.
pub fn steerable(harness: &dyn Harness, status: MissionStatus, at_turn: bool) -> Result<(), ApiError> {
    let hint = "leave into_running_turn out: the message becomes the next turn";
    if !harness.capabilities().steer {
        let message = format!("backend {} takes messages only when its turn is over", harness.id());
        return Err(ApiError::new(ErrorCode::NotAvailable, message).field("into_running_turn").hint(hint));
    }
    match status {
        MissionStatus::Active | MissionStatus::NeedsInput if at_turn => Ok(()),
        other => {
            let message = format!("no turn is running: it is {}", other.as_str());
            Err(ApiError::new(ErrorCode::WrongState, message).field("into_running_turn").hint(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::registry;

    #[test]
    fn only_a_running_turn_of_a_backend_that_can_takes_a_message() {
        let code =
            |harness: &dyn Harness, status, at_turn| steerable(harness, status, at_turn).map_err(|e| e.code);
        assert!(registry().iter().any(|harness| harness.capabilities().steer));
        for harness in registry() {
            for status in MissionStatus::ALL {
                for at_turn in [true, false] {
                    let runs = at_turn && matches!(status, MissionStatus::Active | MissionStatus::NeedsInput);
                    let wanted = match (harness.capabilities().steer, runs) {
                        (false, _) => Err(ErrorCode::NotAvailable),
                        (true, false) => Err(ErrorCode::WrongState),
                        (true, true) => Ok(()),
                    };
                    assert_eq!(
                        code(*harness, status, at_turn),
                        wanted,
                        "{} {status:?} {at_turn}",
                        harness.id()
                    );
                }
            }
        }
    }
}
