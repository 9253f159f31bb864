//! The wire of the Gemini API: streamed as server-sent events, plain JSON, `countTokens`, the model list.

use serde_json::{Value, json};

use super::{
    answer::{Answer, Block},
    api::Api,
    choose::{Conversation, Entry},
    reply::Reply,
    script::{ErrorReply, Fault, Limit, Step, StreamError, Usage},
    wire::{self, Refusal, Stream},
};

/// `POST /v1beta/models/MODEL:streamGenerateContent?alt=sse` and `…:generateContent`.
pub const GENERATE: Api = Api { read, reply, mistake };

fn read(path: &str, body: &Value) -> Conversation {
    let (model, method) = path.rsplit('/').next().and_then(|last| last.split_once(':')).unwrap_or_default();
    let functions = items(&body["tools"]).flat_map(|tool| items(&tool["functionDeclarations"]));
    Conversation {
        model: model.to_owned(),
        stream: method == "streamGenerateContent",
        tools: functions.filter_map(|function| function["name"].as_str()).map(str::to_owned).collect(),
        forced_tool: body.pointer("/toolConfig/functionCallingConfig/mode") == Some(&json!("ANY")),
        compacts: false,
        form: body.pointer("/generationConfig/responseJsonSchema").cloned(),
        entries: items(&body["contents"]).map(read_content).collect(),
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

fn read_content(content: &Value) -> Entry {
    if content["role"] == "model" {
        return Entry::Assistant;
    }
    let (mut texts, mut results) = (Vec::new(), Vec::new());
    for part in items(&content["parts"]) {
        texts.extend(part["text"].as_str().map(str::to_owned));
        results.extend(part.get("functionResponse").map(|answer| result_text(&answer["response"])));
    }
    Entry::User { texts, results }
}

/// What a tool said: the CLI wraps it into an object.
fn result_text(response: &Value) -> String {
    response["output"].as_str().map_or_else(|| response.to_string(), str::to_owned)
}

fn reply(conversation: &Conversation, step: &Step, answer: &Answer, fault: Option<Fault>, id: &str) -> Reply {
    let reply = match fault {
        Some(Fault::Error(error)) => refusal(error, &conversation.model).reply(error),
        _ if conversation.stream => streamed(conversation, step, answer, fault, id),
        Some(Fault::StreamError(error)) => Reply::json(code_of(&error.kind), &failure(error)),
        _ => wire::plain(&whole(conversation, step, answer, id), fault),
    };
    wire::finish(reply, step)
}

fn whole(conversation: &Conversation, step: &Step, answer: &Answer, id: &str) -> Value {
    let parts = answer.blocks.iter().enumerate().map(|(at, block)| match block {
        Block::Thinking(text) => thought(text),
        Block::Text(text) => json!({"text": text}),
        Block::Tool { name, input } => call(name, input, id, at),
    });
    last_chunk(conversation, step, parts.collect(), id)
}

fn streamed(
    conversation: &Conversation,
    step: &Step,
    answer: &Answer,
    fault: Option<Fault>,
    id: &str,
) -> Reply {
    let mut stream = Stream::default();
    for (at, block) in answer.blocks.iter().enumerate() {
        let parts: Vec<Value> = match block {
            Block::Thinking(text) => vec![thought(text)],
            Block::Text(text) => wire::pieces(text).map(|piece| json!({"text": piece})).collect(),
            Block::Tool { name, input } => vec![call(name, input, id, at)],
        };
        for part in parts {
            stream.push(chunk(conversation, vec![part], id));
        }
        stream.mark();
    }
    stream.push(last_chunk(conversation, step, vec![json!({"text": ""})], id));
    let (events, end) = stream.under(fault, failure);
    Reply { end, ..Reply::events(events.iter().map(wire::data_frame).collect()) }
}

fn thought(text: &str) -> Value {
    json!({"text": text, "thought": true})
}

fn call(name: &str, input: &Value, id: &str, at: usize) -> Value {
    json!({
        "functionCall": {"id": format!("call_{id}_{at}"), "name": name, "args": input},
        "thoughtSignature": "c3R1Yg==",
    })
}

fn chunk(conversation: &Conversation, parts: Vec<Value>, id: &str) -> Value {
    json!({
        "candidates": [{"content": {"role": "model", "parts": parts}, "index": 0}],
        "modelVersion": conversation.model, "responseId": id,
    })
}

fn last_chunk(conversation: &Conversation, step: &Step, parts: Vec<Value>, id: &str) -> Value {
    let mut last = chunk(conversation, parts, id);
    last["candidates"][0]["finishReason"] = json!("STOP");
    last["usageMetadata"] = usage(step.usage);
    last
}

fn usage(usage: Usage) -> Value {
    let prompt = usage.input + usage.cache_read + usage.cache_write;
    json!({
        "promptTokenCount": prompt, "cachedContentTokenCount": usage.cache_read,
        "candidatesTokenCount": usage.output.saturating_sub(usage.reasoning),
        "thoughtsTokenCount": usage.reasoning, "totalTokenCount": prompt + usage.output,
    })
}

/// The answer of `POST /v1beta/models/MODEL:countTokens`: four bytes a token.
pub fn count_tokens(body: &Value) -> Reply {
    Reply::json(200, &json!({"totalTokens": body.to_string().len() / 4}))
}

/// The answer of `GET /v1beta/models`.
pub fn models(ids: &[String]) -> Reply {
    let model = |id: &String| {
        json!({
            "name": format!("models/{id}"), "displayName": id,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        })
    };
    Reply::json(200, &json!({"models": ids.iter().map(model).collect::<Vec<_>>()}))
}

fn mistake(message: &str) -> Reply {
    Reply::json(400, &error_body(400, &format!("stub script: {message}"), vec![]))
}

fn refusal(error: &ErrorReply, model: &str) -> Refusal {
    let quota = "You exceeded your current quota, please check your plan and billing details.";
    let (status, body) = match error.limit {
        None => {
            let message = format!("scripted error {}", error.status);
            (error.status, error_body(error.status, &message, vec![]))
        }
        Some(Limit::Rate) => {
            let mut details = vec![quota_failure("GenerateRequestsPerMinutePerProjectPerModel", model)];
            details.extend(error.retry_after.map(retry_info));
            (429, error_body(429, quota, details))
        }
        Some(Limit::Usage) => (
            429,
            error_body(429, quota, vec![quota_failure("GenerateRequestsPerDayPerProjectPerModel", model)]),
        ),
        Some(Limit::Credit) => (429, error_body(429, "Your prepayment credits are depleted.", vec![])),
    };
    Refusal { status, headers: vec![], body }
}

fn quota_failure(id: &str, model: &str) -> Value {
    json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{
        "quotaMetric": "generativelanguage.googleapis.com/generate_content_paid_tier_requests",
        "quotaId": id, "quotaDimensions": {"location": "global", "model": model}, "quotaValue": "50",
    }]})
}

