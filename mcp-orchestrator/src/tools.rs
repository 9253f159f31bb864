//! The tools as clients see them: name, description, hints and schemas.

use rmcp::model::Tool;
use sandboxed_domain::api::{
    AnswerWorkerParams, AnswerWorkerResponse, BackendAuthParams, BackendAuthResponse, BatchCreateParams,
    BatchCreateResponse, CancelWorkerParams, CancelWorkerResponse, GetWorkerParams, GetWorkerResponse,
    LayoutResponse, ListWorkersParams, ListWorkersResponse, NoParams, ReportOutcomeParams,
    ReportOutcomeResponse, ResumeWorkerParams, ResumeWorkerResponse, SendMessageParams, SendMessageResponse,
    WaitParams, WaitResponse,
};
use sandboxed_mcp::tools::{Effect, data as tool};

use crate::identity::Role;

/// What a boss reads before anything else. Codex shows about the first 250 characters.
const BOSS_INSTRUCTIONS: &str = "\
batch_create_workers starts workers and returns at once. wait_for_any_worker then blocks until one needs you; \
`timeout` is normal: call again with its cursor. Never sleep or poll. get_worker gives the computed result; \
resume_worker continues one.

First get_workspace_layout: repositories, free slots and backends, with paths as a worker sees them. Give each \
worker that edits a worktree with a branch of its own, a task_key, and a verification_command: the platform runs it, \
and it decides whether the worker succeeded. A prompt must be complete: a worker sees nothing of your \
conversation. A batch may be larger than the free slots; the rest waits its turn. Believe the computed fields \
(verification, git), not the worker's words. Answer needs_input events with answer_worker. Workers outlive your \
session: the same boss finds them again with list_workers.";

/// What a worker reads; it may have workers of its own.
const MISSION_INSTRUCTIONS: &str = "\
You are a worker. When your task is finished, or cannot go on, call report_outcome once with DONE, BLOCKED or \
NOT_FEASIBLE and a short summary, then stop. Commit first: uncommitted work is reported as such.

You may have workers of your own. ";

/// The server's instructions for a role.
pub fn instructions(role: Role) -> String {
    match role {
        Role::Boss => BOSS_INSTRUCTIONS.to_owned(),
        Role::Mission => format!("{MISSION_INSTRUCTIONS}{BOSS_INSTRUCTIONS}"),
    }
}

/// The tools offered to a role, always in the same order. None is destructive: work stays on disk and on its branch. All
/// are closed: they reach the daemon and nothing else.
///
/// # Errors
/// When a parameter type is no object: a mistake in its definition.
pub fn list(role: Role) -> Result<Vec<Tool>, String> {
    let mut tools = looking()?;
    tools.extend(acting()?);
    if role == Role::Mission {
        tools.push(reporting()?);
    }
    Ok(tools)
}

fn looking() -> Result<Vec<Tool>, String> {
    Ok(vec![
        tool::<NoParams, LayoutResponse>(
            "get_workspace_layout",
            "Workspace layout",
            "Your workspace as workers will see it: root, repositories (branch, head, dirty), where worktrees go, \
             backends, and how many workers may run at once. Call it before the first batch.",
            Effect::Reads,
        )?,
        tool::<BackendAuthParams, BackendAuthResponse>(
            "get_backend_auth_status",
            "Backend status",
            "Which backends can start a worker now: installed, version, how they authenticate, default model, and \
             what to do when one is not ready. Default: all backends. Never shows a secret.",
            Effect::Reads,
        )?,
        tool::<WaitParams, WaitResponse>(
            "wait_for_any_worker",
            "Wait for workers",
            "Blocks until a worker finished, needs input or was limited; default: any of yours. Returns events and \
             a cursor; pass the cursor next time to acknowledge them. `timeout` is normal: call again at once. \
             Loses nothing. Never sleep or poll instead.",
            Effect::Reads,
        )?,
        tool::<GetWorkerParams, GetWorkerResponse>(
            "get_worker",
            "Get a worker",
            "One worker. view=result (default): completion record with verification, git facts and cost, all \
             computed. view=transcript, diff or log: text in pages of max_bytes (256-32768, default 4096); pass \
             next_cursor as cursor for the next page.",
            Effect::Reads,
        )?,
        tool::<ListWorkersParams, ListWorkersResponse>(
            "list_workers",
            "List workers",
            "Your workers, newest first, in pages under 4 kB: id, task_key, title, status, reason. Optional filter \
             by status. Pass next_cursor as cursor for the next page. To learn of changes use wait_for_any_worker.",
            Effect::Reads,
        )?,
    ])
}

