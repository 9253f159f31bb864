//! The rules of the conversation that no recording holds, with made-up lines.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part of the shared modules")]

mod talk;

use std::collections::BTreeMap;

use sandboxed_domain::api::Decision;
use sandboxed_domain::harness::{Codec, FailureClass, HarnessEvent, LaunchRequest, McpServer, find};
use serde_json::{Value, json};
use talk::{message, request};

fn codec(harness: &str, request: &LaunchRequest) -> Box<dyn Codec + Send> {
    let harness = find(harness).unwrap();
    let mut codec = harness.codec();
    codec.restore(harness.plan(request).unwrap().codec);
    codec
}

fn sent(events: &[HarnessEvent]) -> Vec<Value> {
    let lines = events.iter().filter_map(|event| match event {
        HarnessEvent::Send { line } => Some(serde_json::from_str(line).unwrap()),
        _ => None,
    });
    lines.collect()
}

fn result(id: u64, result: Value) -> String {
    message(json!({"id": id, "result": result}))
}

fn update(update: Value) -> String {
    message(json!({"method": "session/update", "params": {"sessionId": "s-1", "update": update}}))
}

fn text(text: &str) -> String {
    update(json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}))
}

const HELLO: &str = r#"{"protocolVersion":1,"agentCapabilities":{"loadSession":true}}"#;

/// A codec whose first message is with the agent, as request 4.
fn at_work() -> Box<dyn Codec + Send> {
    let mut codec = codec("grok", &request());
    let hello: Value = serde_json::from_str(&codec.encode_user_message("m-1", "work").unwrap()).unwrap();
    assert_eq!((&hello["method"], &hello["params"]["protocolVersion"]), (&json!("initialize"), &json!(1)));
    assert_eq!(hello["params"]["clientCapabilities"]["terminal"], false);
    assert_eq!(
        hello["params"]["clientCapabilities"]["fs"],
        json!({"readTextFile": false, "writeTextFile": false})
    );
    codec.decode_line(&result(1, serde_json::from_str(HELLO).unwrap()));
    codec.decode_line(&result(2, json!({})));
    let prompt = sent(&codec.decode_line(&result(3, json!({"sessionId": "s-1"}))));
    assert_eq!(prompt[0]["method"], "session/prompt");
    codec
}

fn end(events: &[HarnessEvent]) -> (bool, bool, Option<FailureClass>, String) {
    let Some(HarnessEvent::TurnEnded { success, interrupted, failure, message, .. }) =
        events.iter().find(|event| matches!(event, HarnessEvent::TurnEnded { .. }))
    else {
        panic!("{events:?}")
    };
    (*success, *interrupted, *failure, message.clone())
}

#[test]
fn a_message_during_the_handshake_or_a_turn_waits_and_is_sent_once() {
    let mut codec = codec("grok", &request());
    assert!(codec.encode_user_message("m-1", "one").unwrap().contains("initialize"));
    assert_eq!(codec.encode_user_message("m-1", "one").unwrap(), "");
    assert_eq!(codec.encode_user_message("m-2", "two").unwrap(), "");
    codec.decode_line(&result(1, serde_json::from_str(HELLO).unwrap()));
    codec.decode_line(&result(2, json!({})));
    let first = sent(&codec.decode_line(&result(3, json!({"sessionId": "s-1"}))));
    assert_eq!(first[0]["params"]["prompt"][0]["text"], "one");
    assert_eq!(codec.encode_user_message("m-1", "one").unwrap(), "");
    assert_eq!(codec.encode_user_message("m-3", "three").unwrap(), "");
    for (id, next) in [(4, "two"), (5, "three")] {
        let events = codec.decode_line(&result(id, json!({"stopReason": "end_turn"})));
        assert!(end(&events).0);
        assert_eq!(sent(&events)[0]["params"]["prompt"][0]["text"], next);
    }
    assert_eq!(sent(&codec.decode_line(&result(6, json!({"stopReason": "end_turn"})))), Vec::<Value>::new());
    assert_eq!(codec.finish(Some(0), None), []);
    let line = codec.encode_user_message("m-4", "four").unwrap();
    assert!(line.contains("session/prompt") && line.contains("four"), "{line}");
}

