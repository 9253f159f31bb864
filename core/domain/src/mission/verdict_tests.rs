//! Every combination of causes, ends, reports and checks.

use super::*;

const FAILURES: [(FailureClass, TerminalReason); 5] = [
    (FailureClass::BudgetReached, TerminalReason::BudgetExceeded),
    (FailureClass::Transient, TerminalReason::HarnessError),
    (FailureClass::Harness, TerminalReason::HarnessError),
    (FailureClass::Auth, TerminalReason::AuthError),
    (FailureClass::RateLimited { resets_at: Some(1) }, TerminalReason::RateLimited),
];
const REPORTS: [(Option<Outcome>, ReportedBy); 7] = [
    (None, ReportedBy::None),
    (Some(Outcome::Done), ReportedBy::Tool),
    (Some(Outcome::Done), ReportedBy::Text),
    (Some(Outcome::Blocked), ReportedBy::Tool),
    (Some(Outcome::Blocked), ReportedBy::Text),
    (Some(Outcome::NotFeasible), ReportedBy::Tool),
    (Some(Outcome::NotFeasible), ReportedBy::Text),
];
const CHECKS: [Verification; 5] = [
    Verification::NotSet,
    Verification::NotRun,
    Verification::Ran { exit_code: Some(0) },
    Verification::Ran { exit_code: Some(1) },
    Verification::Ran { exit_code: None },
];

fn turns() -> Vec<TurnEnd> {
    let failed = FAILURES.iter().map(|(class, _)| TurnEnd::Failed(*class));
    [TurnEnd::Success, TurnEnd::Interrupted].into_iter().chain(failed).collect()
}

fn all_inputs() -> Vec<VerdictInput> {
    let stops = StopCause::ALL.into_iter().map(Some).chain([None]);
    let mut inputs = Vec::new();
    for stop in stops {
        for turn in turns() {
            for (outcome, by) in REPORTS {
                inputs.extend(CHECKS.map(|verification| VerdictInput {
                    stop,
                    turn,
                    outcome,
                    by,
                    verification,
                }));
            }
        }
    }
    inputs
}

/// The rules once more, as a table read from the top: the first row that matches.
fn expected(input: &VerdictInput) -> (MissionStatus, TerminalReason) {
    use MissionStatus as S;
    use TerminalReason as R;
    let VerdictInput { stop, turn, outcome, by, verification } = *input;
    match (stop, turn, by, outcome, verification) {
        (Some(StopCause::CancelledByUser), ..) => (S::Cancelled, R::CancelledByUser),
        (Some(StopCause::CancelledByBoss), ..) => (S::Cancelled, R::CancelledByBoss),
        (Some(StopCause::RunnerLost), ..) => (S::Interrupted, R::RunnerLost),
        (Some(StopCause::BudgetExceeded), ..) => (S::Failed, R::BudgetExceeded),
        (Some(StopCause::TimedOut), ..) => (S::Failed, R::TimedOut),
        (Some(StopCause::Stalled), ..) => (S::Failed, R::Stalled),
        (Some(StopCause::MemoryExceeded), ..) => (S::Failed, R::MemoryExceeded),
        (Some(StopCause::ProcessesExceeded), ..) => (S::Failed, R::ProcessesExceeded),
        (Some(StopCause::OutputExceeded), ..) => (S::Failed, R::OutputExceeded),
        (Some(StopCause::DiskExceeded), ..) => (S::Failed, R::DiskExceeded),
        (Some(StopCause::SandboxFailed), ..) => (S::Failed, R::SandboxFailed),
        (Some(StopCause::SetupFailed), ..) => (S::Failed, R::SetupFailed),
        (None, TurnEnd::Failed(class), ..) => {
            (S::Failed, FAILURES.iter().find(|(known, _)| *known == class).unwrap().1)
        }
        (None, TurnEnd::Interrupted, ReportedBy::Text | ReportedBy::None, ..) => {
            (S::Interrupted, R::HarnessError)
        }
        (.., Some(Outcome::Blocked), _) => (S::Blocked, R::ReportedBlocked),
        (.., Some(Outcome::NotFeasible), _) => (S::NotFeasible, R::ReportedNotFeasible),
        (.., Verification::NotSet | Verification::Ran { exit_code: Some(0) }) => (S::Completed, R::Done),
        (.., Verification::NotRun | Verification::Ran { .. }) => (S::Failed, R::VerificationFailed),
    }
}

#[test]
fn every_combination_is_judged_by_the_first_rule_that_applies() {
    let inputs = all_inputs();
    assert_eq!(inputs.len(), 13 * 7 * 7 * 5);
    for input in &inputs {
        let verdict = judge(input);
        assert_eq!((verdict.status, verdict.reason), expected(input), "{input:?}");
        assert!(verdict.status.is_ended(), "{input:?}");
    }
}

#[test]
fn only_a_clean_turn_and_a_passed_or_absent_check_complete_a_mission() {
    for input in all_inputs() {
        if judge(&input).status == MissionStatus::Completed {
            assert_eq!(input.stop, None);
            assert!(matches!(
                input.verification,
                Verification::NotSet | Verification::Ran { exit_code: Some(0) }
            ));
            assert!(matches!(input.turn, TurnEnd::Success | TurnEnd::Interrupted));
            assert!(!matches!(input.outcome, Some(Outcome::Blocked | Outcome::NotFeasible)));
        }
    }
}

#[test]
fn the_check_runs_exactly_when_its_result_would_decide() {
    for input in all_inputs() {
        let with =
            |exit_code| judge(&VerdictInput { verification: Verification::Ran { exit_code }, ..input });
        let decides = with(Some(0)) != with(Some(1));
        assert_eq!(
            needs_verification(&input),
            decides && input.verification == Verification::NotRun,
            "{input:?}"
        );
    }
}

#[test]
fn a_turn_without_success_and_without_a_reason_has_failed() {
    assert_eq!(TurnEnd::new(true, false, None), TurnEnd::Success);
    assert_eq!(TurnEnd::new(false, true, None), TurnEnd::Interrupted);
    assert_eq!(TurnEnd::new(false, false, None), TurnEnd::Failed(FailureClass::Harness));
    assert_eq!(TurnEnd::new(true, false, Some(FailureClass::Auth)), TurnEnd::Failed(FailureClass::Auth));
}
