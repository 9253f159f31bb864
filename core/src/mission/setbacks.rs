//! A turn that failed for a reason that passes: the mission is parked or tried again, and taken up in its session.

use chrono::{DateTime, Utc};
use sandboxed_domain::api::{AttentionKind, EventBody, ParkCause};
use sandboxed_domain::harness::{self, Harness};
use sandboxed_domain::mission::{MissionStatus, Sequel, continuation, sequel, usable_key, with_unanswered};
use uuid::Uuid;

use super::actor::{Actor, StepError};
use super::keys::{self, Keyed, ring_of};
use super::manager::{attention, one_line};
use super::schedule::follow_clocks;
use crate::store::{self, MissionRow, RunRow, StoreError, Tx};

/// What a mission that goes on is told of a limit.
const LIMITED: &str = "the provider's usage limit was reached";
/// And of a failure.
const FAILED: &str = "the provider failed for a moment";

/// Parks the mission or plans a retry when its failed turn calls for that; false when it has to end.
pub(super) async fn wait_instead(
    actor: &Actor<'_>,
    row: &MissionRow,
    run: &RunRow,
) -> Result<bool, StepError> {
    let harness = Actor::harness(row)?;
    let failed = row.last_turn.as_ref().filter(|turn| !turn.success && !turn.interrupted);
    let Some(class) = failed.and_then(|turn| turn.class()) else { return Ok(false) };
    if row.stop_reason.is_some() || !can_be_taken_up(row, harness) {
        return Ok(false);
    }
    let patience = actor.shared.settings.patience;
    let before = (row.setbacks.parks, row.setbacks.retries);
    // Those that wait already have their times from the clock as it was.
    actor.shared.store.write(follow_clocks).await?;
    match sequel(class, before, patience, Utc::now(), chance()) {
        Sequel::End => Ok(false),
        Sequel::Park { until } => {
            let ring = ring_of(actor, harness).await?;
            let used = run.plan.credential.clone();
            actor
                .update(move |tx, row| limited(tx, row, until, (&ring, used.as_deref()), patience.parks))
                .await?;
            Ok(true)
        }
        Sequel::Retry { at } => {
            actor.update(move |tx, row| retry(tx, row, at, patience.retries)).await?;
            Ok(true)
        }
    }
}

/// Without its session a mission that has begun would begin anew.
fn can_be_taken_up(row: &MissionRow, harness: &dyn Harness) -> bool {
    harness.capabilities().resume || !row.session_started
}

/// Spreads missions that wait for the same thing.
fn chance() -> f64 {
    f64::from(Uuid::new_v4().as_u128() as u32) / f64::from(u32::MAX)
}

/// The key that was used is limited: the next one that is not is used at once, and without any the mission is parked.
fn limited(
    tx: &mut Tx<'_>,
    row: &mut MissionRow,
    until: DateTime<Utc>,
    (ring, used): (&[Keyed], Option<&str>),
    of: u32,
) -> Result<(), StoreError> {
    let used = ring.iter().find(|keyed| Some(keyed.credential.label.as_str()) == used).or(ring.first());
    let Some(used) = used else { return Ok(()) };
    store::limit_key(tx, &used.key, until)?;
    row.setbacks.parks += 1;
    if ring.len() > 1 {
        let label = used.credential.label.clone();
        store::append_event(tx, row.id, &EventBody::Credential { label, limited_until: Some(until) })?;
    }
    let known = keys::limits(tx, ring.iter().map(|keyed| &keyed.key), Utc::now())?;
    let (index, limit) = usable_key(&known);
    let (Some(next), used) = (ring.get(index), used.key.clone()) else { return Ok(()) };
    match limit {
        None => {
            row.last_activity = format!("{LIMITED}, goes on with {}", next.credential.label);
            repeat_turn(tx, row, LIMITED)?;
            store::transition(tx, row, MissionStatus::Pending, None)
        }
        // What was told of this very limit is later than what is written of it where the key had a longer one.
        Some(first) if next.key != used => park(tx, row, first, next.key.clone(), of),
        Some(_) => park(tx, row, until, used, of),
    }
}

