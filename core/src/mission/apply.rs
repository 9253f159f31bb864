//! From what a codec understood to what is written: events, the mission's row and the run's row, in one transaction.

use chrono::Utc;
use sandboxed_domain::api::{EventBody, McpServerView, RequestView, Usage};
use sandboxed_domain::harness::{FailureClass, HarnessEvent};
use sandboxed_domain::policy::request_options;
use serde_json::Value;

use super::manager::one_line;
use super::requests;
use crate::store::{self, LastTurn, MissionRow, RunRow, Setbacks, StoreError, Tx};

/// Most bytes of plain text kept as events for one run; the log file has all of it.
pub(super) const MAX_STORED_TEXT: u64 = 4 << 20;
/// Most characters of why an MCP server is not well.
const MCP_DETAIL: usize = 500;
/// Most bytes of a last message.
const MAX_MESSAGE: usize = 2000;

/// Writes a piece of output: its events, and where to go on.
pub(super) fn store_piece(
    tx: &mut Tx<'_>,
    row: &mut MissionRow,
    run: &mut RunRow,
    events: Vec<HarnessEvent>,
    snapshot: Value,
) -> Result<(), StoreError> {
    for event in events {
        apply(tx, row, run, event)?;
    }
    row.codec_state = Some(snapshot);
    store::save_run(tx, run)?;
    store::save_mission(tx, row)
}

fn apply(
    tx: &mut Tx<'_>,
    row: &mut MissionRow,
    run: &mut RunRow,
    event: HarnessEvent,
) -> Result<(), StoreError> {
    let id = row.id;
    match event {
        HarnessEvent::Ignored | HarnessEvent::CredentialTaken => {}
        HarnessEvent::SessionStarted { session_id, .. } => {
            row.session_started = true;
            row.session_id = session_id;
        }
        HarnessEvent::Thinking { content, done } => {
            row.last_activity = "thinking".to_owned();
            store::append_event(tx, id, &EventBody::Thinking { content, done })?;
        }
        HarnessEvent::TextDelta { content } => text_delta(tx, row, run, content)?,
        HarnessEvent::AssistantMessage { id: message, content, model } => {
            row.last_message = sandboxed_domain::policy::cut_middle(&content, MAX_MESSAGE);
            row.last_activity = one_line(&content, 80);
            let (success, cost_cents, usage) = (true, 0.0, Usage::default());
            let body =
                EventBody::AssistantMessage { id: message, content, success, cost_cents, usage, model };
            store::append_event(tx, id, &body)?;
        }
        HarnessEvent::ToolCall { id: tool_call_id, name, args } => {
            row.last_activity = format!("tool {name}");
            store::append_event(tx, id, &EventBody::ToolCall { tool_call_id, name, args })?;
        }
        HarnessEvent::ToolResult { id: tool_call_id, result, is_error } => {
            let name = tool_name(tx, row, &tool_call_id)?;
            store::append_event(tx, id, &EventBody::ToolResult { tool_call_id, name, result, is_error })?;
        }
        HarnessEvent::Request { request_id, kind, title, options, rule, detail } => {
            let view = RequestView {
                request_id: store::public_request_id(run.id, &request_id),
                mission_id: id,
                options: request_options(&kind, options, rule.as_deref()),
                opened_at: Utc::now(),
                kind,
                title,
                rule,
                detail,
            };
            requests::open(tx, row, run, &request_id, view)?;
        }
        HarnessEvent::Warning { code, message } => {
            row.last_activity = one_line(&message, 80);
            store::append_event(tx, id, &EventBody::Error { code, message })?;
        }
        HarnessEvent::McpServer { name, state, detail } => {
            let detail = detail.map(|words| one_line(&words, MCP_DETAIL));
            store::mcp_server_told(tx, id, McpServerView { name, state, detail })?;
        }
        HarnessEvent::Goal { status, objective, iterations, tokens_used, token_budget } => {
            row.last_activity = format!("goal {status}, turn {iterations}");
            let body = EventBody::Goal { status, objective, iterations, tokens_used, token_budget };
            store::append_event(tx, id, &body)?;
        }
        HarnessEvent::TurnEnded { success, interrupted, failure, message, usage } => {
            turn_ended(tx, row, run, LastTurn::new(success, interrupted, failure, message), usage)?;
        }
        HarnessEvent::MessageStarted { id: message } => {
            row.last_activity = "working".to_owned();
            store::message_taken(tx, &message)?;
        }
        HarnessEvent::MessageRefused { id: message, reason } => {
            store::requeue_message(tx, &message)?;
            let message =
                format!("a message was not taken into the running turn, it is the next one: {reason}");
            store::append_event(tx, id, &EventBody::Error { code: "message_refused".to_owned(), message })?;
        }
        HarnessEvent::RequestWithdrawn { request_id } => requests::withdraw(tx, row, run, &request_id)?,
        HarnessEvent::Send { line } => send(tx, run, &line)?,
        HarnessEvent::Raw(raw) => {
            store::append_event(tx, id, &EventBody::HarnessRaw { raw })?;
        }
    }
    Ok(())
}

