//! Time that outlives a daemon. The wall clock can be set; the other clock of a machine, which counts from its start and
//! goes on while it sleeps, cannot. Both are written down together, so that a later daemon can tell how much time went
//! by, and whether the wall clock was set meanwhile.

use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// The clocks drift apart a little while the wall clock is slewed; less than this is not a clock that was set.
const DRIFT: TimeDelta = TimeDelta::seconds(2);

/// What both clocks of a machine said at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// The start of the machine from which the second clock counts.
    pub boot: String,
    /// Milliseconds since then, sleep included.
    pub up_ms: i64,
    /// Milliseconds since 1970 by the wall clock.
    pub wall_ms: i64,
}

impl Clocks {
    /// Time since an earlier moment; none when the machine was started anew in between.
    pub fn since(&self, before: &Self) -> Option<Duration> {
        let millis = u64::try_from(self.up_ms - before.up_ms).ok()?;
        (self.boot == before.boot).then(|| Duration::from_millis(millis))
    }

    /// How far the wall clock was set back since an earlier moment. None when it was not, or when nobody can tell,
    /// because the machine was started anew.
    pub fn set_back_since(&self, before: &Self) -> Option<TimeDelta> {
        let ahead = |clocks: &Self| clocks.wall_ms - clocks.up_ms;
        let back = TimeDelta::milliseconds(ahead(before) - ahead(self));
        (self.boot == before.boot && back > DRIFT).then_some(back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn at(boot: &str, up_ms: i64, wall_ms: i64) -> Clocks {
        Clocks { boot: boot.to_owned(), up_ms, wall_ms }
    }

    #[test]
    fn time_goes_by_whatever_the_wall_clock_says() {
        let before = at("a", 1_000, 10 * DAY);
        for wall in [11 * DAY, 9 * DAY, 10 * DAY + 5_000] {
            assert_eq!(at("a", 6_000, wall).since(&before), Some(Duration::from_secs(5)));
        }
        assert_eq!(at("b", 6_000, 10 * DAY).since(&before), None);
        assert_eq!(at("a", 900, 10 * DAY).since(&before), None);
    }

    #[test]
    fn only_a_clock_that_was_set_back_was_set_back() {
        let before = at("a", 1_000, 10 * DAY);
        let later = |wall_ms| at("a", 6_000, wall_ms);
        assert_eq!(later(9 * DAY + 5_000).set_back_since(&before), Some(TimeDelta::days(1)));
        for wall in [10 * DAY + 5_000, 11 * DAY, 10 * DAY + 4_000] {
            assert_eq!(later(wall).set_back_since(&before), None);
        }
        assert_eq!(at("b", 6_000, 9 * DAY).set_back_since(&before), None);
    }
}
