//! The smoke test of a live backend: what it is asked, and how what it does is read against what is expected.
//!
//! The first message has it run a command that reads from a fifo, so it is busy until somebody writes there. Meanwhile
//! the second message is sent, which asks for what the command printed: only who has run it and remembers can answer.

mod expectation;
mod observed;

pub use expectation::{Expectation, Finding, Verdict};
pub use observed::Observed;

use serde_json::json;

/// The fifo that the command reads, in the workspace.
pub const GATE: &str = "/tmp/sandboxed-sh-smoke";

/// The first message.
pub fn first_message() -> String {
    format!(
        "This is a test of this connection. Run exactly this shell command once, in the foreground, and wait until it \
         ends: `cat {GATE}`\n\nIt may take a while. It prints a JSON object with one field, `word`. Then reply with one \
         short sentence that holds the value of that field. Do nothing else."
    )
}

/// The second one.
pub fn second_message() -> String {
    "Run nothing now. Think about what the command before printed, and reply with one short sentence that holds the \
     value of the field `word` again."
        .to_owned()
}

/// What goes through the fifo.
pub fn answer(word: &str) -> String {
    json!({ "word": word }).to_string()
}