/// What the codec itself answers. A process that was told that nothing more will come is not told any more.
fn send(tx: &mut Tx<'_>, run: &mut RunRow, line: &str) -> Result<(), StoreError> {
    if run.stdin_closed {
        tracing::debug!(run = %run.id, "an answer of the codec comes after the end of stdin");
        return Ok(());
    }
    store::plan_stdin(tx, run, line)
}

/// Keeps text up to the limit; the rest is in the log file, and one event says so.
fn text_delta(
    tx: &mut Tx<'_>,
    row: &mut MissionRow,
    run: &mut RunRow,
    content: String,
) -> Result<(), StoreError> {
    if run.stored_bytes >= MAX_STORED_TEXT && !run.plan.stdin_pipe {
        return Ok(());
    }
    run.stored_bytes += content.len() as u64;
    if !run.plan.stdin_pipe {
        row.last_activity = one_line(content.lines().last().unwrap_or_default(), 80);
    }
    store::append_event(tx, row.id, &EventBody::TextDelta { content })?;
    if run.stored_bytes >= MAX_STORED_TEXT && !run.plan.stdin_pipe {
        let log_path = run.plan.stdout_name.clone();
        store::append_event(
            tx,
            row.id,
            &EventBody::OutputElided { stored_bytes: run.stored_bytes, log_path },
        )?;
    }
    Ok(())
}

/// A result's tool, from the call it answers.
fn tool_name(tx: &Tx<'_>, row: &MissionRow, call: &str) -> Result<String, StoreError> {
    let name: Result<String, _> = tx.query_row(
        "SELECT data ->> 'name' FROM events WHERE mission_id = ?1 AND type = 'tool_call' \
         AND data ->> 'tool_call_id' = ?2 ORDER BY sequence DESC LIMIT 1",
        [row.id.to_string().as_str(), call],
        |found| found.get(0),
    );
    match name {
        Ok(name) => Ok(name),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}

fn turn_ended(
    tx: &mut Tx<'_>,
    row: &mut MissionRow,
    run: &mut RunRow,
    turn: LastTurn,
    usage: Usage,
) -> Result<(), StoreError> {
    row.turns += 1;
    row.input_tokens += usage.input_tokens;
    row.output_tokens += usage.output_tokens;
    if let Some(cost) = usage.cost_usd {
        row.cost_usd = Some(row.cost_usd.unwrap_or_default() + cost);
    }
    if turn.success && !turn.message.is_empty() && row.last_message.is_empty() {
        row.last_message = sandboxed_domain::policy::cut_middle(&turn.message, MAX_MESSAGE);
    }
    if turn.success {
        row.setbacks = Setbacks::default();
    }
    if !turn.success && !turn.interrupted {
        let code = match turn.class() {
            Some(FailureClass::RateLimited { .. }) => "rate_limited",
            Some(FailureClass::Auth) => "auth_error",
            Some(FailureClass::BudgetReached) => "budget_exceeded",
            Some(FailureClass::Transient | FailureClass::Harness) | None => "harness_error",
        };
        // What stopped it tells more than how it died of that.
        if row.stop_reason.is_none() || row.error.is_none() {
            row.error = Some(turn.message.clone());
        }
        let body = EventBody::Error { code: code.to_owned(), message: turn.message.clone() };
        store::append_event(tx, row.id, &body)?;
    }
    store::append_event(tx, row.id, &EventBody::Usage(usage))?;
    row.last_turn = Some(turn);
    run.idle = true;
    Ok(())
}
