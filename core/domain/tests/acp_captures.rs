//! What the real agents that speak ACP said, and what the codec says to them: each `captures/AGENT/NAME.talk` against
//! its `NAME.events`.
//!
//! The first line of an `.events` file says how the process ended; the rest is the skeleton of the events, with
//! neighbouring deltas joined. `UPDATE_CAPTURES=1` writes the skeletons anew, to be read before committing.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part of the shared modules")]

mod skeleton;
mod talk;

use std::{env, fs};

use proptest::prelude::*;
use sandboxed_domain::harness::HarnessEvent;
use skeleton::skeleton;
use talk::{Talk, end_of, restarted};

const AGENTS: &[&str] = &["gemini", "grok", "opencode"];

fn talks() -> Vec<Talk> {
    talk::talks(AGENTS)
}

#[test]
fn every_conversation_has_the_expected_events() {
    let update = env::var_os("UPDATE_CAPTURES").is_some();
    for talk in talks() {
        let expected_path = talk.path.with_extension("events");
        let expected = fs::read_to_string(&expected_path).unwrap();
        let first = expected.lines().next().unwrap();
        let found = format!("{first}\n{}", skeleton(&talk.replay(end_of(first), |_| false)));
        if update {
            fs::write(&expected_path, found).unwrap();
        } else {
            assert_eq!(found, expected, "{}", talk.path.display());
        }
    }
}

#[test]
fn a_restart_before_every_line_changes_nothing() {
    for talk in talks() {
        let end = (Some(0), None);
        let whole = talk.replay(end, |_| false);
        assert_eq!(talk.replay(end, |_| true), whole, "{}", talk.path.display());
    }
}

#[test]
fn nothing_that_the_agents_say_is_unknown() {
    for talk in talks() {
        let events = talk.replay((Some(0), None), |_| false);
        let unknown: Vec<_> = events.iter().filter(|event| matches!(event, HarnessEvent::Raw(_))).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", talk.path.display());
    }
}

#[test]
fn every_call_has_its_result_and_every_run_ends_once() {
    for talk in talks() {
        let events = talk.replay((Some(1), None), |_| false);
        let calls: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                HarnessEvent::ToolCall { id, .. } => Some(id),
                _ => None,
            })
            .collect();
        let results: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                HarnessEvent::ToolResult { id, .. } => Some(id),
                _ => None,
            })
            .collect();
        assert_eq!(calls, results, "{}", talk.path.display());
        let mut codec = talk.codec();
        talk.printed().for_each(|line| drop(codec.decode_line(line)));
        codec.finish(Some(1), None);
        assert_eq!(codec.finish(Some(1), None), Vec::new(), "{}", talk.path.display());
    }
}

#[test]
fn the_state_stays_small() {
    for talk in talks() {
        let mut codec = talk.codec();
        codec.encode_user_message("m-1", "hello").unwrap();
        for line in talk.printed() {
            codec.decode_line(line);
            let size = codec.snapshot().to_string().len();
            assert!(size < 3000, "{size} bytes in {}", talk.path.display());
        }
    }
}

/// A conversation, and lines of any of them, shortened ones and rubbish, in any order.
fn lines() -> impl Strategy<Value = (usize, Vec<String>)> {
    let all = talks();
    let known: Vec<String> = all.iter().flat_map(|talk| talk.printed().map(str::to_owned)).collect();
    let cut = (prop::sample::select(known.clone()), 0.0..1.0f64).prop_map(|(line, part)| {
        let at = (line.len() as f64 * part) as usize;
        line.char_indices().take_while(|(index, _)| *index < at).map(|(_, c)| c).collect()
    });
    let rubbish = any::<String>().prop_map(|text| text.replace(['\n', '\r'], " "));
    let line = prop_oneof![6 => prop::sample::select(known), 1 => cut, 1 => rubbish];
    (0..all.len(), prop::collection::vec(line, 0..40))
}

/// The events of a conversation's first lines and of others after them.
fn decode(talk: &Talk, lines: &[String], mut restart: impl FnMut(usize) -> bool) -> Vec<HarnessEvent> {
    let mut codec = talk.codec();
    codec.encode_user_message("m-1", "hello").unwrap();
    let mut events = Vec::new();
    let known = talk.printed().take(40).map(str::to_owned);
    for (at, line) in known.chain(lines.iter().cloned()).enumerate() {
        if restart(at) {
            codec = restarted(talk, codec.as_ref());
        }
        events.extend(codec.decode_line(&line));
    }
    events.extend(codec.finish(Some(0), None));
    events
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_lines_split_anywhere_give_the_same_events(
        (at, lines) in lines(), restarts in prop::collection::vec(any::<bool>(), 81),
    ) {
        let talk = &talks()[at];
        let whole = decode(talk, &lines, |_| false);
        let split = decode(talk, &lines, |index| restarts[index.min(80)]);
        prop_assert_eq!(split, whole);
    }
}