#[test]
fn a_message_that_was_never_answered_is_a_failure() {
    let mut codec = codec("grok", &request());
    codec.encode_user_message("m-1", "one").unwrap();
    assert_eq!(end(&codec.finish(Some(0), None)).2, Some(FailureClass::Harness));
    let mut codec = at_work();
    codec.decode_line(&text("half a "));
    let events = codec.finish(None, Some(9));
    assert!(
        matches!(&events[0], HarnessEvent::AssistantMessage { content, .. } if content == "half a "),
        "{events:?}"
    );
    assert!(end(&events).3.contains("signal 9"));
}

#[test]
fn a_text_that_an_error_cuts_short_is_no_message() {
    let mut codec = at_work();
    codec.decode_line(&text("half a "));
    let line = json!({"jsonrpc": "2.0", "id": 4, "error": {"code": -32603, "message": "Internal error"}});
    let events = codec.decode_line(&line.to_string());
    assert!(!events.iter().any(|event| matches!(event, HarnessEvent::AssistantMessage { .. })), "{events:?}");
    assert_eq!(end(&events).2, Some(FailureClass::Harness));
}

#[test]
fn a_text_that_is_said_again_is_one_message() {
    let mut codec = at_work();
    codec.decode_line(&text("half a "));
    let retry = json!({"sessionUpdate": "retry_state", "type": "retrying", "attempt": 1, "max_retries": 4});
    let params = json!({"sessionId": "s", "update": retry});
    let line = json!({"jsonrpc": "2.0", "method": "_x.ai/session_notification", "params": params});
    codec.decode_line(&line.to_string());
    codec.decode_line(&text("a whole one"));
    let events = codec.decode_line(&result(4, json!({"stopReason": "end_turn"})));
    let whole = events.iter().find_map(|event| match event {
        HarnessEvent::AssistantMessage { content, .. } => Some(content.as_str()),
        _ => None,
    });
    assert_eq!(whole, Some("a whole one"));
}

#[test]
fn a_text_that_looks_like_a_command_of_the_agent_is_a_message() {
    for (given, expected) in
        [("/etc is empty", "\u{200b}/etc is empty"), (" $HOME", "\u{200b} $HOME"), ("a /b", "a /b")]
    {
        let mut codec = at_work();
        codec.decode_line(&result(4, json!({"stopReason": "end_turn"})));
        let line: Value = serde_json::from_str(&codec.encode_user_message("m-2", given).unwrap()).unwrap();
        assert_eq!(line["params"]["prompt"][0]["text"], expected);
    }
}

#[test]
fn every_way_to_stop_is_told_apart() {
    for (reason, success, interrupted, words) in [
        ("end_turn", true, false, "said"),
        ("max_tokens", false, false, "output limit"),
        ("max_turn_requests", false, false, "limit of requests"),
        ("refusal", false, false, "refused"),
        ("cancelled", false, true, "interrupted"),
        ("news", false, false, "news"),
    ] {
        let mut codec = at_work();
        codec.decode_line(&text("said"));
        let (ok, cut, failure, message) = end(&codec.decode_line(&result(4, json!({"stopReason": reason}))));
        assert_eq!((ok, cut), (success, interrupted), "{reason}");
        assert_eq!(failure, (!success && !interrupted).then_some(FailureClass::Harness), "{reason}");
        assert!(message.contains(words), "{reason}: {message}");
    }
}

