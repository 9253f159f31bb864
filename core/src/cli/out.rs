//! The one place of the CLI that writes: data to stdout, talk to stderr.

use std::io::{self, Write};

use sandboxed_domain::api::{ApiError, ErrorCode};
use serde::Serialize;

/// How a reading verb shows what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document, or one a line where there is a stream.
    Json,
}

impl Format {
    /// From the flag `--json`.
    pub fn json(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

/// Writes data as it is.
///
/// # Errors
/// `Internal` when stdout is closed; a reader like `head` that has enough ends the program that way.
pub fn raw(text: &str) -> Result<(), ApiError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|e| closed(&e))
}

/// Writes bytes as they are.
///
/// # Errors
/// As [`raw`].
pub fn bytes(bytes: &[u8]) -> Result<(), ApiError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|e| closed(&e))
}

/// Writes a line of data.
///
/// # Errors
/// As [`raw`].
pub fn line(text: &str) -> Result<(), ApiError> {
    raw(&format!("{text}\n"))
}

/// Writes a JSON document for people and programs alike.
///
/// # Errors
/// As [`raw`].
pub fn json(value: &impl Serialize) -> Result<(), ApiError> {
    line(&serde_json::to_string_pretty(value).map_err(|e| unshowable(&e))?)
}

/// Writes a JSON document on one line of a stream.
///
/// # Errors
/// As [`raw`].
pub fn json_line(value: &impl Serialize) -> Result<(), ApiError> {
    line(&serde_json::to_string(value).map_err(|e| unshowable(&e))?)
}

/// Says something on stderr. Nobody listening is no reason to stop.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes to stderr as it is.
pub fn say_raw(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Shows an error with what to do about it.
pub fn error(error: &ApiError) {
    let field = error.field.as_deref().map(|field| format!(" ({field})")).unwrap_or_default();
    say(&format!("error: {}{field}", error.message));
    if !error.hint.is_empty() {
        say(&format!("  {}", error.hint));
    }
}

/// Rows with aligned columns; the first row is the heading. Nothing is padded at a line's end.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Text that stays on its line of a terminal: control characters become spaces, and it is cut at `most` characters.
pub fn one_line(text: &str, most: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= most {
        return words;
    }
    let mut cut: String = words.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

fn closed(error: &io::Error) -> ApiError {
    ApiError::new(ErrorCode::Internal, format!("stdout: {error}"))
}

fn unshowable(error: &serde_json::Error) -> ApiError {
    ApiError::new(ErrorCode::Internal, format!("cannot be shown as JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters_and_lines_end_without_blanks() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(
            table(&[row("NAME", "X"), row("äöü-long", ""), row("b", "yy")]),
            "NAME      X\näöü-long\nb         yy\n"
        );
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn a_line_holds_no_control_characters_and_has_its_length() {
        assert_eq!(one_line("a\x1b[2Jb\n\tc", 20), "a [2Jb c");
        assert_eq!(one_line("abcdef", 4), "abc…");
        assert_eq!(one_line("abcd", 4), "abcd");
    }
}
