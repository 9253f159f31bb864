//! A turn that failed for a reason that passes: whether the mission goes on by itself, and when.
//!
//! A limit of the provider parks the mission until the limit ends, or, where nobody tells when, for a time that
//! doubles. A provider that failed for a moment is asked again soon. Both are bounded by a number of times in a row; a
//! turn that succeeds sets it back. What only a person can mend (credentials, a refused request) ends the mission.

use chrono::{DateTime, TimeDelta, Utc};

use crate::harness::FailureClass;

/// Longest pause that nobody told, of a parked mission.
const LONGEST_PARK: TimeDelta = TimeDelta::hours(1);
/// Longest pause before a retry.
const LONGEST_RETRY: TimeDelta = TimeDelta::minutes(5);
/// Longest time that a provider is believed: its longest limits are weekly.
const LONGEST_TOLD: TimeDelta = TimeDelta::days(8);
/// Missions that waited for the same limit do not all come in the same second.
const SPREAD: TimeDelta = TimeDelta::seconds(3);

/// How often a mission goes on by itself, from the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Parks in a row.
    pub parks: u32,
    /// First pause where no reset is told, in seconds.
    pub park_seconds: u32,
    /// Retries in a row.
    pub retries: u32,
    /// First pause before a retry, in seconds.
    pub retry_seconds: u32,
}

/// What follows from a failed turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequel {
    /// The mission ends.
    End,
    /// It waits without a slot.
    Park {
        /// When it goes on.
        until: DateTime<Utc>,
    },
    /// It is tried again.
    Retry {
        /// Not before.
        at: DateTime<Utc>,
    },
}

/// The rule. `parks` and `retries` are those since the last turn that succeeded; `chance` is between 0 and 1.
pub fn sequel(
    class: FailureClass,
    (parks, retries): (u32, u32),
    patience: Patience,
    now: DateTime<Utc>,
    chance: f64,
) -> Sequel {
    match class {
        FailureClass::RateLimited { resets_at } if parks < patience.parks => Sequel::Park {
            until: told(resets_at, now, chance)
                .unwrap_or_else(|| now + pause(patience.park_seconds, parks, LONGEST_PARK, chance)),
        },
        FailureClass::Transient if retries < patience.retries => {
            Sequel::Retry { at: now + pause(patience.retry_seconds, retries, LONGEST_RETRY, chance) }
        }
        FailureClass::RateLimited { .. }
        | FailureClass::Transient
        | FailureClass::Auth
        | FailureClass::BudgetReached
        | FailureClass::Harness => Sequel::End,
    }
}

/// Which of several keys to use, by the limits that are known of each: the first without one, else the one whose limit
/// ends first, with that time.
pub fn usable_key(limits: &[Option<DateTime<Utc>>]) -> (usize, Option<DateTime<Utc>>) {
    match limits.iter().position(Option::is_none) {
        Some(free) => (free, None),
        None => {
            let first = limits.iter().enumerate().min_by_key(|(_, until)| **until);
            first.map_or((0, None), |(index, until)| (index, *until))
        }
    }
}

/// The reset that the provider told, when it is still to come.
fn told(resets_at: Option<i64>, now: DateTime<Utc>, chance: f64) -> Option<DateTime<Utc>> {
    let at = DateTime::from_timestamp(resets_at?, 0).filter(|at| *at > now)?;
    Some(at.min(now + LONGEST_TOLD) + part(SPREAD, chance))
}

/// `first` doubled for each time before, a quarter less or more.
fn pause(first: u32, before: u32, longest: TimeDelta, chance: f64) -> TimeDelta {
    let doubled = TimeDelta::seconds(i64::from(first)) * 2_i32.saturating_pow(before.min(20));
    part(doubled.min(longest), 0.75 + chance / 2.0).max(TimeDelta::milliseconds(100))
}

fn part(of: TimeDelta, share: f64) -> TimeDelta {
    TimeDelta::milliseconds((of.num_milliseconds() as f64 * share.clamp(0.0, 1.25)) as i64)
}

/// What a turn that was cut short is taken up again with. Where the session holds the message it is not repeated, so
/// that nothing is done twice.
pub fn continuation(cause: &str, message: &str, session_keeps_message: bool) -> String {
    let go_on = format!(
        "Your last turn was cut short because {cause}. Go on where it stopped; do not repeat what is already done."
    );
    match session_keeps_message {
        true => go_on,
        false => format!("{go_on} It was about this message:\n\n{message}"),
    }
}