#[test]
fn a_refused_step_of_the_handshake_ends_the_turn_and_the_next_message_begins_anew() {
    for (id, code, class) in [
        (1, -32602, FailureClass::Harness),
        (2, -32000, FailureClass::Auth),
        (3, -32603, FailureClass::Harness),
    ] {
        let mut codec = codec("grok", &request());
        codec.encode_user_message("m-1", "one").unwrap();
        let answers = [serde_json::from_str(HELLO).unwrap(), json!({}), json!({"sessionId": "s-1"})];
        for (at, answer) in answers.into_iter().enumerate().take(id - 1) {
            codec.decode_line(&result(at as u64 + 1, answer));
        }
        let error = json!({"id": id, "error": {"code": code, "message": "no", "data": "because"}});
        let (_, _, failure, message) = end(&codec.decode_line(&message(error)));
        assert_eq!((failure, message.as_str()), (Some(class), "no: because"));
        assert!(codec.encode_user_message("m-2", "two").unwrap().contains("initialize"));
    }
}

fn permission(id: Value) -> String {
    message(json!({"id": id, "method": "session/request_permission", "params": {
        "sessionId": "s-1",
        "toolCall": {"toolCallId": "c-1", "title": "Run it", "status": "pending", "rawInput": {"command": "make"}},
        "options": [
            {"optionId": "wide", "name": "All", "kind": "allow_always"},
            {"optionId": "once", "name": "Once", "kind": "allow_once"},
            {"optionId": "no", "name": "No", "kind": "reject_once"},
        ],
    }}))
}

#[test]
fn a_permission_is_answered_by_the_nearest_option_and_only_once() {
    for (id, decision, words, option) in [
        (json!(0), Decision::Allow, None, "once"),
        (json!("a"), Decision::AllowAlways, None, "once"),
        (json!(7), Decision::AllowAlways, Some("wide"), "wide"),
        (json!(7), Decision::Deny, Some("please not"), "no"),
    ] {
        let mut codec = at_work();
        let events = codec.decode_line(&permission(id.clone()));
        let Some(HarnessEvent::Request { request_id, kind, title, rule, detail, .. }) = events.last() else {
            panic!("{events:?}")
        };
        assert_eq!((kind.as_str(), title.as_str()), ("permission", "Run it"));
        assert_eq!(rule.as_deref(), Some("Run it(make)"));
        let line = codec.encode_answer(request_id, detail, decision, words).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&answer["id"], &answer["result"]["outcome"]),
            (&id, &json!({"outcome": "selected", "optionId": option}))
        );
        assert_eq!(codec.encode_answer(request_id, detail, decision, words), None);
    }
}

#[test]
fn a_cancel_answers_what_is_open_and_what_still_comes() {
    let mut codec = at_work();
    codec.decode_line(&permission(json!(0)));
    let lines = codec.encode_interrupt("i").unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&lines[0]["method"], &lines[0]["params"]["sessionId"]),
        (&json!("session/cancel"), &json!("s-1"))
    );
    assert_eq!(
        (&lines[1]["id"], &lines[1]["result"]["outcome"]["outcome"]),
        (&json!(0), &json!("cancelled"))
    );
    assert_eq!(codec.encode_answer("0", &json!({}), Decision::Allow, None), None);
    let late = codec.decode_line(&permission(json!(1)));
    assert_eq!(late[0], HarnessEvent::RequestWithdrawn { request_id: "0".to_owned() });
    assert_eq!(sent(&late)[0]["result"]["outcome"]["outcome"], "cancelled");
    assert!(!late.iter().any(|event| matches!(event, HarnessEvent::Request { .. })));
    let error = json!({"id": 4, "error": {"code": -32603, "message": "aborted"}});
    let events = codec.decode_line(&message(error));
    assert_eq!((end(&events).1, end(&events).2), (true, None), "an error after a cancel is the cancel");
    assert_eq!(codec.encode_interrupt("i"), None, "nothing runs");
}

#[test]
fn what_the_agent_may_not_ask_is_refused_and_kept() {
    for method in ["fs/read_text_file", "terminal/create", "_x.ai/news"] {
        let mut codec = at_work();
        let events = codec.decode_line(&message(json!({"id": 9, "method": method, "params": {}})));
        let answers = sent(&events);
        assert_eq!((&answers[0]["id"], &answers[0]["error"]["code"]), (&json!(9), &json!(-32601)));
        assert!(matches!(&events[1], HarnessEvent::Raw(value) if value["method"] == method));
    }
}

