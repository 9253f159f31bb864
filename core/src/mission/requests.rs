//! Requests of a harness: opened for somebody to answer, answered by a rule of the mission, or withdrawn.

use sandboxed_domain::api::{Answerer, AttentionKind, Decision, EventBody, RequestView};
use sandboxed_domain::mission::MissionStatus;
use uuid::Uuid;

use super::manager::{attention, one_line};
use crate::store::{self, MissionRow, RunRow, StoreError, Tx};

/// Most options named in an attention event, and most characters of each: it has to stay small.
const OPTIONS: (usize, usize) = (6, 60);

/// Writes a request down. One that equals an earlier one that was allowed always has its answer already.
pub(super) fn open(
    tx: &mut Tx<'_>,
    row: &mut MissionRow,
    run: &RunRow,
    harness_id: &str,
    view: RequestView,
) -> Result<(), StoreError> {
    store::open_request(tx, run.id, harness_id, &view)?;
    let body = EventBody::RequestOpened {
        request_id: view.request_id.clone(),
        kind: view.kind.clone(),
        title: view.title.clone(),
        detail: view.detail.clone(),
    };
    store::append_event(tx, row.id, &body)?;
    row.last_activity = one_line(&view.title, 80);
    if let Some(rule) = &view.rule
        && store::has_rule(tx, row.id, rule)?
    {
        store::answer_request(tx, &view.request_id, Decision::AllowAlways, None)?;
        return answered(tx, row.id, view.request_id, Decision::AllowAlways.as_str(), Answerer::Rule);
    }
    if row.status == MissionStatus::Active {
        store::transition(tx, row, MissionStatus::NeedsInput, None)?;
    }
    tell_boss(tx, row, view)
}

fn tell_boss(tx: &mut Tx<'_>, row: &MissionRow, view: RequestView) -> Result<(), StoreError> {
    let Some(boss) = row.boss.clone() else { return Ok(()) };
    let mut event = attention(row, AttentionKind::NeedsInput);
    event.summary = one_line(&view.title, 200);
    event.request_id = Some(view.request_id);
    event.request_kind = Some(view.kind);
    event.options = view.options.iter().take(OPTIONS.0).map(|option| one_line(option, OPTIONS.1)).collect();
    store::append_attention(tx, &boss, &event)
}

/// The harness does not want an answer any more.
pub(super) fn withdraw(
    tx: &mut Tx<'_>,
    row: &mut MissionRow,
    run: &RunRow,
    request_id: &str,
) -> Result<(), StoreError> {
    let request_id = store::public_request_id(run.id, request_id);
    let open = store::withdraw_request(tx, row.id, &request_id)?;
    if open == 0 && row.status == MissionStatus::NeedsInput {
        store::transition(tx, row, MissionStatus::Active, None)?;
    }
    answered(tx, row.id, request_id, "withdrawn", Answerer::Harness)
}

/// The mission has ended: nobody can be told any more.
pub(super) fn close_all(tx: &mut Tx<'_>, mission: Uuid) -> Result<(), StoreError> {
    for view in store::open_requests(tx, Some(mission))? {
        answered(tx, mission, view.request_id, "withdrawn", Answerer::End)?;
    }
    store::close_requests(tx, mission)
}

fn answered(
    tx: &mut Tx<'_>,
    mission: Uuid,
    request_id: String,
    decision: &str,
    by: Answerer,
) -> Result<(), StoreError> {
    let body = EventBody::RequestAnswered { request_id, decision: decision.to_owned(), by };
    store::append_event(tx, mission, &body).map(drop)
}
