//! `read_file`: lines of a text, a picture, or what a binary file is. The answer is text as it is in the file: structured
//! content would replace it in the clients, and reach the model with every quote and line end escaped.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use base64::Engine as _;
use rmcp::model::ContentBlock;
use schemars::JsonSchema;
use serde::Deserialize;

use super::open::{open_file, size};
use crate::answer::{Answer, MAX_TEXT, file_link};
use crate::error::{Problem, Result};
use crate::root::{RelPath, Root};
use crate::stop::Stop;
use crate::text::{count, shorten};

/// Lines when no limit is given.
const DEFAULT_LIMIT: u64 = 2000;
/// Longer lines are cut, in bytes.
const MAX_LINE: usize = 2000;
/// Bytes looked at to tell what a file is.
const HEAD: usize = 8192;
/// Larger pictures are not sent: clients refuse them.
pub const MAX_PICTURE: u64 = 3_750_000;
/// Lines of larger files are not counted to the end.
const MAX_COUNTED: u64 = 64 << 20;
/// Bytes read at a time.
const BUFFER: usize = 256 << 10;
/// First bytes shown of a binary file.
const DUMPED: usize = 64;

/// Parameters of `read_file`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadParams {
    /// The file.
    pub path: String,
    /// First line, from 1 (default). Negative: that many lines before the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub offset: Option<i64>,
    /// Most lines; default 2000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub limit: Option<u64>,
}

/// Reads a file.
///
/// # Errors
/// `not_found`, `not_a_file`, `invalid_argument` and what the system says.
pub fn read_file(root: &Root, params: &ReadParams, stop: &Stop) -> Result<Answer> {
    let path = root.relative("path", &params.path)?;
    let (offset, limit) = (params.offset.unwrap_or(1), params.limit.unwrap_or(DEFAULT_LIMIT));
    if offset == 0 {
        return Err(Problem::invalid("offset", "lines are counted from 1"));
    }
    if limit == 0 {
        return Err(Problem::invalid("limit", "limit is at least 1"));
    }
    let (mut file, stat) = open_file(root, &path)?;
    let fail = |error: io::Error| {
        if error.kind() == io::ErrorKind::Interrupted {
            return stop.problem();
        }
        Problem::system("read", &path, error).field("path")
    };
    let mut head = Vec::new();
    file.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(fail)?;
    if let Some(kind) = picture(&head) {
        return show_picture(root, &path, file, &head, kind, size(&stat)).map_err(fail);
    }
    if head.contains(&0) {
        return Ok(binary(root, &path, &head, size(&stat)));
    }
    let page = match u64::try_from(offset) {
        Ok(first) => Page::forward(&mut file, first, limit, stop),
        Err(_) => Page::backward(&mut file, offset.unsigned_abs(), limit, stop),
    };
    Ok(page.map_err(fail)?.answer(root, &path, size(&stat)))
}

/// Lines that were read.
struct Page {
    text: Vec<u8>,
    first: u64,
    next: u64,
    cut_lines: u64,
    /// Lines that were read and belong to the next page.
    unread: u64,
    more: bool,
    total: Option<u64>,
}

impl Page {
    fn at(first: u64) -> Self {
        Self { text: Vec::new(), first, next: first, cut_lines: 0, unread: 0, more: false, total: None }
    }

