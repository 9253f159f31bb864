//! A boss's place in its attention events.
//!
//! A wait may be for some workers only, so what has been seen is not always a prefix: a cursor is a low-water mark and
//! the few events above it that were delivered already. On the wire: `12`, `12.15.17`
//! or, for events that follow each other, `12.15-30`.

use std::collections::BTreeSet;

/// Most events above the low-water mark that a cursor carries. Beyond them the oldest are forgotten and, to a wait for
/// their workers, delivered again rather than lost; the newest are kept, so that a wait always gets further.
pub const MAX_SEEN: usize = 4096;

/// What a boss has been told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Everything up to here was delivered.
    pub low: i64,
    /// And these above it.
    pub seen: BTreeSet<i64>,
}

impl Cursor {
    /// Reads the wire form; none when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let low = number(parts.next()?)?;
        let mut seen = BTreeSet::new();
        for part in parts {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            let longest = i64::try_from(MAX_SEEN - seen.len()).ok()?;
            if first <= low || last < first || last - first >= longest {
                return None;
            }
            seen.extend(first..=last);
        }
        Some(Self { low, seen })
    }

    /// Whether an event was delivered.
    pub fn has(&self, sequence: i64) -> bool {
        sequence <= self.low || self.seen.contains(&sequence)
    }

    /// What two cursors of one boss know together.
    #[must_use]
    pub fn merge(mut self, other: &Self) -> Self {
        self.low = self.low.max(other.low);
        self.seen.extend(&other.seen);
        self.settle(std::iter::empty());
        self
    }

    /// Adds delivered events; `all` are this boss's events above `low` in order, by which the low mark rises.
    pub fn deliver(&mut self, delivered: impl IntoIterator<Item = i64>, all: impl IntoIterator<Item = i64>) {
        self.seen.extend(delivered);
        self.settle(all);
    }

    fn settle(&mut self, all: impl IntoIterator<Item = i64>) {
        for sequence in all {
            if sequence > self.low && !self.seen.contains(&sequence) {
                break;
            }
            self.low = self.low.max(sequence);
        }
        let low = self.low;
        self.seen.retain(|n| *n > low);
        while self.seen.len() > MAX_SEEN {
            self.seen.pop_first();
        }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.low)?;
        let mut rest = self.seen.iter().copied().peekable();
        while let Some(first) = rest.next() {
            let mut last = first;
            while let Some(next) = rest.next_if_eq(&(last + 1)) {
                last = next;
            }
            match last == first {
                true => write!(f, ".{first}")?,
                false => write!(f, ".{first}-{last}")?,
            }
        }
        Ok(())
    }
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok().filter(|n| *n >= 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wire_form_round_trips_and_refuses_nonsense() {
        for text in ["0", "12", "12.15.17", "12.15-30.40"] {
            assert_eq!(Cursor::parse(text).map(|c| c.to_string()).as_deref(), Some(text));
        }
        for text in ["", "x", "-1", "5.4", "1..2", "1.2.x", "1.9-5", "1.2-", "1.2-9999999999"] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_wait_gets_further_however_many_events_lie_above_a_gap() {
        let mut cursor = Cursor::default();
        for next in 2..2000 {
            assert!(!cursor.has(next));
            cursor.deliver([next], 1..=next);
            cursor = Cursor::parse(&cursor.to_string()).unwrap().merge(&cursor);
            assert!(cursor.has(next) && cursor.has(2) && !cursor.has(1), "{next}");
        }
        assert_eq!(cursor.to_string(), "0.2-1999");
    }

    proptest! {
        /// Waits for arbitrary subsets, each continuing from the cursor before: every event once, none lost.
        #[test]
        fn filtered_waits_deliver_each_event_once(picks in prop::collection::vec(prop::collection::vec(0i64..40, 0..6), 0..30)) {
            let all: Vec<i64> = (1..=40).collect();
            let mut cursor = Cursor::default();
            let mut told = Vec::new();
            let mut wait = |filter: Option<&Vec<i64>>| {
                let fresh: Vec<i64> = all.iter().copied()
                    .filter(|n| !cursor.has(*n) && filter.is_none_or(|f| f.contains(n))).collect();
                cursor = Cursor::parse(&cursor.to_string()).unwrap();
                cursor.deliver(fresh.clone(), all.iter().copied());
                told.extend(fresh);
            };
            for pick in &picks { wait(Some(pick)); }
            wait(None);
            told.sort_unstable();
            prop_assert_eq!(told, all.clone());
        }
    }
}
