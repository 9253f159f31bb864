//! Byte budgets, and how much of a machine missions may use.

use serde_json::Value;

/// Memory set aside for one mission when the number of slots is chosen: an agent CLI takes 0.2 to 0.6 GB, its
/// tools the rest.
const BYTES_PER_MISSION: u64 = 1 << 30;
/// Missions for each core: an agent mostly waits for its model.
const MISSIONS_PER_CORE: u64 = 4;
/// More than this is a decision for a person.
const MOST_BY_DEFAULT: u64 = 64;

/// The longest beginning of `text` within `bytes`.
pub fn head_at(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The longest beginning of `text` that is within `bytes` as a JSON string, quotes and escapes included.
pub fn json_head(text: &str, bytes: usize) -> &str {
    let mut room = bytes.saturating_sub(2);
    for (at, c) in text.char_indices() {
        let cost = match c {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            c if c < ' ' => 6,
            c => c.len_utf8(),
        };
        if cost > room {
            return &text[..at];
        }
        room -= cost;
    }
    text
}

/// The longest end of `text` within `bytes`.
pub fn tail_at(text: &str, bytes: usize) -> &str {
    let mut start = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// `text` within `bytes`: head and tail around a note that says how much is missing. A budget too small for the
/// note gets the head alone.
pub fn cut_middle(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    // The widest note that can occur, so that the sum holds whatever the number turns out to be.
    let widest = note(text.len()).len();
    let Some(room) = bytes.checked_sub(widest).filter(|room| *room >= 2) else {
        return head_at(text, bytes).to_owned();
    };
    let head = head_at(text, room / 2);
    let tail = tail_at(text, room - room / 2);
    format!("{head}{}{tail}", note(text.len() - head.len() - tail.len()))
}

fn note(bytes: usize) -> String {
    format!("\n[… {bytes} bytes left out …]\n")
}

/// Size of a value as compact JSON, in bytes.
pub fn json_bytes(value: &Value) -> usize {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // Counting cannot fail, and every Value has string keys.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

/// `value` in at most `bytes` of compact JSON, with its shape kept as far as possible: strings are cut in the
/// middle, ever shorter; when that is not enough, the whole becomes one cut string.
pub fn bounded_json(value: &Value, bytes: usize) -> Value {
    if json_bytes(value) <= bytes {
        return value.clone();
    }
    let mut longest = bytes / 2;
    while longest >= 32 {
        let cut = cut_strings(value, longest);
        if json_bytes(&cut) <= bytes {
            return cut;
        }
        longest /= 2;
    }
    let text = value.to_string();
    let mut room = bytes;
    loop {
        let cut = Value::String(cut_middle(&text, room));
        if json_bytes(&cut) <= bytes || room == 0 {
            return cut;
        }
        room /= 2;
    }
}

fn cut_strings(value: &Value, longest: usize) -> Value {
    match value {
        Value::String(text) => Value::String(cut_middle(text, longest)),
        Value::Array(items) => items.iter().map(|item| cut_strings(item, longest)).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, item)| (key.clone(), cut_strings(item, longest))).collect())
        }
        other => other.clone(),
    }
}

/// How many missions may be active at once when nobody says: bounded by memory and cores, at least 1.
pub fn default_max_parallel(cores: usize, memory_bytes: u64) -> u32 {
    let by_memory = memory_bytes / BYTES_PER_MISSION;
    let by_cores = cores as u64 * MISSIONS_PER_CORE;
    let slots = by_memory.min(by_cores).clamp(1, MOST_BY_DEFAULT);
    u32::try_from(slots).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_within_its_budget_is_untouched() {
        assert_eq!(cut_middle("äöü", 6), "äöü");
    }

    #[test]
    fn a_cut_text_keeps_head_and_tail_and_counts_what_is_missing() {
        let text = format!("start{}end", "x".repeat(1000));
        let cut = cut_middle(&text, 100);
        assert!(cut.starts_with("start") && cut.ends_with("end") && cut.contains("bytes left out"), "{cut}");
    }

    #[test]
    fn json_keeps_its_shape_while_strings_can_be_cut() {
        let value = json!({"a": "x".repeat(5000), "n": 1});
        let cut = bounded_json(&value, 500);
        assert_eq!(cut["n"], 1);
        assert!(cut["a"].as_str().unwrap().contains("left out"));
        let rows: Value = (0..5000).collect();
        assert!(bounded_json(&rows, 500).is_string());
    }

    #[test]
    fn slots_follow_the_scarcer_of_memory_and_cores() {
        let gib = 1 << 30;
        for (cores, memory, slots) in
            [(2, 8 * gib, 8), (2, 64 * gib, 8), (16, 4 * gib, 4), (64, 512 * gib, 64), (1, 0, 1), (0, gib, 1)]
        {
            assert_eq!(default_max_parallel(cores, memory), slots, "{cores} cores, {memory} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_cut_exceeds_its_budget(text in ".{0,400}", bytes in 0usize..600) {
            prop_assert!(cut_middle(&text, bytes).len() <= bytes);
            prop_assert!(text.starts_with(head_at(&text, bytes)) && head_at(&text, bytes).len() <= bytes);
            prop_assert!(text.ends_with(tail_at(&text, bytes)) && tail_at(&text, bytes).len() <= bytes);
        }

        #[test]
        fn bounded_json_fits(strings in prop::collection::vec(".{0,200}", 0..20), bytes in 2usize..2000) {
            prop_assert!(json_bytes(&bounded_json(&json!(strings), bytes)) <= bytes);
        }
    }
}
