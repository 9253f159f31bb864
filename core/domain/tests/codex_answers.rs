//! Messages, interrupts and answers to Codex, as lines.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use sandboxed_domain::api::Decision;
use sandboxed_domain::harness::{Codec, FailureClass, HarnessEvent, find};
use serde_json::{Value, json};

fn codec() -> Box<dyn Codec + Send> {
    find("codex").unwrap().codec()
}

fn tell(codec: &mut Box<dyn Codec + Send>, line: Value) -> Vec<HarnessEvent> {
    codec.decode_line(&line.to_string())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sent(events: &[HarnessEvent]) -> Vec<Value> {
    let lines = events.iter().filter_map(|event| match event {
        HarnessEvent::Send { line } => Some(serde_json::from_str(line).unwrap()),
        _ => None,
    });
    lines.collect()
}

fn end(events: &[HarnessEvent]) -> (bool, bool, Option<FailureClass>) {
    match events.iter().find(|event| matches!(event, HarnessEvent::TurnEnded { .. })) {
        Some(HarnessEvent::TurnEnded { success, interrupted, failure, .. }) => {
            (*success, *interrupted, *failure)
        }
        _ => panic!("no end in {events:?}"),
    }
}

/// A codec with an open session `t` and the message `m-1` in its turn `u`.
fn in_turn() -> Box<dyn Codec + Send> {
    let mut codec = codec();
    codec.encode_user_message("m-1", "hi").unwrap();
    tell(&mut codec, json!({"id": 1, "result": {}}));
    tell(&mut codec, json!({"id": 2, "result": {"thread": {"id": "t"}, "model": "x"}}));
    tell(&mut codec, json!({"id": 3, "result": {"turn": {"id": "u"}}}));
    tell(&mut codec, json!({"method": "turn/started", "params": {"threadId": "t", "turn": {"id": "u"}}}));
    codec
}

fn completed(turn: &str, status: &str) -> Value {
    json!({"method": "turn/completed", "params": {"threadId": "t", "turn": {"id": turn, "status": status}}})
}

#[test]
fn messages_wait_for_the_handshake_and_for_the_turn_and_are_taken_once() {
    let mut codec = codec();
    let first = codec.encode_user_message("m-1", "hi").unwrap();
    assert_eq!(lines(&first)[0]["method"], "initialize");
    assert_eq!(codec.encode_user_message("m-1", "hi").unwrap(), "");
    assert_eq!(codec.encode_user_message("m-2", "two").unwrap(), "");
    tell(&mut codec, json!({"id": 1, "result": {}}));
    let opened = tell(&mut codec, json!({"id": 2, "result": {"thread": {"id": "t"}}}));
    let [turn] = &sent(&opened)[..] else { panic!("{opened:?}") };
    assert_eq!(turn["params"]["clientUserMessageId"], "m-1");
    tell(&mut codec, json!({"id": 3, "result": {"turn": {"id": "u"}}}));
    tell(&mut codec, json!({"method": "turn/started", "params": {"threadId": "t", "turn": {"id": "u"}}}));
    let ended = tell(&mut codec, completed("u", "completed"));
    assert_eq!(end(&ended), (true, false, None));
    assert_eq!(sent(&ended)[0]["params"]["clientUserMessageId"], "m-2");
}

#[test]
fn a_steered_message_is_in_the_running_turn_even_when_that_ends_meanwhile() {
    assert_eq!(codec().encode_steer("m-2", "mind"), None);
    let mut codec = in_turn();
    let line = codec.encode_steer("m-2", "mind the gap").unwrap();
    assert_eq!(lines(&line)[0]["params"]["clientUserMessageId"], "m-2");
    let before = tell(&mut codec, completed("u", "completed"));
    assert!(!before.iter().any(|event| matches!(event, HarnessEvent::TurnEnded { .. })), "{before:?}");
    tell(&mut codec, json!({"id": 4, "result": {"turn": {"id": "v"}}}));
    tell(&mut codec, json!({"method": "turn/started", "params": {"threadId": "t", "turn": {"id": "v"}}}));
    let ended = tell(&mut codec, completed("v", "completed"));
    assert_eq!(ended[0], HarnessEvent::MessageStarted { id: "m-2".to_owned() });
    assert_eq!(end(&ended), (true, false, None));
}

#[test]
fn a_steered_message_that_is_not_taken_comes_back_and_the_turn_goes_on() {
    let mut codec = in_turn();
    codec.encode_steer("m-2", "mind the gap").unwrap();
    let refused = tell(&mut codec, json!({"id": 4, "error": {"code": -32600, "message": "not now"}}));
    let wanted = HarnessEvent::MessageRefused { id: "m-2".to_owned(), reason: "not now".to_owned() };
    assert_eq!(refused, [wanted]);
    let ended = tell(&mut codec, completed("u", "completed"));
    assert_eq!(end(&ended), (true, false, None));
    assert!(!ended.contains(&HarnessEvent::MessageStarted { id: "m-2".to_owned() }), "{ended:?}");
    assert_eq!(codec.encode_steer("m-3", "too late"), None);
}

#[test]
fn an_interrupt_cleans_up_before_the_end_and_works_before_the_turn() {
    let mut codec = in_turn();
    let line = codec.encode_interrupt("i").unwrap();
    assert_eq!(lines(&line)[0]["params"], json!({"threadId": "t", "turnId": "u"}));
    assert_eq!(codec.encode_interrupt("i").unwrap(), "");
    tell(&mut codec, json!({"id": 4, "result": {}}));
    let cleaning = tell(&mut codec, completed("u", "interrupted"));
    assert_eq!(sent(&cleaning)[0]["method"], "thread/backgroundTerminals/clean");
    assert!(!cleaning.iter().any(|event| matches!(event, HarnessEvent::TurnEnded { .. })));
    assert_eq!(end(&tell(&mut codec, json!({"id": 5, "result": {}}))), (false, true, None));
    assert_eq!(codec.encode_interrupt("i"), None);

    let mut early = self::codec();
    early.encode_user_message("m-1", "hi").unwrap();
    assert_eq!(early.encode_interrupt("i").unwrap(), "");
    tell(&mut early, json!({"id": 1, "result": {}}));
    let opened = tell(&mut early, json!({"id": 2, "result": {"thread": {"id": "t"}}}));
    assert_eq!((sent(&opened), end(&opened)), (Vec::new(), (false, true, None)));
}

#[test]
fn a_session_that_cannot_be_opened_fails_the_turn_and_is_tried_again_for_the_next_message() {
    let mut codec = codec();
    codec.encode_user_message("m-1", "hi").unwrap();
    tell(&mut codec, json!({"id": 1, "result": {}}));
    let failed = tell(&mut codec, json!({"id": 2, "error": {"code": -32600, "message": "bad config"}}));
    assert_eq!(end(&failed), (false, false, Some(FailureClass::Harness)));
    let again = codec.encode_user_message("m-2", "hi").unwrap();
    assert_eq!(lines(&again)[0]["method"], "thread/start");
}

#[test]
fn failures_are_classified_by_their_kind_alone() {
    use FailureClass::{Auth, BudgetReached, Harness, Transient};
    let limited = FailureClass::RateLimited { resets_at: None };
    let table = [
        (json!("usageLimitExceeded"), limited),
        (json!("rateLimitExceeded"), limited),
        (json!({"responseTooManyFailedAttempts": {"httpStatusCode": 429}}), limited),
        (json!("unauthorized"), Auth),
        (json!({"httpConnectionFailed": {"httpStatusCode": 401}}), Auth),
        (json!({"httpConnectionFailed": {"httpStatusCode": 403}}), Auth),
        (json!({"httpConnectionFailed": {"httpStatusCode": 503}}), Transient),
        (json!({"responseStreamDisconnected": {"httpStatusCode": null}}), Transient),
        (json!("serverOverloaded"), Transient),
        (json!("sessionBudgetExceeded"), BudgetReached),
        (json!({"httpConnectionFailed": {"httpStatusCode": 404}}), Harness),
        (json!({"activeTurnNotSteerable": {"turnKind": "review"}}), Harness),
        (json!("contextWindowExceeded"), Harness),
        (json!("other"), Harness),
        (json!("brandNew"), Harness),
        (Value::Null, Harness),
    ];
    for (info, class) in table {
        let mut codec = in_turn();
        let mut line = completed("u", "failed");
        line["params"]["turn"]["error"] = json!({"message": "rate limit 401", "codexErrorInfo": info});
        assert_eq!(end(&tell(&mut codec, line)), (false, false, Some(class)), "{info}");
    }
}

#[test]
fn answers_have_the_shape_that_codex_takes() {
    let answered = |method: &str, params: Value, decision, text: Option<&str>| {
        let mut codec = in_turn();
        let asked = tell(&mut codec, json!({"id": "r-1", "method": method, "params": params}));
        let [HarnessEvent::Request { request_id, detail, .. }] = &asked[..] else { panic!("{asked:?}") };
        let line = codec.encode_answer(request_id, detail, decision, text).unwrap();
        assert_eq!(codec.encode_answer(request_id, detail, decision, text), None, "answered twice");
        let sent = lines(&line).remove(0);
        assert_eq!(sent["id"], "r-1");
        sent["result"].clone()
    };
    use Decision::{Allow, AllowAlways, Deny};
    for method in ["item/commandExecution/requestApproval", "item/fileChange/requestApproval"] {
        for (decision, word) in [(Allow, "accept"), (AllowAlways, "acceptForSession"), (Deny, "decline")] {
            assert_eq!(answered(method, json!({}), decision, None), json!({"decision": word}));
        }
    }
    let wish = json!({"permissions": {"network": {"enabled": true}}});
    let permissions = |decision| answered("item/permissions/requestApproval", wish.clone(), decision, None);
    assert_eq!(permissions(AllowAlways), json!({"permissions": wish["permissions"], "scope": "session"}));
    assert_eq!(permissions(Deny), json!({"permissions": {}, "scope": "turn"}));

    let asked = json!({"questions": [{"id": "a", "question": "Which?"}, {"id": "b", "question": "How?"}]});
    let question = |decision, text| answered("item/tool/requestUserInput", asked.clone(), decision, text);
    let both = |a: &str, b: &str| json!({"answers": {"a": {"answers": [a]}, "b": {"answers": [b]}}});
    assert_eq!(question(Allow, Some("Blue")), both("Blue", "Blue"));
    assert_eq!(question(Allow, Some("{\"a\":\"Blue\",\"How?\":[\"fast\"]}")), both("Blue", "fast"));
    assert_eq!(question(Deny, None), both("(declined to answer)", "(declined to answer)"));

    let form = json!({"mode": "form", "message": "Name?", "requestedSchema": {"properties": {"name": {}}}});
    let elicited = |params: &Value, decision, text| {
        answered("mcpServer/elicitation/request", params.clone(), decision, text)
    };
    assert_eq!(elicited(&form, Allow, Some("Ann")), json!({"action": "accept", "content": {"name": "Ann"}}));
    assert_eq!(elicited(&form, Allow, Some("{\"x\":1}")), json!({"action": "accept", "content": {"x": 1}}));
    assert_eq!(elicited(&form, Deny, None), json!({"action": "decline"}));
    let tool = json!({"message": "Allow?", "_meta": {"codex_approval_kind": "mcp_tool_call"}});
    assert_eq!(
        elicited(&tool, AllowAlways, None),
        json!({"action": "accept", "content": {}, "_meta": {"persist": "session"}})
    );
}

#[test]
fn tokens_of_a_resumed_session_are_counted_from_its_total() {
    let usage = |turn: &str, total: u64, last: u64| {
        let count = |tokens: u64| json!({"inputTokens": tokens, "outputTokens": tokens / 10});
        json!({"method": "thread/tokenUsage/updated", "params": {
            "threadId": "t", "turnId": turn, "tokenUsage": {"total": count(total), "last": count(last)},
        }})
    };
    let used = |before: &[Value]| {
        let mut codec = in_turn();
        before.iter().for_each(|line| drop(tell(&mut codec, line.clone())));
        match tell(&mut codec, completed("u", "completed")).pop() {
            Some(HarnessEvent::TurnEnded { usage, .. }) => (usage.input_tokens, usage.output_tokens),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(used(&[]), (0, 0));
    assert_eq!(used(&[usage("u", 1200, 200), usage("u", 1200, 200), usage("u", 1500, 300)]), (500, 50));
    assert_eq!(used(&[usage("before", 1000, 100), usage("u", 1200, 200)]), (200, 20));
    assert_eq!(used(&[usage("before", 1000, 100), usage("u", 300, 300)]), (300, 30));
}
