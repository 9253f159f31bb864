//! The translator between one harness process and the normalised events.

use serde_json::Value;

use super::HarnessEvent;
use crate::api::Decision;

/// Reads what one run prints and writes what is sent to it.
///
/// A codec lives as long as its run. The daemon may be killed between any two lines, so its state is small and
/// serialisable: store [`Codec::snapshot`] together with the events (and after each `encode_*`), and a new codec
/// that was [restored](Codec::restore) goes on as if nothing had happened.
pub trait Codec: Send + Sync {
    /// The meaning of one line of stdout, without its line break. Never fails: what is not understood is `Raw`.
    fn decode_line(&mut self, line: &str) -> Vec<HarnessEvent>;

    /// The meaning of lines that were read together; plain text becomes fewer events this way.
    fn decode_lines(&mut self, lines: &[&str]) -> Vec<HarnessEvent> {
        lines.iter().flat_map(|line| self.decode_line(line)).collect()
    }

    /// A user message as lines for stdin, line breaks included; `None` where there is no such way. Where the protocol
    /// begins with a handshake the first message opens it, waits in the state, and follows as
    /// [`HarnessEvent::Send`] when the other side is ready. A message
    /// without a [`HarnessEvent::MessageStarted`] may be sent again with the same `id`, as after a restart: the
    /// harness takes it once. Several waiting messages may become one turn, so count starts and not turn ends. Empty
    /// where it waits in the state and nothing is to be said yet.
    fn encode_user_message(&mut self, id: &str, text: &str) -> Option<String>;

    /// A message for the running turn rather than the next one; `None` where there is no such way or no turn. When the
    /// turn is over before the message arrives it is the next one and belongs to the same; one that is not taken comes
    /// back as [`HarnessEvent::MessageRefused`].
    fn encode_steer(&mut self, _id: &str, _text: &str) -> Option<String> {
        None
    }

    /// A request to stop the running turn and keep the process. Empty where it is made as soon as it can be.
    fn encode_interrupt(&mut self, id: &str) -> Option<String>;

    /// The answer to a [`HarnessEvent::Request`]; `detail` is the one that came with it. `answer` is the answer
    /// to a question or the reason of a denial.
    fn encode_answer(
        &mut self,
        request_id: &str,
        detail: &Value,
        decision: Decision,
        answer: Option<&str>,
    ) -> Option<String>;

    /// The process is gone: closes what is still open. A turn without its terminal event has failed.
    fn finish(&mut self, exit_code: Option<i32>, signal: Option<i32>) -> Vec<HarnessEvent>;

    /// The state, for [`Codec::restore`].
    fn snapshot(&self) -> Value;

    /// Takes over a state; one that cannot be read leaves the codec as it was.
    fn restore(&mut self, snapshot: Value);
}

/// How a process ended, in words: `exited with status 3`, `was ended by signal 9`.
pub(super) fn describe_end(exit_code: Option<i32>, signal: Option<i32>) -> String {
    match (exit_code, signal) {
        (_, Some(signal)) => format!("was ended by signal {signal}"),
        (Some(code), None) => format!("exited with status {code}"),
        (None, None) => "ended without a status".to_owned(),
    }
}
