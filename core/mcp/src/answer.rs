//! What a tool answers, within a budget: data as structured content, text as text.

use std::{fmt::Display, path::Path};

use rmcp::model::{CallToolResult, ContentBlock, MetaObject, Resource};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// No answer of data is longer.
const MAX_DATA: usize = 48 << 10;

/// An answer on its way to the client.
#[derive(Debug)]
pub enum Answer {
    /// The same facts as structured content and as text.
    Data(Value),
    /// Text and pictures as they are. `facts` go to programs, beside what the model sees.
    Text {
        /// What the model sees.
        content: Vec<ContentBlock>,
        /// For programs.
        facts: Map<String, Value>,
        /// Whether what the tool did went wrong, for instance a command that failed.
        is_error: bool,
    },
}

impl Answer {
    /// Data, described by the tool's output schema.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn data(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_value(value).map(Self::Data)
    }

    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        let content = if text.is_empty() { Vec::new() } else { vec![ContentBlock::text(text)] };
        Self::Text { content, facts: Map::new(), is_error: false }
    }

    /// Puts text before all else.
    #[must_use]
    pub fn before(mut self, text: impl Into<String>) -> Self {
        if let Self::Text { content, .. } = &mut self {
            content.insert(0, ContentBlock::text(text.into()));
        }
        self
    }

    /// Adds words of this program, apart from the text.
    #[must_use]
    pub fn note(self, notes: &[String]) -> Self {
        if notes.is_empty() {
            self
        } else {
            self.block(ContentBlock::text(format!("[{}]", notes.join("; "))))
        }
    }

    /// Adds a block of content.
    #[must_use]
    pub fn block(mut self, block: ContentBlock) -> Self {
        if let Self::Text { content, .. } = &mut self {
            content.push(block);
        }
        self
    }

    /// Adds where the whole is.
    #[must_use]
    pub fn link(self, resource: Resource) -> Self {
        self.block(ContentBlock::resource_link(resource))
    }

    /// Adds a fact for programs.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Self::Text { facts, .. } = &mut self {
            facts.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Marks it as telling of a failure.
    #[must_use]
    pub fn failed(mut self, failed: bool) -> Self {
        if let Self::Text { is_error, .. } = &mut self {
            *is_error = failed;
        }
        self
    }

    /// As the protocol has it.
    pub fn into_result(self) -> CallToolResult {
        match self {
            Self::Data(value) if value.to_string().len() > MAX_DATA => {
                let message = "the answer is too long";
                let problem =
                    json!({"code": "too_large", "message": message, "hint": "ask for less at a time"});
                CallToolResult::error(vec![ContentBlock::text(problem.to_string())])
            }
            Self::Data(value) => CallToolResult::structured(value),
            Self::Text { content, facts, is_error } => {
                let mut result =
                    if is_error { CallToolResult::error(content) } else { CallToolResult::success(content) };
                if !facts.is_empty() {
                    result.meta = Some(MetaObject(facts));
                }
                result
            }
        }
    }
}

/// A failure that the model can read and mend. Text only: a tool's output schema does not describe it.
pub fn refusal<E: Serialize + Display>(problem: &E) -> CallToolResult {
    let text = serde_json::to_string(problem)
        .unwrap_or_else(|_| json!({"message": problem.to_string()}).to_string());
    CallToolResult::error(vec![ContentBlock::text(text)])
}

/// `file://` and the percent-encoded absolute path.
pub fn file_uri(path: &Path) -> String {
    use std::fmt::Write as _;
    let mut uri = "file://".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(*byte))
            }
            other => {
                let _ = write!(uri, "%{other:02X}");
            }
        }
    }
    uri
}
