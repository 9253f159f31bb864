//! What is wrong with a file of the Library, and where.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is wrong with a file. The rest of the Library is not touched by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// The file, below the Library's folder.
    pub path: String,
    /// Its line, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32")]
    pub line: Option<u32>,
    /// What is wrong with it.
    pub message: String,
}

impl Problem {
    /// Of a whole file.
    pub fn new(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, message: message.into() }
    }

    /// Of one line, counted from 1.
    pub fn at(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { line: u32::try_from(line).ok(), ..Self::new(path, message) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

/// The line that a byte of a text is on.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// The text of a file as TOML.
pub(super) fn toml<T: serde::de::DeserializeOwned>(path: &str, text: &str) -> Result<T, Problem> {
    toml_edit::de::from_str(text).map_err(|error| {
        let line = error.span().map(|span| line_of(text, span.start));
        let message = error.message().trim().to_owned();
        line.map_or_else(|| Problem::new(path, &message), |line| Problem::at(path, line, &message))
    })
}

/// The text of a file as JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(path: &str, text: &str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|error| {
        // "what is wrong at line 1 column 2"
        let words = error.to_string();
        let message = words.rsplit_once(" at line ").map_or(words.as_str(), |(message, _)| message);
        Problem::at(path, error.line().max(1), message)
    })
}

/// A text as YAML, below so many lines of its file. One of nothing is an empty mapping.
pub(super) fn yaml<T: serde::de::DeserializeOwned>(
    path: &str,
    text: &str,
    above: usize,
) -> Result<T, Problem> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    serde_saphyr::from_str(text).map_err(|error| {
        let error = error.without_snippet();
        let line = error.location().map_or(1, |at| usize::try_from(at.line()).unwrap_or(1));
        let words = error.to_string();
        // "… at line 3, column 5": the line is told apart, and counts from the file's first.
        let message = words.lines().next().unwrap_or_default();
        let message = message.split(" at line ").next().unwrap_or(message);
        Problem::at(path, line + above, message.trim_start_matches("error: "))
    })
}
