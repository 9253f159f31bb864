//! The platform's own check of a worker that says it is done: another run in the same sandbox and directory.

use chrono::Utc;
use sandboxed_domain::api::VerificationView;
use uuid::Uuid;

use super::actor::{Actor, StepError};
use super::{finish, tail};
use crate::store::{self, MissionRow, RunKind, RunPhase, RunPlan, RunRow};

/// Name of the check's output file.
const LOG: &str = "verification.log";
/// Most bytes of its output in the record.
const TAIL: u64 = 2000;

/// Writes the check's run down; the next step starts it.
pub(super) async fn plan_check(
    actor: &Actor<'_>,
    row: &MissionRow,
    command: String,
) -> Result<(), StepError> {
    let run = RunRow {
        id: Uuid::now_v7(),
        mission_id: row.id,
        attempt: row.attempt,
        kind: RunKind::Verify,
        phase: RunPhase::Starting,
        plan: RunPlan {
            // Both outputs in one file, in the order in which they were written.
            argv: vec!["/bin/sh".into(), "-c".into(), format!("exec 2>&1\n{command}")],
            cwd: row.working_directory.clone().unwrap_or_default(),
            stdout_name: LOG.to_owned(),
            stdin_pipe: false,
            credential: None,
        },
        offset: 0,
        stored_bytes: 0,
        stdin_planned: 0,
        stdin_closed: true,
        idle: true,
        exit: None,
        started_at: Utc::now(),
        clocks: store::clocks_now(),
    };
    actor
        .update(move |tx, row| {
            row.last_activity = "verification".to_owned();
            store::save_run(tx, &run)
        })
        .await?;
    Ok(())
}

/// The check has ended: its result goes into the record, and the mission is judged.
pub(super) async fn after_check(actor: &Actor<'_>, row: MissionRow, run: RunRow) -> Result<(), StepError> {
    let directory = actor.shared.workspaces.paths(row.workspace_id).run(&run.id.to_string());
    let seconds = run
        .exit
        .as_ref()
        .map_or(0.0, |exit| exit.ended_at_ms.saturating_sub(exit.started_at_ms) as f64 / 1000.0);
    let view = VerificationView {
        command: row.spec.verification_command.clone().unwrap_or_default(),
        exit_code: run.exit.as_ref().and_then(|exit| exit.exit_code),
        seconds,
        output_tail: tail::tail_text(&directory.join(LOG), TAIL),
    };
    finish::end(actor, row, Some(view)).await
}
