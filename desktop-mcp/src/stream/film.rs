//! When there is something new to see: after something was painted, and not more often than wished.

use std::time::Duration;

use tokio::sync::broadcast::{Receiver, error::TryRecvError};
use tokio::time::{Instant, sleep_until};

use crate::error::Result;
use crate::geometry::Rect;
use crate::wait::next_paint;
use crate::x::{Happened, Happenings};

/// Tells when the next frame is due.
#[derive(Debug)]
pub struct Film {
    happened: Receiver<Happened>,
    interval: Duration,
    due: Instant,
}

impl Film {
    /// Of a desktop, at most so many frames a second.
    pub fn of(happenings: &Happenings, frames_per_second: u32) -> Self {
        let interval = Duration::from_secs(1) / frames_per_second.max(1);
        Self { happened: happenings.listen(), interval, due: Instant::now() }
    }

    /// Waits until something was painted in `area` and the time for a frame has come. Whatever is painted from then on
    /// counts for the frame after it.
    ///
    /// # Errors
    /// `desktop_ended`.
    pub async fn next(&mut self, area: Rect) -> Result<()> {
        next_paint(&mut self.happened, area).await?;
        sleep_until(self.due).await;
        self.forget();
        self.due = (self.due + self.interval).max(Instant::now());
        Ok(())
    }

    /// What was painted before the frame is taken is in the frame. The end of the desktop is heard next time: its server
    /// says nothing any more.
    fn forget(&mut self) {
        while let Ok(_) | Err(TryRecvError::Lagged(_)) = self.happened.try_recv() {}
    }
}