fn park(
    tx: &mut Tx<'_>,
    row: &mut MissionRow,
    until: DateTime<Utc>,
    key: String,
    of: u32,
) -> Result<(), StoreError> {
    row.setbacks.key = Some(key);
    row.not_before = Some(until);
    row.last_activity = waits(LIMITED, until);
    let body = EventBody::Parked { cause: ParkCause::RateLimited, until, attempt: row.setbacks.parks, of };
    store::append_event(tx, row.id, &body)?;
    store::transition(tx, row, MissionStatus::RateLimited, None)?;
    let Some(boss) = row.boss.clone() else { return Ok(()) };
    let mut event = attention(row, AttentionKind::RateLimited);
    event.summary = one_line(&format!("goes on at {}: {}", until.format("%F %T UTC"), event.summary), 200);
    store::append_attention(tx, &boss, &event)
}

fn retry(tx: &mut Tx<'_>, row: &mut MissionRow, at: DateTime<Utc>, of: u32) -> Result<(), StoreError> {
    row.setbacks.retries += 1;
    row.not_before = Some(at);
    row.last_activity = waits(FAILED, at);
    let body =
        EventBody::Parked { cause: ParkCause::Transient, until: at, attempt: row.setbacks.retries, of };
    store::append_event(tx, row.id, &body)?;
    repeat_turn(tx, row, FAILED)?;
    store::transition(tx, row, MissionStatus::Pending, None)
}

/// Another mission met the limit of this one's key: it does not try.
pub(super) fn hold(
    tx: &mut Tx<'_>,
    row: &mut MissionRow,
    until: DateTime<Utc>,
    key: &str,
) -> Result<(), StoreError> {
    row.setbacks.key = Some(key.to_owned());
    row.not_before = Some(until);
    row.last_activity = waits(LIMITED, until);
    let body = EventBody::Parked { cause: ParkCause::KeyLimited, until, attempt: 0, of: 0 };
    store::append_event(tx, row.id, &body)?;
    store::save_mission(tx, row)
}

/// Its time has come: it waits for a slot now.
pub(super) fn release(tx: &mut Tx<'_>, row: &mut MissionRow) -> Result<(), StoreError> {
    row.not_before = None;
    row.setbacks.key = None;
    row.last_activity = "waits for a slot".to_owned();
    if row.status == MissionStatus::RateLimited {
        repeat_turn(tx, row, LIMITED)?;
        store::transition(tx, row, MissionStatus::Pending, None)?;
    }
    store::save_mission(tx, row)
}

fn waits(why: &str, until: DateTime<Utc>) -> String {
    format!("{why}, waits until {}", until.format("%F %T UTC"))
}

/// The turn that failed comes first: its message again where there is no session yet, else a word to go on with.
fn repeat_turn(tx: &mut Tx<'_>, row: &MissionRow, cause: &str) -> Result<(), StoreError> {
    let Some((message, content)) = store::current_message(tx, row.id)? else { return Ok(()) };
    if !row.session_started {
        return store::requeue_message(tx, &message);
    }
    let keeps = harness::find(&row.backend)?.session_keeps_message();
    let (id, content) = (Uuid::new_v4().to_string(), continuation(cause, &content, keeps));
    store::enqueue_first(tx, row.id, &id, &content)?;
    store::append_event(tx, row.id, &EventBody::UserMessage { id, content, queued: false }).map(drop)
}

/// What an ended mission is told that somebody resumes with `content`: its task is not lost with a turn that was cut
/// short, whatever its session keeps of such a turn.
///
/// # Errors
/// SQLite's.
pub fn taken_up_with(tx: &Tx<'_>, row: &MissionRow, content: String) -> Result<String, StoreError> {
    let harness = harness::find(&row.backend)?;
    let cut_short = row.last_turn.as_ref().is_some_and(|turn| !turn.success);
    let held = row.session_started && harness.session_keeps_message();
    if !cut_short || held || !harness.capabilities().resume {
        return Ok(content);
    }
    let before = store::current_message(tx, row.id)?;
    Ok(before.map_or_else(|| content.clone(), |(_, before)| with_unanswered(&before, &content)))
}

/// What a parked mission is told that somebody resumes with `content`: the turn that failed is not lost by it.
///
/// # Errors
/// SQLite's.
pub fn resumed_with(tx: &mut Tx<'_>, row: &MissionRow, content: String) -> Result<String, StoreError> {
    let Some((message, before)) = store::current_message(tx, row.id)? else { return Ok(content) };
    if !row.session_started {
        store::requeue_message(tx, &message)?;
        return Ok(content);
    }
    match harness::find(&row.backend)?.session_keeps_message() {
        true => Ok(content),
        false => Ok(format!("{content}\n\n{}", continuation(LIMITED, &before, false))),
    }
}
