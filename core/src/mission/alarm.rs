//! One timer on the wall clock: it also rings when the machine slept through its time, or when the clock was set.

use std::fs::File;
use std::os::fd::AsFd;

use chrono::{DateTime, Utc};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sandbox::watched;

/// The timer. Rings for the last time that was set.
pub(super) struct Alarm {
    timer: TimerFd,
    /// The same timer, as the runtime takes it.
    ringing: AsyncFd<File>,
}

impl Alarm {
    /// A timer that is not set.
    ///
    /// # Errors
    /// No descriptor is to be had.
    pub fn new() -> std::io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_REALTIME, flags)?;
        let ringing = watched(timer.as_fd().try_clone_to_owned()?.into(), Interest::READABLE)?;
        Ok(Self { timer, ringing })
    }

    /// Rings at `at`, at once when that is over; never without it.
    ///
    /// # Errors
    /// The kernel's, for a time that it cannot take.
    pub fn set(&self, at: Option<DateTime<Utc>>) -> std::io::Result<()> {
        let Some(at) = at else { return Ok(self.timer.unset()?) };
        // Zero would unset it.
        let time = TimeSpec::nanoseconds(at.timestamp_nanos_opt().unwrap_or(i64::MAX).max(1));
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        Ok(self.timer.set(Expiration::OneShot(time), flags)?)
    }

    /// Completes when it rings, or when the clock was set to another time.
    pub async fn rings(&self) {
        loop {
            let Ok(mut ready) = self.ringing.readable().await else { return std::future::pending().await };
            // A read that would block was another's wake-up; one that is cancelled means that the clock was set.
            match self.timer.wait() {
                Err(nix::errno::Errno::EAGAIN) => ready.clear_ready(),
                Ok(()) | Err(_) => {
                    ready.clear_ready();
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[tokio::test]
    async fn it_rings_at_its_time_and_also_when_that_is_over() {
        let alarm = Alarm::new().unwrap();
        for offset in [TimeDelta::milliseconds(50), TimeDelta::zero(), TimeDelta::days(-30_000)] {
            let at = Utc::now() + offset;
            alarm.set(Some(at)).unwrap();
            alarm.rings().await;
            assert!(Utc::now() >= at);
        }
        alarm.set(Some(Utc::now())).unwrap();
        alarm.set(None).unwrap();
        let silent = tokio::time::timeout(std::time::Duration::from_millis(50), alarm.rings()).await;
        assert!(silent.is_err(), "it was unset");
    }
}