#[test]
fn what_is_unknown_is_kept_and_what_is_known_and_empty_is_not() {
    let mut codec = at_work();
    for line in [
        "Segmentation fault".to_owned(),
        "{\"jsonrpc\":\"2.0\",".to_owned(),
        "[1]".to_owned(),
        message(json!({"method": "news"})),
        update(json!({"sessionUpdate": "news"})),
        update(
            json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "image", "data": "", "mimeType": "image/png"}}),
        ),
        result(77, json!({})),
    ] {
        assert!(matches!(codec.decode_line(&line)[..], [HarnessEvent::Raw(_)]), "{line}");
    }
    for line in [
        update(json!({"sessionUpdate": "plan", "entries": []})),
        update(json!({"sessionUpdate": "current_mode_update", "currentModeId": "x"})),
        update(json!({"sessionUpdate": "user_message_chunk", "content": {"type": "text", "text": "mine"}})),
    ] {
        assert_eq!(codec.decode_line(&line), [HarnessEvent::Ignored], "{line}");
    }
    assert_eq!(codec.decode_line("  "), []);
}

#[test]
fn a_text_too_long_to_keep_together_becomes_several_messages_and_loses_nothing() {
    let mut codec = at_work();
    let piece = "ä".repeat(50_000);
    let mut whole = String::new();
    for _ in 0..6 {
        let events = codec.decode_line(&text(&piece));
        whole.extend(events.iter().filter_map(|event| match event {
            HarnessEvent::AssistantMessage { content, .. } => Some(content.as_str()),
            _ => None,
        }));
        assert!(codec.snapshot().to_string().len() < 300_000);
    }
    for event in codec.decode_line(&result(4, json!({"stopReason": "end_turn"}))) {
        if let HarnessEvent::AssistantMessage { content, .. } = event {
            whole.push_str(&content);
        }
    }
    assert_eq!(whole, piece.repeat(6));
}

#[test]
fn a_prompt_waits_for_the_servers_of_the_session() {
    let server = McpServer {
        name: "stub".to_owned(),
        command: "/opt/bin/mcp".to_owned(),
        args: Vec::new(),
        env: BTreeMap::new(),
    };
    let request = LaunchRequest { mcp_servers: vec![server], ..request() };
    let ready = message(json!({"method": "_x.ai/mcp_initialized", "params": {}}));
    let opened = result(3, json!({"sessionId": "s-1"}));
    for lines in [[&ready, &opened], [&opened, &ready]] {
        let mut codec = codec("grok", &request);
        codec.encode_user_message("m-1", "one").unwrap();
        codec.decode_line(&result(1, serde_json::from_str(HELLO).unwrap()));
        codec.decode_line(&result(2, json!({})));
        assert_eq!(sent(&codec.decode_line(lines[0])), Vec::<Value>::new());
        assert_eq!(sent(&codec.decode_line(lines[1]))[0]["method"], "session/prompt");
    }
}

#[test]
fn a_refused_call_is_over_when_the_agent_goes_on_and_told_once() {
    let no = |codec: &mut Box<dyn Codec + Send>| {
        let events = codec.decode_line(&permission(json!(0)));
        let Some(HarnessEvent::Request { request_id, detail, .. }) = events.last() else {
            panic!("{events:?}")
        };
        codec.encode_answer(request_id, detail, Decision::Deny, None).unwrap();
    };
    let results = |events: &[HarnessEvent]| {
        let found = events.iter().filter_map(|event| match event {
            HarnessEvent::ToolResult { id, result, is_error } => {
                Some((id.clone(), result.clone(), *is_error))
            }
            _ => None,
        });
        found.collect::<Vec<_>>()
    };
    let end = result(4, json!({"stopReason": "end_turn"}));
    // Nothing is told of it.
    for next in [text("well"), end.clone()] {
        let mut codec = at_work();
        no(&mut codec);
        assert_eq!(results(&codec.decode_line(&next)), [("c-1".to_owned(), json!("refused"), true)]);
        assert_eq!(results(&codec.decode_line(&text("then"))), []);
    }
    // The agent tells it itself.
    let mut codec = at_work();
    no(&mut codec);
    let told = json!({"sessionUpdate": "tool_call_update", "toolCallId": "c-1", "status": "failed", "rawOutput": "no"});
    assert_eq!(results(&codec.decode_line(&update(told))), [("c-1".to_owned(), json!("no"), true)]);
    assert_eq!(results(&codec.decode_line(&text("well"))), []);
    assert_eq!(results(&codec.decode_line(&end)), []);
}

