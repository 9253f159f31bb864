//! `edit_file`: exact replacements, all of them or none. Bytes are compared, so a file in any encoding keeps what is not
//! replaced.

use std::io::Read;

use memchr::memmem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::open::{open_file, size};
use super::replace::{Before, Version, replace};
use crate::error::{Code, Problem, Result};
use crate::root::Root;

/// Longest file that is edited in bytes, before and after.
pub const MAX_FILE: usize = 64 << 20;
/// Most edits of one call.
const MAX_EDITS: usize = 100;
/// Line numbers told of a text that is not unique.
const SHOWN: usize = 8;

/// One replacement.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Text that is in the file exactly so, white space included, and once.
    pub old_string: String,
    /// What comes in its place.
    pub new_string: String,
    /// Replace every occurrence; default false.
    #[serde(default)]
    pub replace_all: bool,
}

/// Parameters of `edit_file`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditParams {
    /// The file.
    pub path: String,
    /// Replacements, each made on what the one before left; at most 100.
    pub edits: Vec<Edit>,
}

/// Answer of `edit_file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EditResponse {
    /// The file, relative to the workspace.
    pub path: String,
    /// How many places were replaced.
    pub replacements: u64,
    /// For each edit the line of its first place, as it was when the edit was made.
    pub lines: Vec<u64>,
    /// Length of the file now, in bytes.
    pub bytes: u64,
}

/// Edits a file.
///
/// # Errors
/// `text_not_found`, `text_not_unique`, `changed_meanwhile`, `too_large` and what the system says. The file is then as
/// it was.
pub fn edit_file(root: &Root, params: &EditParams) -> Result<EditResponse> {
    let path = root.changeable("path", &params.path)?;
    check(&params.edits)?;
    let (file, stat) = open_file(root, &path)?;
    let too_large = |bytes: u64| {
        let message = format!("{path} has {bytes} bytes, more than {MAX_FILE}");
        Problem::new(Code::TooLarge, message).field("path").hint("use sed with run_command")
    };
    if size(&stat) > MAX_FILE as u64 {
        return Err(too_large(size(&stat)));
    }
    let mut content = Vec::new();
    let read = file.take(MAX_FILE as u64 + 1).read_to_end(&mut content);
    read.map_err(|error| Problem::system("read", &path, error).field("path"))?;
    let (mut replacements, mut lines) = (0, Vec::new());
    for (index, edit) in params.edits.iter().enumerate() {
        let (next, places, line) = apply(&content, edit, index)?;
        if next.len() > MAX_FILE {
            return Err(too_large(next.len() as u64));
        }
        content = next;
        replacements += places;
        lines.push(line);
    }
    replace(root, &path, &content, Before::Known(Version::of(&stat)))?;
    Ok(EditResponse { path: path.to_string(), replacements, lines, bytes: content.len() as u64 })
}

fn check(edits: &[Edit]) -> Result<()> {
    if edits.is_empty() || edits.len() > MAX_EDITS {
        return Err(Problem::invalid("edits", format!("{} edits: give 1 to {MAX_EDITS}", edits.len())));
    }
    for (index, edit) in edits.iter().enumerate() {
        let field = format!("edits[{index}].old_string");
        if edit.old_string.is_empty() {
            return Err(Problem::invalid(&field, "old_string is empty").hint(
                "write_file writes a whole file; to insert, replace a line by itself and the new ones",
            ));
        }
        if edit.old_string == edit.new_string {
            return Err(Problem::invalid(&field, "old_string and new_string are the same"));
        }
    }
    Ok(())
}

