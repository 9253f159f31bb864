use serde_json::json;

use super::*;

fn status(status: MissionStatus) -> EventBody {
    EventBody::MissionStatusChanged { status, terminal_reason: None }
}

fn message(content: &str) -> EventBody {
    EventBody::AssistantMessage {
        id: "a".to_owned(),
        content: content.to_owned(),
        success: true,
        cost_cents: 0.0,
        usage: Usage::default(),
        model: None,
    }
}

fn usage(input_tokens: u64, output_tokens: u64) -> EventBody {
    EventBody::Usage(Usage { input_tokens, output_tokens, cost_usd: None })
}

fn call(id: &str, command: &str) -> EventBody {
    EventBody::ToolCall {
        tool_call_id: id.to_owned(),
        name: "shell".to_owned(),
        args: json!({"command": command}),
    }
}

fn result(id: &str, text: &str, is_error: bool) -> EventBody {
    EventBody::ToolResult {
        tool_call_id: id.to_owned(),
        name: "shell".to_owned(),
        result: json!(text),
        is_error,
    }
}

fn thinking(content: &str) -> EventBody {
    EventBody::Thinking { content: content.to_owned(), done: false }
}

fn delta(content: &str) -> EventBody {
    EventBody::TextDelta { content: content.to_owned() }
}

fn error(code: &str) -> EventBody {
    EventBody::Error { code: code.to_owned(), message: "words".to_owned() }
}

/// A backend that does everything.
fn good() -> Vec<EventBody> {
    vec![
        status(MissionStatus::Active),
        thinking("hm"),
        call("c", &format!("cat {GATE}")),
        result("c", r#"{"word":"w7"}"#, false),
        delta("It is w7."),
        message("It is w7."),
        usage(10, 2),
        message("Still w7."),
        usage(20, 3),
        status(MissionStatus::Waiting),
    ]
}

/// What fails of these events; the second message is accepted as soon as the mission is busy.
fn failing(events: &[EventBody], queued: bool) -> Vec<&'static str> {
    let mut observed = Observed::new("w7");
    for event in events {
        observed.take(event);
        if observed.is_busy() {
            observed.accepted(queued);
        }
    }
    let findings = observed.findings(&[]);
    assert_eq!(findings.len(), E::ALL.len());
    let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Fail);
    failed.map(|finding| finding.expectation.as_str()).collect()
}

fn without(unwanted: impl Fn(&EventBody) -> bool) -> Vec<EventBody> {
    good().into_iter().filter(|event| !unwanted(event)).collect()
}

fn instead(old: &EventBody, new: EventBody) -> Vec<EventBody> {
    good().into_iter().map(|event| if event == *old { new.clone() } else { event }).collect()
}

#[test]
fn a_backend_that_does_everything_meets_every_expectation() {
    assert_eq!(failing(&good(), true), Vec::<&str>::new());
}

#[test]
fn each_expectation_fails_without_what_it_expects() {
    let table: Vec<(Vec<EventBody>, &[&str])> = vec![
        (without(|event| *event == status(MissionStatus::Active)), &["starts"]),
        (without(|event| event.type_name() == "thinking"), &["thinking"]),
        (instead(&thinking("hm"), thinking(" ")), &["thinking"]),
        (without(|event| event.type_name() == "text_delta"), &["text_delta"]),
        (without(|event| event.type_name() == "tool_result"), &["tool_result"]),
        (instead(&result("c", r#"{"word":"w7"}"#, false), result("c", "nothing", false)), &["tool_result"]),
        (instead(&result("c", r#"{"word":"w7"}"#, false), result("c", "w7", true)), &["tool_result"]),
        (instead(&result("c", r#"{"word":"w7"}"#, false), result("d", "w7", false)), &["tool_result"]),
        (without(|event| *event == message("It is w7.")), &["assistant_message"]),
        (instead(&message("Still w7."), message("No idea.")), &["memory"]),
        (without(|event| *event == message("Still w7.")), &["memory", "assistant_message"]),
        (instead(&usage(20, 3), usage(20, 0)), &["usage"]),
        (without(|event| *event == usage(20, 3)), &["next_turn", "memory", "assistant_message", "usage"]),
        (
            instead(&call("c", &format!("cat {GATE}")), call("c", "cat something")),
            &["tool_call", "tool_result", "queued", "next_turn"],
        ),
        (instead(&delta("It is w7."), error("harness_error")), &["next_turn", "text_delta", "no_error"]),
        // A fault that went by.
        (instead(&delta("It is w7."), error("api_retry")), &["text_delta"]),
        (
            Vec::new(),
            &[
                "starts",
                "tool_call",
                "tool_result",
                "queued",
                "next_turn",
                "memory",
                "thinking",
                "text_delta",
                "assistant_message",
                "usage",
            ],
        ),
    ];
    for (events, wanted) in table {
        assert_eq!(failing(&events, true), wanted, "{events:#?}");
    }
    assert_eq!(failing(&good(), false), ["queued"]);
}

#[test]
fn what_is_skipped_is_neither_met_nor_missed() {
    let findings = Observed::new("w7").findings(&[E::Thinking]);
    let skipped = findings.iter().filter(|finding| finding.verdict == Verdict::Skipped);
    assert_eq!(skipped.map(|finding| finding.expectation).collect::<Vec<_>>(), [E::Thinking]);
}

#[test]
fn it_is_over_when_two_turns_are_or_nothing_more_can_come() {
    let seen = |events: &[EventBody], sent: bool| {
        let mut observed = Observed::new("w7");
        if sent {
            observed.accepted(true);
        }
        events.iter().for_each(|event| observed.take(event));
        observed.is_over()
    };
    let waiting = status(MissionStatus::Waiting);
    assert!(seen(&good(), true));
    assert!(!seen(&good()[..9], true), "its last turn is over, and it is still at it");
    assert!(!seen(&[usage(1, 1), waiting.clone()], true), "the second message is on its way");
    assert!(seen(&[usage(1, 1), waiting], false), "it never ran the command");
    assert!(seen(&[status(MissionStatus::Failed)], false));
    assert!(seen(&[error("rate_limited"), usage(0, 0), status(MissionStatus::RateLimited)], true));
}

#[test]
fn names_are_read_as_they_are_written() {
    for expectation in E::ALL {
        assert_eq!(E::parse(expectation.as_str()), Some(expectation));
        assert_eq!(serde_json::to_value(expectation).unwrap(), expectation.as_str());
    }
    assert_eq!(E::parse("nonsense"), None);
}