    fn forward(file: &mut File, first: u64, limit: u64, stop: &Stop) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::with_capacity(BUFFER, file);
        let skipped = skip_lines(&mut reader, first - 1, stop)?;
        let mut page = Self::at(first);
        if skipped < first - 1 {
            page.total = Some(skipped);
            return Ok(page);
        }
        page.take_lines(&mut reader, limit, stop)?;
        page.count_rest(&mut reader, stop)?;
        Ok(page)
    }

    /// The last lines, as many of them as fit into an answer.
    fn backward(file: &mut File, lines: u64, limit: u64, stop: &Stop) -> io::Result<Self> {
        let end = file.seek(SeekFrom::End(0))?;
        let tail_begin = end.saturating_sub(MAX_TEXT as u64);
        file.seek(SeekFrom::Start(tail_begin))?;
        let mut tail = Vec::new();
        file.by_ref().take(end - tail_begin).read_to_end(&mut tail)?;
        let body = tail.strip_suffix(b"\n").unwrap_or(&tail);
        let nth = usize::try_from(lines - 1).unwrap_or(usize::MAX);
        let found = memchr::memrchr_iter(b'\n', body).nth(nth).map(|at| at + 1);
        // Where so many are not in the tail, it begins with its first whole line.
        let whole = || memchr::memchr(b'\n', body).map_or(0, |at| at + 1);
        let start = found.unwrap_or_else(|| if tail_begin == 0 { 0 } else { whole() });
        let begin = tail_begin + start as u64;
        file.seek(SeekFrom::Start(0))?;
        let mut before = BufReader::with_capacity(BUFFER, file.by_ref().take(begin));
        let counted = begin <= MAX_COUNTED;
        let first = if counted { skip_lines(&mut before, u64::MAX, stop)? + 1 } else { 0 };
        let mut page = Self::at(first);
        let mut reader = &tail[start..];
        page.take_lines(&mut reader, limit, stop)?;
        page.count_rest(&mut reader, stop)?;
        page.total = page.total.filter(|_| counted);
        Ok(page)
    }

    /// Takes lines until limit or budget.
    fn take_lines(&mut self, reader: &mut impl BufRead, limit: u64, stop: &Stop) -> io::Result<()> {
        while self.next - self.first < limit {
            let mut line = Vec::new();
            let length = read_line(reader, &mut line, stop)?;
            if length == 0 {
                return Ok(());
            }
            if self.text.len() + line.len() > MAX_TEXT && !self.text.is_empty() {
                self.unread = 1;
                return Ok(());
            }
            if length > line.len() as u64 {
                let cut = shorten(&String::from_utf8_lossy(&line), MAX_LINE).len();
                line.truncate(cut.min(line.len()));
                line.extend_from_slice(format!("… [{} more bytes]\n", length - cut as u64).as_bytes());
                self.cut_lines += 1;
            }
            self.text.extend_from_slice(&line);
            self.next += 1;
        }
        Ok(())
    }

    /// Says whether there is more, and how many lines there are where that is soon told.
    fn count_rest(&mut self, reader: &mut impl BufRead, stop: &Stop) -> io::Result<()> {
        let mut limited = reader.take(MAX_COUNTED);
        let rest = skip_lines(&mut limited, u64::MAX, stop)?;
        self.more = self.unread + rest > 0;
        if limited.limit() > 0 {
            self.total = Some(self.next.saturating_sub(1) + self.unread + rest);
        }
        Ok(())
    }

    fn answer(self, root: &Root, path: &RelPath, bytes: u64) -> Answer {
        let lossy = std::str::from_utf8(&self.text).is_err();
        let text = String::from_utf8_lossy(&self.text).into_owned();
        let total = self.total.map(|n| format!(" of {n}")).unwrap_or_default();
        let mut notes = Vec::new();
        if self.next == self.first {
            notes.push(match self.total {
                Some(0) => "the file is empty".to_owned(),
                _ => format!(
                    "there is no line {}: the file ends after line {}",
                    self.first,
                    self.total.unwrap_or(0)
                ),
            });
        } else if self.first == 0 {
            notes.push(format!("the last {} lines of {bytes} bytes", self.next));
        } else if self.more || self.first > 1 {
            notes.push(format!("lines {}-{}{total}, file of {bytes} bytes", self.first, self.next - 1));
        }
        if self.more && self.first > 0 {
            notes.push(format!("go on with offset={}", self.next));
        }
        if self.cut_lines > 0 {
            notes.push(format!(
                "{} cut after {MAX_LINE} bytes",
                count(self.cut_lines, "long line was", "long lines were")
            ));
        }
        if lossy {
            notes.push("bytes that are not UTF-8 are shown as \u{fffd}".to_owned());
        }
        let mut answer = Answer::text(text).note(&notes);
        if self.more {
            answer = answer.link(file_link(root, path, "text/plain", bytes));
        }
        answer
    }
}

/// Reads one line with its end, of which at most [`MAX_LINE`] bytes and some more are kept. Its whole length; zero at the
/// end.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>, stop: &Stop) -> io::Result<u64> {
    let mut length = 0;
    loop {
        stop.check_io()?;
        let available = reader.fill_buf()?;
        if available.is_empty() {
            return Ok(length);
        }
        let end = memchr::memchr(b'\n', available);
        let used = end.map_or(available.len(), |at| at + 1);
        let kept = used.min((MAX_LINE + 1).saturating_sub(line.len()));
        line.extend_from_slice(&available[..kept]);
        reader.consume(used);
        length += used as u64;
        if end.is_some() {
            return Ok(length);
        }
    }
}

/// Passes over at most `most` lines; how many there were. A last line without an end counts.
fn skip_lines(reader: &mut impl BufRead, most: u64, stop: &Stop) -> io::Result<u64> {
    let (mut lines, mut open) = (0, false);
    while lines < most {
        stop.check_io()?;
        let available = reader.fill_buf()?;
        if available.is_empty() {
            return Ok(lines + u64::from(open));
        }
        let left = usize::try_from(most - lines).unwrap_or(usize::MAX);
        let mut used = available.len();
        let mut found = 0;
        for at in memchr::memchr_iter(b'\n', available).take(left) {
            found += 1;
            if found == left {
                used = at + 1;
            }
        }
        open = available[used - 1] != b'\n';
        lines += found as u64;
        reader.consume(used);
    }
    Ok(lines)
}

fn picture(head: &[u8]) -> Option<&'static str> {
    match head {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

fn show_picture(
    root: &Root,
    path: &RelPath,
    file: File,
    head: &[u8],
    kind: &'static str,
    bytes: u64,
) -> io::Result<Answer> {
    let mut data = head.to_vec();
    file.take(MAX_PICTURE + 1 - head.len() as u64).read_to_end(&mut data)?;
    if data.len() as u64 > MAX_PICTURE {
        let words = format!("{path}: {kind} of {bytes} bytes, too large to be shown");
        return Ok(Answer::text(words).link(file_link(root, path, kind, bytes)));
    }
    let image = ContentBlock::image(base64::engine::general_purpose::STANDARD.encode(&data), kind);
    Ok(Answer::text(format!("{path}: {kind} of {bytes} bytes")).block(image))
}

/// What a file is that cannot be shown.
fn binary(root: &Root, path: &RelPath, head: &[u8], bytes: u64) -> Answer {
    let shown = head.len().min(DUMPED);
    let hex: Vec<String> = head[..shown].iter().map(|byte| format!("{byte:02x}")).collect();
    let words = format!(
        "{path}: binary file of {bytes} bytes, beginning with {}\n[look into it with run_command: file, xxd, strings]",
        hex.join(" ")
    );
    Answer::text(words).link(file_link(root, path, "application/octet-stream", bytes))
}