/// The new content, the number of places, and the line of the first.
fn apply(content: &[u8], edit: &Edit, index: usize) -> Result<(Vec<u8>, u64, u64)> {
    let old = edit.old_string.as_bytes();
    let places: Vec<usize> = memmem::find_iter(content, old).collect();
    let field = format!("edits[{index}].old_string");
    let Some(first) = places.first() else {
        return Err(not_found(content, &edit.old_string).field(field));
    };
    if places.len() > 1 && !edit.replace_all {
        let lines: Vec<String> =
            places.iter().take(SHOWN).map(|at| line_of(content, *at).to_string()).collect();
        let more = if places.len() > SHOWN { ", …" } else { "" };
        let message =
            format!("old_string is there {} times, in lines {}{more}", places.len(), lines.join(", "));
        return Err(Problem::new(Code::TextNotUnique, message).field(field));
    }
    let line = line_of(content, *first);
    let mut next = Vec::with_capacity(content.len());
    let mut from = 0;
    for at in &places {
        next.extend_from_slice(&content[from..*at]);
        next.extend_from_slice(edit.new_string.as_bytes());
        from = at + old.len();
    }
    next.extend_from_slice(&content[from..]);
    Ok((next, places.len() as u64, line))
}

/// Says what is nearly the text, where that can be told.
fn not_found(content: &[u8], old: &str) -> Problem {
    let problem = Problem::new(Code::TextNotFound, "old_string is not in the file");
    if old.contains('\n') && memmem::find(content, old.replace('\n', "\r\n").as_bytes()).is_some() {
        return problem.hint("the file's lines end in CRLF: write \\r\\n in old_string and new_string");
    }
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some(wanted) = old.lines().map(squeezed).find(|line| !line.is_empty()) else { return problem };
    let text = String::from_utf8_lossy(content);
    let near = text.lines().enumerate().find(|(_, line)| squeezed(line) == wanted);
    match near {
        Some((at, line)) if old.lines().any(|own| own == line) => {
            let message = format!("old_string is not in the file; its beginning is in line {}", at + 1);
            Problem { message, ..problem }
        }
        Some((at, _)) => {
            let message = format!("old_string is not in the file; line {} has other white space", at + 1);
            Problem { message, ..problem }
        }
        None => problem,
    }
}

fn line_of(content: &[u8], at: usize) -> u64 {
    memchr::memchr_iter(b'\n', &content[..at]).count() as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(content: &str, old: &str, new: &str, replace_all: bool) -> Result<(String, u64, u64)> {
        let edit = Edit { old_string: old.into(), new_string: new.into(), replace_all };
        apply(content.as_bytes(), &edit, 0).map(|(next, n, line)| (String::from_utf8(next).unwrap(), n, line))
    }

    #[test]
    fn a_text_is_replaced_where_it_is_and_nowhere_else() {
        assert_eq!(one("a\nb\nc", "b\n", "x\ny\n", false).unwrap(), ("a\nx\ny\nc".into(), 1, 2));
        assert_eq!(one("aaa", "a", "aa", true).unwrap(), ("aaaaaa".into(), 3, 1));
        assert_eq!(one("x$1\\n", "$1", "\\0", false).unwrap().0, "x\\0\\n", "nothing is a pattern");
        let edit = Edit { old_string: "b".into(), new_string: "ü".into(), replace_all: false };
        assert_eq!(apply(b"\xff b \xfe", &edit, 0).unwrap().0, b"\xff \xc3\xbc \xfe", "other bytes stay");
    }

    #[test]
    fn what_is_wrong_with_a_text_is_told() {
        for (content, old, code, words) in [
            ("a\nb\na\n", "a", Code::TextNotUnique, "2 times, in lines 1, 3"),
            (&"z\n".repeat(20), "z", Code::TextNotUnique, "20 times, in lines 1, 2, 3, 4, 5, 6, 7, 8, …"),
            ("a\n", "b", Code::TextNotFound, "is not in the file"),
            ("x\n\tif a {\n", "    if a {", Code::TextNotFound, "line 2 has other white space"),
            ("x\nif a {\ny", "if a {\nz", Code::TextNotFound, "its beginning is in line 2"),
        ] {
            let problem = one(content, old, "n", false).unwrap_err();
            assert_eq!((problem.code, problem.field.as_deref()), (code, Some("edits[0].old_string")));
            assert!(problem.message.contains(words), "{}", problem.message);
        }
        let problem = one("a\r\nb\r\n", "a\nb", "n", false).unwrap_err();
        assert!(problem.hint.contains("CRLF"), "{}", problem.hint);
    }
}