/// A codec that has asked for the session that it is to resume, as request 3.
fn loading() -> Box<dyn Codec + Send> {
    let mut codec = codec("gemini", &LaunchRequest { resume: true, ..request() });
    codec.encode_user_message("m-1", "go on").unwrap();
    codec.decode_line(&result(1, serde_json::from_str(HELLO).unwrap()));
    let load = sent(&codec.decode_line(&result(2, json!({}))));
    assert_eq!(load[0]["method"], "session/load");
    assert_eq!(load[0]["params"]["sessionId"], format!(" {}", request().session_id));
    codec
}

#[test]
fn a_loaded_session_takes_its_prompt_after_its_history_and_keeps_its_id() {
    let mut codec = loading();
    for line in [text("old"), result(3, json!({})), text("older")] {
        assert_eq!(codec.decode_line(&line), [HarnessEvent::Ignored], "{line}");
    }
    let ready = update(json!({"sessionUpdate": "available_commands_update", "availableCommands": []}));
    let prompt = sent(&codec.decode_line(&ready));
    assert_eq!(prompt[0]["method"], "session/prompt");
    assert_eq!(prompt[0]["params"]["sessionId"], format!(" {}", request().session_id));
    let events = codec.decode_line(&text("new"));
    let Some(HarnessEvent::SessionStarted { session_id, .. }) = events.first() else { panic!("{events:?}") };
    assert_eq!(*session_id, request().session_id);
}

#[test]
fn a_session_that_is_not_there_begins_anew_and_another_refusal_ends_the_turn() {
    for (code, anew) in [(-32603, true), (-32000, false), (-32602, false)] {
        let error = message(json!({"id": 3, "error": {"code": code, "message": "no"}}));
        let mut codec = loading();
        let events = codec.decode_line(&error);
        let warned = |event: &HarnessEvent| matches!(event, HarnessEvent::Warning { code, .. } if code == "session_lost");
        assert_eq!(events.iter().any(warned), anew, "{code}: {events:?}");
        if anew {
            assert_eq!(sent(&events)[0]["method"], "session/new");
            let prompt = sent(&codec.decode_line(&result(4, json!({"sessionId": "s-2"}))));
            assert_eq!(
                (&prompt[0]["method"], &prompt[0]["params"]["sessionId"]),
                (&json!("session/prompt"), &json!("s-2"))
            );
        } else {
            assert!(end(&events).2.is_some(), "{events:?}");
        }
    }
}

#[test]
fn a_model_that_nobody_named_is_told_once_its_session_is_open() {
    for (login, told) in [("mistral", 1), ("openai", 0)] {
        let request =
            LaunchRequest { login: vec![login.to_owned()], credentials: BTreeMap::new(), ..request() };
        let mut codec = codec("opencode", &request);
        codec.encode_user_message("m-1", "work").unwrap();
        codec.decode_line(&result(1, serde_json::from_str(HELLO).unwrap()));
        let option = json!({"id": "model", "category": "model", "currentValue": "mistral/large"});
        let events = codec.decode_line(&result(2, json!({"sessionId": "s-1", "configOptions": [option]})));
        let warned = events.iter().filter(|event| {
            matches!(event, HarnessEvent::Warning { code, message }
                if code == "model_unnamed" && message.contains("`mistral/large`") && message.contains("_OPENCODE"))
        });
        assert_eq!(warned.count(), told, "{login}: {events:#?}");
    }
}
