//! What the wires of all APIs have in common: pieces of text, frames, and how a fault breaks an answer.

use std::time::Duration;

use serde_json::Value;

use super::{
    reply::{End, Reply},
    script::{ErrorReply, Fault, Step, StreamError},
};

/// Longest piece of text in one delta, in characters, unless the text would need more than [`MAX_DELTAS`].
const DELTA_CHARS: usize = 16;

/// Most deltas a block is cut into.
const MAX_DELTAS: usize = 200;

/// Cuts a text into the pieces of its deltas.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = String> + use<> {
    let chars: Vec<char> = text.chars().collect();
    let size = DELTA_CHARS.max(chars.len().div_ceil(MAX_DELTAS));
    let pieces: Vec<String> = chars.chunks(size).map(|piece| piece.iter().collect()).collect();
    pieces.into_iter()
}

/// A server-sent event that is named by its own type.
pub(super) fn named_frame(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
}

/// A server-sent event without a name.
pub(super) fn data_frame(event: &Value) -> String {
    format!("data: {event}\n\n")
}

/// Adds the step's headers and pauses.
pub(super) fn finish(mut reply: Reply, step: &Step) -> Reply {
    reply.headers.extend(step.headers.clone());
    reply.first_delay = Duration::from_millis(step.first_delay_ms);
    reply.gap = Duration::from_millis(step.delay_ms);
    reply
}

/// An HTTP error as an API words it.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Value,
}

impl Refusal {
    /// The reply; what the script says itself goes before the API's own words.
    pub(super) fn reply(self, error: &ErrorReply) -> Reply {
        let status = if error.status == 0 { self.status } else { error.status };
        let mut reply = Reply::json(status, error.body.as_ref().unwrap_or(&self.body));
        reply
            .headers
            .extend(error.retry_after.map(|seconds| ("retry-after".to_owned(), seconds.to_string())));
        reply.headers.extend(self.headers.into_iter().map(|(name, value)| (name.to_owned(), value)));
        reply.headers.extend(error.headers.clone());
        reply
    }
}

/// When a plan's usage starts anew if the script does not say: 2030-03-17 17:46:40 UTC.
pub(super) const USUAL_RESET: u64 = 1_900_000_000;

/// An answer that is not streamed.
pub(super) fn plain(message: &Value, fault: Option<Fault>) -> Reply {
    let mut reply = Reply::json(200, message);
    match fault {
        Some(Fault::Disconnect(_)) => {
            let whole = reply.frames.concat();
            reply.frames = vec![whole.chars().take(whole.chars().count() / 2).collect()];
            reply.end = End::Cut;
        }
        Some(Fault::Hang) => (reply.frames, reply.end) = (vec![], End::Hang),
        _ => {}
    }
    reply
}

/// The events of a streamed answer.
#[derive(Default)]
pub(super) struct Stream {
    events: Vec<Value>,
    in_last_block: usize,
}

impl Stream {
    pub(super) fn push(&mut self, event: Value) {
        self.events.push(event);
    }

    /// Where a stream stands that never gets beyond its last block: called when all is said in a block but its end.
    pub(super) fn mark(&mut self) {
        self.in_last_block = self.events.len();
    }

    /// What of it goes out under a fault, and how that ends; `failure` words an error event.
    pub(super) fn under(
        mut self,
        fault: Option<Fault>,
        failure: impl FnOnce(&StreamError) -> Value,
    ) -> (Vec<Value>, End) {
        match fault {
            Some(Fault::Disconnect(after)) => {
                self.events.truncate(after);
                (self.events, End::Cut)
            }
            Some(Fault::Hang) => {
                self.events.truncate(self.in_last_block);
                (self.events, End::Hang)
            }
            Some(Fault::StreamError(error)) => {
                self.events.truncate(self.in_last_block);
                self.events.push(failure(error));
                (self.events, End::Complete)
            }
            Some(Fault::Error(_)) | None => (self.events, End::Complete),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_into_few_pieces_and_lose_nothing() {
        let text = "äx".repeat(10_000);
        let cut: Vec<String> = pieces(&text).collect();
        assert_eq!((cut.len(), cut.concat()), (MAX_DELTAS, text));
        assert_eq!(pieces("").count(), 0);
    }
}
