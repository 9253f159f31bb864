//! The wire of Gemini for those who log in with a Google account: the same as the Gemini API's in an envelope, and what
//! is asked about the account before.

use serde_json::{Value, json};

use super::{
    answer::Answer,
    api::Api,
    choose::Conversation,
    gemini,
    reply::Reply,
    script::{Fault, Step},
};

/// `POST /v1internal:streamGenerateContent?alt=sse` and `…:generateContent`.
pub const GENERATE: Api = Api { read, reply, mistake: gemini::GENERATE.mistake };

fn read(path: &str, body: &Value) -> Conversation {
    let method = path.rsplit(':').next().unwrap_or_default();
    let model = body["model"].as_str().unwrap_or_default();
    (gemini::GENERATE.read)(&format!("/models/{model}:{method}"), &body["request"])
}

fn reply(conversation: &Conversation, step: &Step, answer: &Answer, fault: Option<Fault>, id: &str) -> Reply {
    let mut reply = (gemini::GENERATE.reply)(conversation, step, answer, fault, id);
    if reply.status == 200 {
        reply.frames.iter_mut().for_each(|frame| *frame = enveloped(frame));
    }
    reply
}

/// A piece that is no JSON, being cut, stays as it is.
fn enveloped(frame: &str) -> String {
    let (before, text) = frame.strip_prefix("data: ").map_or(("", frame), |text| ("data: ", text));
    match serde_json::from_str::<Value>(text) {
        Ok(inner) if before.is_empty() => json!({"response": inner}).to_string(),
        Ok(inner) => format!("{before}{}\n\n", json!({"response": inner})),
        Err(_) => frame.to_owned(),
    }
}

/// What the account is told of itself, whatever it asks: it may use a model, and needs no more than that.
pub fn account() -> Reply {
    let answer = json!({
        "currentTier": {"id": "standard-tier", "name": "Standard"}, "cloudaicompanionProject": "stub-project",
        "email": "me@example.com", "expires_in": 3000, "scope": "openid",
    });
    Reply::json(200, &answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_read_out_of_its_envelope_and_the_answer_put_into_one() {
        let body = json!({"model": "gemini-x", "request": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}});
        let conversation = read("/v1internal:streamGenerateContent", &body);
        assert_eq!((conversation.model.as_str(), conversation.stream), ("gemini-x", true));
        assert_eq!(conversation.entries.len(), 1);
        assert_eq!(enveloped("data: {\"a\":1}\n\n"), "data: {\"response\":{\"a\":1}}\n\n");
        assert_eq!(enveloped("{\"a\":1}"), "{\"response\":{\"a\":1}}");
        assert_eq!(enveloped("data: {\"a"), "data: {\"a");
    }
}
