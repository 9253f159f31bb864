//! What the real Claude Code printed, decoded: each `captures/claude/NAME.ndjson` against its `NAME.events`.
//!
//! The first line of an `.events` file says how the process ended; the rest is the skeleton of the events, with
//! neighbouring deltas joined. `UPDATE_CAPTURES=1` writes the skeletons anew, to be read before committing.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod skeleton;

use std::path::{Path, PathBuf};
use std::{env, fs};

use proptest::prelude::*;
use sandboxed_domain::api::Decision;
use sandboxed_domain::harness::{Codec, HarnessEvent, find};
use serde_json::{Value, json};
use skeleton::skeleton;

fn codec() -> Box<dyn Codec + Send> {
    find("claudecode").unwrap().codec()
}

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/claude");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "ndjson")).collect();
    files.sort();
    assert!(files.len() > 50, "captures are missing");
    files
}

/// `exit 1` or `signal 9`.
fn end_of(line: &str) -> (Option<i32>, Option<i32>) {
    match line.split_once(' ') {
        Some(("exit", code)) => (Some(code.parse().unwrap()), None),
        Some(("signal", signal)) => (None, Some(signal.parse().unwrap())),
        _ => panic!("{line:?} is no end of a process"),
    }
}

/// Decodes `lines`, replacing the codec by a restored one before every line for which `restart` says so.
fn decode<'a>(
    lines: impl IntoIterator<Item = &'a str>,
    end: (Option<i32>, Option<i32>),
    mut restart: impl FnMut(usize) -> bool,
) -> Vec<HarnessEvent> {
    let mut codec = codec();
    let mut events = Vec::new();
    for (index, line) in lines.into_iter().enumerate() {
        if restart(index) {
            codec = restarted(codec.as_ref());
        }
        events.extend(codec.decode_line(line));
    }
    if restart(usize::MAX) {
        codec = restarted(codec.as_ref());
    }
    events.extend(codec.finish(end.0, end.1));
    events
}

/// As after a restart of the daemon: through the bytes that would be stored.
fn restarted(codec: &dyn Codec) -> Box<dyn Codec + Send> {
    let stored = codec.snapshot().to_string();
    let mut fresh = self::codec();
    fresh.restore(serde_json::from_str(&stored).unwrap());
    fresh
}

#[test]
fn every_capture_has_the_expected_events() {
    let update = env::var_os("UPDATE_CAPTURES").is_some();
    for path in captures() {
        let printed = fs::read_to_string(&path).unwrap();
        let expected_path = path.with_extension("events");
        let expected = fs::read_to_string(&expected_path).unwrap();
        let first = expected.lines().next().unwrap();
        let found = format!("{first}\n{}", skeleton(&decode(printed.lines(), end_of(first), |_| false)));
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
        let printed = fs::read_to_string(&path).unwrap();
        let end = (Some(0), None);
        let whole = decode(printed.lines(), end, |_| false);
        assert_eq!(decode(printed.lines(), end, |_| true), whole, "{}", path.display());
    }
}

#[test]
fn every_run_ends_its_last_turn_exactly_once() {
    for path in captures() {
        let printed = fs::read_to_string(&path).unwrap();
        let mut codec = codec();
        printed.lines().for_each(|line| drop(codec.decode_line(line)));
        codec.finish(Some(1), None);
        assert_eq!(codec.finish(Some(1), None), Vec::new(), "{}", path.display());
    }
}

#[test]
fn the_state_stays_small() {
    for path in captures() {
        let mut codec = codec();
        for line in fs::read_to_string(&path).unwrap().lines() {
            codec.decode_line(line);
            let size = codec.snapshot().to_string().len();
            assert!(size < 2000, "{size} bytes in {}", path.display());
        }
    }
}

