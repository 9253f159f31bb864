//! Sandboxes that nobody uses are stopped after a while; their files stay, and the next use starts them again.

use std::time::Duration;

use sandboxed_domain::api::ApiError;
use tokio::time::Instant;
use uuid::Uuid;

use super::records::Workspaces;

/// Idle time when nobody says: 15 minutes.
const IDLE: Duration = Duration::from_secs(15 * 60);
/// Longest idle time that can be asked for: 30 days.
const MOST_SECONDS: u64 = 30 * 24 * 3600;
const SETTING: &str = "SANDBOXED_SH_IDLE_STOP_SECONDS";

/// `SANDBOXED_SH_IDLE_STOP_SECONDS`, or the default; none: never.
///
/// # Errors
/// The setting is not a number of seconds.
pub fn idle_time() -> Result<Option<Duration>, ApiError> {
    let text = std::env::var(SETTING).unwrap_or_default();
    if text.is_empty() {
        return Ok(Some(IDLE));
    }
    match text.parse::<u64>() {
        Ok(0) => Ok(None),
        Ok(seconds) if seconds <= MOST_SECONDS => Ok(Some(Duration::from_secs(seconds))),
        _ => Err(ApiError::invalid(SETTING, format!("{text:?} is not a number of seconds"))
            .hint(format!("1 to {MOST_SECONDS}, or 0 for never"))),
    }
}

impl Workspaces {
    /// Stops containers that had no run for `idle`; never returns.
    pub async fn stop_idle(&self, idle: Duration) {
        self.adopt_all().await;
        loop {
            let touched = self.places.touched();
            match self.places.first_use() {
                None => touched.await,
                Some(used) => {
                    tokio::time::sleep_until(used + idle).await;
                    self.stop_unused_since(idle).await;
                }
            }
        }
    }

    /// What an earlier daemon left running counts from now.
    async fn adopt_all(&self) {
        match self.store.read(crate::store::list_workspaces).await {
            Ok(rows) => {
                for row in rows {
                    self.running(row.id).await;
                }
            }
            Err(error) => tracing::warn!(%error, "running sandboxes are not known, so idle ones go on"),
        }
    }

    async fn stop_unused_since(&self, idle: Duration) {
        let now = Instant::now();
        for id in self.places.used_before(now.checked_sub(idle).unwrap_or(now)) {
            self.stop_if_idle(id).await;
        }
    }

    pub(super) async fn stop_if_idle(&self, id: Uuid) {
        let slot = self.places.slot(id);
        // Held until it has stopped: whoever wants it waits and starts it again.
        let mut place = slot.lock().await;
        let Some(live) = place.clone().filter(|live| live.is_alive()) else {
            return self.places.forget_use(id);
        };
        if live.busy().await {
            return self.places.touch(id);
        }
        match live.stop(Duration::ZERO).await {
            Ok(()) => {
                tracing::info!(workspace = %id, "stopped: nobody used it");
                *place = None;
                self.places.forget_use(id);
            }
            Err(error) => {
                tracing::warn!(%error, workspace = %id, "an idle sandbox cannot be stopped");
                self.places.touch(id);
            }
        }
    }
}
