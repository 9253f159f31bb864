//! Events as text that people can read and compare.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use std::fmt::Write as _;

use sandboxed_domain::api::Usage;
use sandboxed_domain::harness::HarnessEvent;
use serde_json::{Value, json};

/// The events without what nobody needs to compare, neighbouring deltas joined, a line each.
pub fn skeleton(events: &[HarnessEvent]) -> String {
    let mut out = String::new();
    let mut events = events.iter().filter(|event| **event != HarnessEvent::Ignored).peekable();
    while let Some(event) = events.next() {
        match event {
            HarnessEvent::TextDelta { content } => {
                let mut text = content.clone();
                let mut count = 1;
                while let Some(HarnessEvent::TextDelta { content }) = events.peek() {
                    text.push_str(content);
                    count += 1;
                    events.next();
                }
                writeln!(out, "text x{count} {}", json!(text)).unwrap();
            }
            HarnessEvent::Thinking { content, done: false } => {
                let mut text = content.clone();
                while let Some(HarnessEvent::Thinking { content, done: false }) = events.peek() {
                    text.push_str(content);
                    events.next();
                }
                writeln!(out, "thinking {}", json!(text)).unwrap();
            }
            other => writeln!(out, "{}", one(other)).unwrap(),
        }
    }
    out
}

fn one(event: &HarnessEvent) -> String {
    match event {
        HarnessEvent::SessionStarted { session_id, model } => {
            format!("session {session_id} {}", model.as_deref().unwrap_or("-"))
        }
        HarnessEvent::Thinking { content, .. } => format!("thinking-done {}", json!(content)),
        HarnessEvent::AssistantMessage { id, content, model } => {
            format!("message {id} {} {}", model.as_deref().unwrap_or("-"), json!(content))
        }
        HarnessEvent::ToolCall { id, name, args } => format!("call {id} {name} {}", short(args)),
        HarnessEvent::ToolResult { id, result, is_error } => {
            format!("result {id} {} {}", if *is_error { "error" } else { "ok" }, short(result))
        }
        HarnessEvent::Request { request_id, kind, title, options, rule, detail } => {
            let mut fields: Vec<_> = detail.as_object().unwrap().keys().map(String::as_str).collect();
            fields.sort_unstable();
            let choice = format!("{} rule={}", json!(options), json!(rule));
            format!("request {request_id} {kind} {} {choice} [{}]", json!(title), fields.join(" "))
        }
        HarnessEvent::RequestWithdrawn { request_id } => format!("withdrawn {request_id}"),
        HarnessEvent::CredentialTaken => "credential taken".to_owned(),
        HarnessEvent::MessageStarted { id } => format!("started {id}"),
        HarnessEvent::MessageRefused { id, reason } => format!("refused {id} {reason:?}"),
        HarnessEvent::Warning { code, message } => format!("warning {code} {}", json!(message)),
        HarnessEvent::TurnEnded { success, interrupted, failure, message, usage } => {
            let how = match (success, interrupted, failure) {
                (true, false, None) => "success".to_owned(),
                (false, true, None) => "interrupted".to_owned(),
                (false, false, Some(class)) => format!("failed {class:?}"),
                contradiction => panic!("{contradiction:?}"),
            };
            let Usage { input_tokens, output_tokens, cost_usd } = usage;
            let cost = cost_usd.map_or("-".to_owned(), |usd| format!("{usd:.6}"));
            format!("end {how} in={input_tokens} out={output_tokens} usd={cost} {}", json!(message))
        }
        HarnessEvent::Goal { status, objective, iterations, tokens_used, token_budget } => {
            let budget = token_budget.map_or("-".to_owned(), |tokens| tokens.to_string());
            format!("goal {status} turns={iterations} tokens={tokens_used}/{budget} {}", json!(objective))
        }
        HarnessEvent::McpServer { name, state, detail } => {
            format!("server {name} {} {}", state.as_str(), json!(detail))
        }
        HarnessEvent::Raw(value) => format!("raw {}", short(value)),
        HarnessEvent::Send { line } => format!("send {}", sorted(line.trim_end())),
        HarnessEvent::TextDelta { .. } | HarnessEvent::Ignored => unreachable!(),
    }
}

fn short(value: &Value) -> String {
    let text = in_order(value).to_string();
    match text.char_indices().nth(120) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// A line of JSON with its keys in order: the order of writing depends on what else is built.
#[allow(dead_code, clippy::allow_attributes, reason = "not every test binary has lines")]
pub fn sorted(line: &str) -> String {
    serde_json::from_str(line).map_or_else(|_| line.to_owned(), |value| in_order(&value).to_string())
}

fn in_order(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            fields.into_iter().map(|(name, value)| (name.clone(), in_order(value))).collect()
        }
        Value::Array(items) => items.iter().map(in_order).collect(),
        other => other.clone(),
    }
}