fn retry_info(seconds: u64) -> Value {
    json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s")})
}

fn error_body(code: u16, message: &str, details: Vec<Value>) -> Value {
    let mut error = json!({"code": code, "message": message, "status": status_name(code)});
    if !details.is_empty() {
        error["details"] = json!(details);
    }
    json!({"error": error})
}

fn failure(error: &StreamError) -> Value {
    error_body(code_of(&error.kind), &error.message, vec![])
}

/// Statuses by their names (google.rpc.Code).
const STATUSES: [(u16, &str); 8] = [
    (400, "INVALID_ARGUMENT"),
    (401, "UNAUTHENTICATED"),
    (403, "PERMISSION_DENIED"),
    (404, "NOT_FOUND"),
    (429, "RESOURCE_EXHAUSTED"),
    (500, "INTERNAL"),
    (503, "UNAVAILABLE"),
    (504, "DEADLINE_EXCEEDED"),
];

fn status_name(code: u16) -> &'static str {
    STATUSES.iter().find(|(known, _)| *known == code).map_or("UNKNOWN", |(_, name)| name)
}

fn code_of(status: &str) -> u16 {
    STATUSES.iter().find(|(_, name)| *name == status).map_or(500, |(code, _)| *code)
}

#[cfg(test)]
#[path = "gemini_tests.rs"]
mod tests;