fn acting() -> Result<Vec<Tool>, String> {
    Ok(vec![
        tool::<BatchCreateParams, BatchCreateResponse>(
            "batch_create_workers",
            "Create workers",
            "Creates 1-64 workers and returns at once; they run as slots allow. Each entry stands for itself: a bad \
             one fails alone with its error. The same task_key or idempotency_key never makes a second worker. \
             Then call wait_for_any_worker.",
            Effect::Adds,
        )?,
        tool::<ResumeWorkerParams, ResumeWorkerResponse>(
            "resume_worker",
            "Resume a worker",
            "Runs an ended worker again with a new prompt (at most 1 MiB), in its own directory and with its whole \
             conversation. For one that still runs use send_message_to_worker.",
            Effect::Adds,
        )?,
        tool::<SendMessageParams, SendMessageResponse>(
            "send_message_to_worker",
            "Message a worker",
            "Queues a message (at most 1 MiB) for a worker that has not ended; it becomes its next turn, or with \
             into_running_turn=true (codex) part of the one that runs. Returns its place in the queue. For an ended \
             worker use resume_worker.",
            Effect::Adds,
        )?,
        tool::<CancelWorkerParams, CancelWorkerResponse>(
            "cancel_worker",
            "Cancel workers",
            "Ends workers by id, or with all=true all of yours that run. Their files, commits and branches stay. \
             Returns which were cancelled, were not running, or are unknown.",
            Effect::Settles,
        )?,
        tool::<AnswerWorkerParams, AnswerWorkerResponse>(
            "answer_worker",
            "Answer a worker",
            "Answers a needs_input event by its request_id: decision allow, allow_always or deny for a permission, \
             answer for a question. The first answer counts; a second gets already_answered.",
            Effect::Adds,
        )?,
    ])
}

fn reporting() -> Result<Tool, String> {
    tool::<ReportOutcomeParams, ReportOutcomeResponse>(
        "report_outcome",
        "Report outcome",
        "Workers only: says how your task ended. DONE, BLOCKED (name the blocker) or NOT_FEASIBLE, with a summary of \
         at most 4000 characters. Commit first, call it once, then stop.",
        Effect::Settles,
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sandboxed_domain::api::TOOL_NAMES;
    use sandboxed_mcp::tools::faults;

    use super::*;

    #[test]
    fn a_mission_is_offered_every_tool_and_a_boss_all_but_report_outcome() {
        let names =
            |role| list(role).unwrap().into_iter().map(|t| t.name.into_owned()).collect::<BTreeSet<_>>();
        let all: BTreeSet<_> = TOOL_NAMES.into_iter().map(str::to_owned).collect();
        assert_eq!(names(Role::Mission), all);
        let outside: BTreeSet<_> = all.into_iter().filter(|n| n != "report_outcome").collect();
        assert_eq!(names(Role::Boss), outside);
    }

    #[test]
    fn tools_and_instructions_are_as_models_need_them() {
        let words = ["task_key", "verification_command", "needs_input", "NOT_FEASIBLE"];
        for role in [Role::Boss, Role::Mission] {
            let tools = list(role).unwrap();
            assert_eq!(faults(&tools, &instructions(role), TOOL_NAMES.len(), &words), [""; 0]);
            assert!(tools.iter().all(|tool| tool.output_schema.is_some()));
            assert!(instructions(role).chars().count() < 4096);
        }
        for tool in ["batch_create_workers", "wait_for_any_worker", "get_worker", "resume_worker"] {
            assert!(BOSS_INSTRUCTIONS.split("\n\n").next().unwrap().contains(tool), "{tool}");
        }
    }
}