/// What an ended mission is resumed with whose last turn was cut short, where its session does not hold the message.
pub fn with_unanswered(before: &str, content: &str) -> String {
    format!(
        "Your last turn was cut short, and you may not remember its message. It was:\n\n{before}\n\nNow:\n\n{content}"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Patience = Patience { parks: 3, park_seconds: 60, retries: 2, retry_seconds: 10 };

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn only_what_passes_is_waited_for_and_only_so_often() {
        use FailureClass as F;
        let limited = F::RateLimited { resets_at: Some(1_800_000_500) };
        let at = |seconds| now() + TimeDelta::seconds(seconds);
        let table = [
            (F::Auth, (0, 0), Sequel::End),
            (F::Harness, (0, 0), Sequel::End),
            (F::BudgetReached, (0, 0), Sequel::End),
            (limited, (0, 9), Sequel::Park { until: at(500) }),
            (limited, (2, 0), Sequel::Park { until: at(500) }),
            (limited, (3, 0), Sequel::End),
            // Nobody tells, or what is told is over: 45 s is the shortest of the first pauses.
            (F::RateLimited { resets_at: None }, (0, 0), Sequel::Park { until: at(45) }),
            (F::RateLimited { resets_at: Some(1_799_999_999) }, (0, 0), Sequel::Park { until: at(45) }),
            (F::RateLimited { resets_at: None }, (2, 0), Sequel::Park { until: at(180) }),
            (F::Transient, (9, 0), Sequel::Retry { at: now() + TimeDelta::milliseconds(7500) }),
            (F::Transient, (0, 1), Sequel::Retry { at: at(15) }),
            (F::Transient, (0, 2), Sequel::End),
        ];
        for (class, before, want) in table {
            assert_eq!(sequel(class, before, PATIENCE, now(), 0.0), want, "{class:?} {before:?}");
        }
    }

    #[test]
    fn a_message_that_was_not_answered_comes_before_the_new_one() {
        let text = with_unanswered("paint the shed", "and the fence");
        let (before, now) = (text.find("paint the shed").unwrap(), text.find("and the fence").unwrap());
        assert!(before < now && text.ends_with("Now:\n\nand the fence"), "{text}");
    }

    #[test]
    fn a_key_without_a_limit_comes_first_and_then_the_one_that_is_free_soonest() {
        let at = |seconds| Some(now() + TimeDelta::seconds(seconds));
        let table = [
            (vec![None], (0, None)),
            (vec![at(5), None, None], (1, None)),
            (vec![at(5), at(3), at(4)], (1, at(3))),
            (vec![at(5)], (0, at(5))),
            (vec![], (0, None)),
        ];
        for (limits, want) in table {
            assert_eq!(usable_key(&limits), want, "{limits:?}");
        }
    }

    #[test]
    fn a_message_that_the_session_holds_is_not_said_twice() {
        let kept = continuation("the provider's limit was reached", "paint it", true);
        assert!(kept.contains("limit was reached") && !kept.contains("paint it"), "{kept}");
        assert!(continuation("x", "paint it", false).ends_with("\n\npaint it"));
    }

    proptest! {
        #[test]
        fn a_pause_is_to_come_and_bounded(
            resets_at in proptest::option::of(any::<i64>()),
            parks in 0u32..100,
            park_seconds in 0u32..1_000_000,
            chance in 0.0f64..=1.0,
        ) {
            let patience = Patience { parks: 100, park_seconds, ..PATIENCE };
            let class = FailureClass::RateLimited { resets_at };
            let Sequel::Park { until } = sequel(class, (parks, 0), patience, now(), chance) else {
                return Err(TestCaseError::fail("not parked"));
            };
            prop_assert!(until > now());
            prop_assert!(until <= now() + LONGEST_TOLD + SPREAD);
        }

        #[test]
        fn pauses_grow_until_the_longest(before in 0u32..40, first in 1u32..10_000) {
            let at = |before| pause(first, before, LONGEST_PARK, 0.5);
            prop_assert!(at(before) <= at(before + 1));
            prop_assert!(at(before + 1) <= LONGEST_PARK);
        }
    }
}