/// Lines of all captures, shortened ones and rubbish.
fn line() -> impl Strategy<Value = String> {
    let known: Vec<String> = captures()
        .iter()
        .flat_map(|path| fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_lines_split_anywhere_give_the_same_events(
        lines in prop::collection::vec(line(), 0..40), restarts in prop::collection::vec(any::<bool>(), 41),
    ) {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let end = (Some(0), None);
        let whole = decode(lines.iter().copied(), end, |_| false);
        let split = decode(lines.iter().copied(), end, |index| restarts[index.min(40)]);
        prop_assert_eq!(split, whole);
    }
}

#[test]
fn a_broken_or_unknown_line_is_kept_as_it_is() {
    let mut codec = codec();
    for (line, kept) in [
        ("{\"type\":\"resu", json!("{\"type\":\"resu")),
        ("Segmentation fault", json!("Segmentation fault")),
        ("{\"type\":\"news\",\"n\":1}", json!({"type": "news", "n": 1})),
        ("{\"type\":\"system\",\"subtype\":\"news\"}", json!({"type": "system", "subtype": "news"})),
        ("[1]", json!([1])),
        ("null", Value::Null),
    ] {
        assert_eq!(codec.decode_line(line), [HarnessEvent::Raw(kept)]);
    }
    assert_eq!(codec.decode_line("  "), []);
}

#[test]
fn a_message_is_named_when_it_is_taken_up_and_one_left_lying_is_a_failure() {
    let mut codec = codec();
    let sent: Value = serde_json::from_str(&codec.encode_user_message("m-1", "hi\nthere").unwrap()).unwrap();
    assert_eq!(sent["message"]["content"][0]["text"], "hi\nthere");
    codec.encode_user_message("6f9619ff-8b86-4011-b42d-00cf4fc964ff", "two").unwrap();
    let life = |uuid: &Value, state: &str| {
        json!({"type": "command_lifecycle", "command_uuid": uuid, "state": state}).to_string()
    };
    assert_eq!(codec.decode_line(&life(&sent["uuid"], "queued")), [HarnessEvent::Ignored]);
    let started = codec.decode_line(&life(&sent["uuid"], "started"));
    assert_eq!(started, [HarnessEvent::MessageStarted { id: "m-1".to_owned() }]);
    assert_eq!(codec.decode_line(&life(&sent["uuid"], "completed")), [HarnessEvent::Ignored]);
    let ok = json!({"type": "result", "subtype": "success", "is_error": false, "result": "ok"}).to_string();
    codec.decode_line(&ok);
    assert!(matches!(codec.finish(Some(0), None)[..], [HarnessEvent::TurnEnded { success: false, .. }]));
}

#[test]
fn a_message_sent_again_is_expected_once() {
    let mut codec = codec();
    let first = codec.encode_user_message("m-1", "hi").unwrap();
    assert_eq!(codec.encode_user_message("m-1", "hi").unwrap(), first);
    let sent: Value = serde_json::from_str(&first).unwrap();
    let started = json!({"type": "command_lifecycle", "command_uuid": sent["uuid"], "state": "started"});
    codec.decode_line(&started.to_string());
    codec.decode_line(&json!({"type": "result", "subtype": "success", "is_error": false}).to_string());
    assert_eq!(codec.finish(Some(0), None), []);
}

#[test]
fn a_withdrawn_request_is_told() {
    let line = json!({"type": "control_cancel_request", "request_id": "r1"}).to_string();
    assert_eq!(codec().decode_line(&line), [HarnessEvent::RequestWithdrawn { request_id: "r1".to_owned() }]);
}

#[test]
fn cost_without_figures_by_model_is_the_difference_of_totals_and_survives_a_new_start() {
    let mut codec = codec();
    let mut cost = |total: f64| {
        let line =
            json!({"type": "result", "subtype": "success", "is_error": false, "total_cost_usd": total});
        match codec.decode_line(&line.to_string()).pop() {
            Some(HarnessEvent::TurnEnded { usage, .. }) => usage.cost_usd.unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([cost(0.5), cost(0.75), cost(0.75), cost(0.25), cost(1.0)], [0.5, 0.25, 0.0, 0.25, 0.75]);
}

#[test]
fn answers_have_the_shape_that_the_cli_takes() {
    let response = |detail: &Value, decision, answer| -> Value {
        let line = codec().encode_answer("r1", detail, decision, answer).unwrap();
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
        let sent: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(sent["response"]["request_id"], "r1");
        sent["response"]["response"].clone()
    };
    let suggested = json!([{"type": "setMode", "mode": "acceptEdits", "destination": "session"}]);
    let write = json!({"tool_name": "Write", "input": {"a": 1}, "permission_suggestions": suggested});
    assert_eq!(
        response(&write, Decision::Allow, None),
        json!({"behavior": "allow", "updatedInput": {"a": 1}})
    );
    assert_eq!(
        response(&write, Decision::AllowAlways, Some("ignored")),
        json!({"behavior": "allow", "updatedInput": {"a": 1}, "updatedPermissions": suggested})
    );
    assert_eq!(
        response(&write, Decision::Deny, Some("not now")),
        json!({"behavior": "deny", "message": "not now"})
    );
    assert_eq!(response(&write, Decision::Deny, None), json!({"behavior": "deny", "message": "denied"}));
    let rule = json!({"tool_name": "Bash", "input": {}, "permission_suggestions": [
        {"type": "addRules", "destination": "localSettings"}]});
    let always = response(&rule, Decision::AllowAlways, None);
    assert_eq!(always["updatedPermissions"][0]["destination"], "userSettings");
    let asked = json!([{"question": "Which?"}, {"question": "How?"}]);
    let question = json!({"tool_name": "AskUserQuestion", "input": {"questions": asked}});
    assert_eq!(
        response(&question, Decision::Allow, Some("Blue"))["updatedInput"],
        json!({"questions": asked, "answers": {"Which?": "Blue", "How?": "Blue"}})
    );
    assert_eq!(
        response(&question, Decision::Allow, Some("{\"How?\":\"fast\"}"))["updatedInput"]["answers"],
        json!({"How?": "fast"})
    );
}
