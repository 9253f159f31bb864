//! Who has a slot: the oldest that wait for nothing else. Woken when a slot or a mission comes free, and by one timer
//! for all that wait for a time.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sandboxed_domain::mission::{MissionStatus, usable_key};
use uuid::Uuid;

use super::alarm::Alarm;
use super::manager::Missions;
use super::{keys, setbacks};
use crate::store::{self, StoreError, Tx, blocking};

/// Wait before a failed write to the database is tried again.
pub(super) const STORE_RETRY: Duration = Duration::from_secs(5);

/// So much of a limit does not stop a mission that has waited for it.
const SLACK: TimeDelta = TimeDelta::seconds(10);

/// What one look at the waiting missions came to.
struct Granted {
    missions: Vec<Uuid>,
    next: Option<DateTime<Utc>>,
}

impl Missions {
    pub(super) async fn schedule(&self, alarm: Alarm) {
        loop {
            let next = match self.grant_all().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(%error, "cannot grant slots; trying again");
                    tokio::select! {
                        () = tokio::time::sleep(STORE_RETRY) => continue,
                        () = self.shared.stop.cancelled() => return,
                    }
                }
            };
            if let Err(error) = alarm.set(next) {
                tracing::error!(%error, ?next, "the timer cannot be set");
            }
            tokio::select! {
                () = self.shared.slots.notified() => {}
                () = alarm.rings() => {}
                () = self.shared.stop.cancelled() => return,
            }
        }
    }

    /// Gives every free slot to the oldest mission that may have it; returns when the next one's time comes.
    async fn grant_all(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let max = self.shared.settings.max_parallel;
        let settings = self.shared.settings.credentials.clone();
        let keys = blocking(move || keys::keys(&settings)).await?;
        let granted = self.shared.store.write(move |tx| {
            follow_clocks(tx)?;
            grant(tx, max, &keys, Utc::now())
        });
        let granted = granted.await?;
        granted.missions.into_iter().for_each(|id| self.spawn(id));
        Ok(granted.next)
    }
}

/// What waits for a time keeps its length when the clock was set back.
pub(super) fn follow_clocks(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    if let Some(back) = store::follow_clocks(tx)? {
        tracing::warn!(
            seconds = back.num_seconds(),
            "the clock was set back; what waits for a time moves with it"
        );
    }
    Ok(())
}

fn grant(
    tx: &mut Tx<'_>,
    max: u32,
    keys: &BTreeMap<String, Vec<String>>,
    now: DateTime<Utc>,
) -> Result<Granted, StoreError> {
    let (mut free, mut limited) = (Vec::new(), Vec::new());
    for (backend, keys) in keys {
        match usable_key(&keys::limits(tx, keys, now)?) {
            (_, None) => free.push(backend.clone()),
            (index, Some(until)) => limited.extend(keys.get(index).map(|key| (backend, key, until))),
        }
    }
    let all: Vec<_> = keys.values().flatten().cloned().collect();
    for mut row in store::due(tx, now, &free, &all)? {
        setbacks::release(tx, &mut row)?;
    }
    for (backend, key, until) in limited {
        for mut row in store::unheld(tx, backend)? {
            // Missions that waited for the same limit come back a little spread.
            if row.setbacks.parks == 0 || until > now + SLACK {
                setbacks::hold(tx, &mut row, until, key)?;
            }
        }
    }
    let free = max.saturating_sub(store::count_active(tx)?);
    let mut missions = Vec::new();
    for mut row in store::grantable(tx, free)? {
        store::transition(tx, &mut row, MissionStatus::Preparing, None)?;
        row.setbacks.at_once = false;
        row.started_at = Some(row.started_at.unwrap_or(now));
        row.last_activity = "preparing".to_owned();
        store::save_mission(tx, &row)?;
        missions.push(row.id);
    }
    Ok(Granted { missions, next: store::next_due(tx)? })
}
