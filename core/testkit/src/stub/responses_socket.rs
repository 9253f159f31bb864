//! The Responses API over a WebSocket: a request is a text, each event of its answer another one.
//!
//! A request may hold only what is new since an earlier response of the same connection, which it names.

use serde_json::{Map, Value, json};

use super::{
    answer::Answer,
    api::Api,
    choose::Conversation,
    openai,
    reply::{End, Reply},
    responses,
    script::{Fault, Step},
    wire,
};

/// One request of an open connection; each frame of the reply is one text.
pub const SOCKET: Api = Api { read: responses::read, reply, mistake };

fn reply(conversation: &Conversation, step: &Step, answer: &Answer, fault: Option<Fault>, id: &str) -> Reply {
    let reply = match fault {
        Some(Fault::Error(error)) => wrapped(openai::plan_refusal(error).reply(error)),
        _ => {
            let stream = responses::stream(conversation, step, answer, id);
            let (mut events, end) = stream.under(fault, responses::failure(id));
            responses::number(&mut events);
            texts(&events, end)
        }
    };
    wire::finish(reply, step)
}

fn mistake(message: &str) -> Reply {
    wrapped(openai::mistake(message))
}

/// A connection that stays open has no status and no headers: an error's stand in its text.
fn wrapped(refusal: Reply) -> Reply {
    let body: Value = serde_json::from_str(&refusal.frames.concat()).unwrap_or_default();
    let headers: Map<String, Value> =
        refusal.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let status = refusal.status;
    let event = json!({"type": "error", "status": status, "error": body["error"], "headers": headers});
    Reply { status, ..texts(&[event], End::Complete) }
}

fn texts(events: &[Value], end: End) -> Reply {
    Reply { end, ..Reply::events(events.iter().map(Value::to_string).collect()) }
}

/// The newest response of a connection, with all that led to it.
#[derive(Debug, Default)]
pub struct Memory {
    id: String,
    items: Vec<Value>,
}

impl Memory {
    /// The request with the whole conversation as its input.
    ///
    /// # Errors
    /// The reply to a request that goes on from a response this connection does not remember.
    pub fn complete(&self, mut request: Value) -> Result<Value, Reply> {
        let Some(id) = request["previous_response_id"].as_str() else { return Ok(request) };
        if id != self.id {
            let message = format!("Previous response with id '{id}' not found.");
            let body =
                openai::error_body(&message, "invalid_request_error", Some("previous_response_not_found"));
            return Err(wrapped(Reply::json(400, &body)));
        }
        let new = request["input"].as_array().cloned().unwrap_or_default();
        request["input"] = self.items.iter().cloned().chain(new).collect();
        Ok(request)
    }

    /// Remembers the response to a completed request, if it is whole.
    pub fn keep(&mut self, request: &Value, reply: &Reply) {
        let last: Value =
            reply.frames.last().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        if last["type"] != "response.completed" {
            return;
        }
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        self.id = last["response"]["id"].as_str().unwrap_or_default().to_owned();
        self.items = list(&request["input"]);
        self.items.extend(list(&last["response"]["output"]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stub::{ErrorReply, Limit, compose};

    fn rendered(step: &Step) -> Reply {
        let conversation = responses::read("", &json!({"model": "m", "tools": [{"name": "exec_command"}]}));
        let answer = compose(step, &conversation).unwrap();
        reply(&conversation, step, &answer, step.fault(0), "1")
    }

    fn parsed(reply: &Reply) -> Vec<Value> {
        reply.frames.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }

    #[test]
    fn an_answer_is_one_text_for_each_event() {
        let events = parsed(&rendered(&Step::text("hi")));
        let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!((types[0], types[types.len() - 1]), ("response.created", "response.completed"));
    }

    #[test]
    fn an_error_carries_its_status_and_headers_inside() {
        let mut step = Step::limit(Limit::Usage);
        step.error = Some(ErrorReply { resets_at: Some(7), retry_after: Some(9), ..step.error.unwrap() });
        let reply = rendered(&step);
        let error = &parsed(&reply)[0];
        assert_eq!((reply.status, &error["status"], &error["type"]), (429, &json!(429), &json!("error")));
        assert_eq!(error["error"]["type"], "usage_limit_reached");
        assert_eq!(error["headers"]["x-codex-primary-reset-at"], "7");
        assert_eq!(error["headers"]["retry-after"], "9");
    }

    #[test]
    fn a_request_that_goes_on_gets_the_conversation_before_it() {
        let mut memory = Memory::default();
        let first = json!({"input": ["a"]});
        let reply = rendered(&Step::text("hi"));
        memory.keep(&first, &reply);
        let next = json!({"previous_response_id": "resp_1", "input": ["b"]});
        let whole = memory.complete(next.clone()).unwrap();
        assert_eq!((&whole["input"][0], &whole["input"][2]), (&json!("a"), &json!("b")));
        assert_eq!(whole["input"][1]["content"][0]["text"], "hi");

        // What was cut is not remembered.
        memory.keep(&whole, &rendered(&Step { disconnect_after: Some(1), ..Step::text("no") }));
        assert_eq!(memory.complete(next).unwrap(), whole);
        let unknown = memory.complete(json!({"previous_response_id": "resp_9"})).unwrap_err();
        assert_eq!(parsed(&unknown)[0]["error"]["code"], "previous_response_not_found");
    }
}
