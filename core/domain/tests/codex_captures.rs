//! What the real app server said, told again with our codec: each `captures/codex/NAME.both` against its
//! `NAME.events`.
//!
//! The first line of an `.events` file says how the process ended; the rest is what our codec wrote (`->`) and
//! understood. `UPDATE_CAPTURES=1` writes them anew, to be read before committing.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod conversation;
mod skeleton;

use std::path::{Path, PathBuf};
use std::{env, fs};

use conversation::{Conversation, Step, restarted};
use proptest::prelude::*;
use sandboxed_domain::api::Decision;
use sandboxed_domain::harness::{HarnessEvent, find};
use serde_json::{Value, json};
use skeleton::{skeleton, sorted};

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/codex");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "both")).collect();
    files.sort();
    assert!(files.len() > 35, "captures are missing");
    files
}

fn read(path: &Path) -> Conversation {
    Conversation::read(&fs::read_to_string(path).unwrap())
}

/// `exit 1` or `signal 9`.
fn end_of(line: &str) -> (Option<i32>, Option<i32>) {
    match line.split_once(' ') {
        Some(("exit", code)) => (Some(code.parse().unwrap()), None),
        Some(("signal", signal)) => (None, Some(signal.parse().unwrap())),
        _ => panic!("{line:?} is no end of a process"),
    }
}

/// Events between two writings are one skeleton, so that deltas are joined.
fn told(steps: &[Step]) -> String {
    let mut out = String::new();
    let mut events = Vec::new();
    for step in steps {
        match step {
            Step::Event(event) => events.push(event.clone()),
            Step::Written(lines) => {
                out.push_str(&skeleton(&std::mem::take(&mut events)));
                lines.lines().for_each(|line| out.push_str(&format!("-> {}\n", short(line))));
            }
        }
    }
    out + &skeleton(&events)
}

/// The first line is the same everywhere and long.
fn short(line: &str) -> String {
    if line.contains("\"method\":\"initialize\"") { "initialize".to_owned() } else { sorted(line) }
}

#[test]
fn every_capture_has_the_expected_events() {
    let update = env::var_os("UPDATE_CAPTURES").is_some();
    for path in captures() {
        let expected_path = path.with_extension("events");
        let expected = fs::read_to_string(&expected_path).unwrap();
        let first = expected.lines().next().unwrap();
        let found = format!("{first}\n{}", told(&read(&path).replay(end_of(first), |_| false)));
        if update {
            fs::write(&expected_path, found).unwrap();
        } else {
            assert_eq!(found, expected, "{}", path.display());
        }
    }
}

#[test]
fn a_restart_before_every_line_changes_nothing() {
    for path in captures() {
        let (capture, end) = (read(&path), (Some(0), None));
        assert_eq!(capture.replay(end, |_| true), capture.replay(end, |_| false), "{}", path.display());
    }
}

#[test]
fn every_turn_ends_exactly_once() {
    for path in captures() {
        let steps = read(&path).replay((Some(1), None), |_| false);
        let ends = steps.iter().filter(|step| matches!(step, Step::Event(HarnessEvent::TurnEnded { .. })));
        let text = fs::read_to_string(&path).unwrap();
        let messages = text.lines().filter(|line| line.starts_with("! message")).count();
        assert_eq!(ends.count(), messages, "{}", path.display());
    }
}

#[test]
fn the_state_stays_small() {
    for path in captures() {
        let capture = read(&path);
        let mut codec = capture.codec();
        for line in capture.printed() {
            codec.decode_line(line);
            let size = codec.snapshot().to_string().len();
            assert!(size < 3000, "{size} bytes in {}", path.display());
        }
    }
}

/// Lines of all captures, shortened ones and rubbish.
fn line() -> impl Strategy<Value = String> {
    let known: Vec<String> = captures()
        .iter()
        .flat_map(|path| read(path).printed().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let cut = (prop::sample::select(known.clone()), 0.0..1.0f64).prop_map(|(line, part)| {
        let at = (line.len() as f64 * part) as usize;
        line.char_indices().take_while(|(index, _)| *index < at).map(|(_, c)| c).collect()
    });
    prop_oneof![6 => prop::sample::select(known), 1 => cut, 1 => any::<String>().prop_map(one_line)]
}

fn one_line(text: String) -> String {
    text.replace(['\n', '\r'], " ")
}

/// A conversation in any order: what is wanted of the codec between lines of the server.
fn any_order(lines: &[String], wants: &[u8], mut restart: impl FnMut(usize) -> bool) -> Vec<Step> {
    let fresh = || find("codex").unwrap().codec();
    let mut codec = fresh();
    let mut steps = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if restart(index) {
            codec = restarted(codec.as_ref(), fresh());
        }
        let written = match wants[index] {
            0 => codec.encode_user_message(&format!("m-{index}"), "hello"),
            1 => codec.encode_user_message(&format!("m-{index}"), "/goal be good"),
            2 => codec.encode_steer(&format!("m-{index}"), "mind"),
            3 => codec.encode_interrupt("i"),
            4 => codec.encode_answer("0", &Value::Null, Decision::Allow, None),
            _ => None,
        };
        steps.extend(written.map(Step::Written));
        steps.extend(codec.decode_line(line).into_iter().map(Step::Event));
    }
    steps.extend(codec.finish(Some(0), None).into_iter().map(Step::Event));
    assert_eq!(codec.finish(Some(0), None), []);
    steps
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_lines_split_anywhere_give_the_same_events(
        lines in prop::collection::vec(line(), 0..40),
        wants in prop::collection::vec(0u8..12, 40),
        restarts in prop::collection::vec(any::<bool>(), 40),
    ) {
        let whole = any_order(&lines, &wants, |_| false);
        prop_assert_eq!(any_order(&lines, &wants, |index| restarts[index]), whole);
    }
}

#[test]
fn a_broken_or_unknown_line_is_kept_as_it_is() {
    let mut codec = find("codex").unwrap().codec();
    for (line, kept) in [
        ("{\"method\":\"tur", json!("{\"method\":\"tur")),
        ("Segmentation fault", json!("Segmentation fault")),
        ("{\"method\":\"news\",\"params\":{}}", json!({"method": "news", "params": {}})),
        ("{\"id\":77,\"result\":{}}", json!({"id": 77, "result": {}})),
        ("[1]", json!([1])),
        ("null", Value::Null),
    ] {
        assert_eq!(codec.decode_line(line), [HarnessEvent::Raw(kept)]);
    }
    assert_eq!(codec.decode_line("  "), []);
}

#[test]
fn a_request_that_cannot_be_served_is_refused_and_kept() {
    let asked = json!({"id": "x", "method": "attestation/generate", "params": {}});
    let events = find("codex").unwrap().codec().decode_line(&asked.to_string());
    let [HarnessEvent::Send { line }, HarnessEvent::Raw(kept)] = &events[..] else { panic!("{events:?}") };
    let sent: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&sent["id"], &sent["error"]["code"], kept), (&json!("x"), &json!(-32601), &asked));
}
