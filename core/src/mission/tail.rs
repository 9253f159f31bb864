//! Reading a growing file in pieces that end where a line ends, so that an offset is always a safe place to go on.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes read at once.
pub(super) const CHUNK: usize = 256 * 1024;
/// A protocol line longer than this is taken as it is, in pieces.
const MAX_LINE: usize = 16 * 1024 * 1024;
/// A line of plain text longer than this is taken in pieces.
const MAX_TEXT_LINE: usize = 64 * 1024;

/// A piece of output: its text and how many bytes of the file it stands for.
pub(super) struct Piece {
    pub text: String,
    pub bytes: u64,
}

/// Reads the next piece at `offset`; none when there is no whole line yet. At the `end` the rest counts as a line.
pub(super) fn read_piece(
    path: &Path,
    offset: u64,
    protocol: bool,
    end: bool,
) -> std::io::Result<Option<Piece>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(offset))?;
    let longest = if protocol { MAX_LINE } else { MAX_TEXT_LINE };
    let mut bytes = Vec::new();
    let mut wanted = CHUNK;
    loop {
        let before = bytes.len();
        (&mut file).take((wanted - before) as u64).read_to_end(&mut bytes)?;
        let at_end_of_file = bytes.len() < wanted;
        if let Some(length) = complete(&bytes, longest, end && at_end_of_file) {
            bytes.truncate(length);
            return Ok((length > 0).then(|| Piece {
                text: String::from_utf8_lossy(&bytes).into_owned(),
                bytes: length as u64,
            }));
        }
        if at_end_of_file {
            return Ok(None);
        }
        wanted *= 2;
    }
}

/// How much of `bytes` can be taken: up to the last line break, all at the end, or a piece of an overlong line.
fn complete(bytes: &[u8], longest: usize, end: bool) -> Option<usize> {
    if end {
        return Some(bytes.len());
    }
    if let Some(position) = bytes.iter().rposition(|byte| *byte == b'\n') {
        return Some(position + 1);
    }
    (bytes.len() >= longest).then(|| boundary(bytes))
}

/// The last place that does not cut a UTF-8 character.
fn boundary(bytes: &[u8]) -> usize {
    let tail = bytes.len().saturating_sub(4);
    (tail..=bytes.len())
        .rev()
        .find(|at| bytes.get(*at).is_none_or(|b| b & 0xC0 != 0x80) && whole(bytes, *at))
        .unwrap_or(bytes.len())
}

fn whole(bytes: &[u8], at: usize) -> bool {
    let start = at.saturating_sub(4);
    let Some(piece) = bytes.get(start..at) else { return true };
    match std::str::from_utf8(piece) {
        Ok(_) => true,
        // Only an unfinished character at the very end is a reason to cut earlier.
        Err(error) => error.error_len().is_some(),
    }
}

/// The last `max` bytes of a file as text, from a character boundary; empty when there is no file.
pub(super) fn tail_text(path: &Path, max: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(max)))?;
        let mut bytes = Vec::new();
        file.take(max).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let skip = bytes.iter().take(4).take_while(|byte| **byte & 0xC0 == 0x80).count();
    String::from_utf8_lossy(bytes.get(skip..).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn takes_whole_lines_only_until_the_end() {
        let file = file(b"one\ntwo\nthr");
        let piece = read_piece(file.path(), 0, true, false).unwrap().unwrap();
        assert_eq!((piece.text.as_str(), piece.bytes), ("one\ntwo\n", 8));
        assert!(read_piece(file.path(), 8, true, false).unwrap().is_none());
        let rest = read_piece(file.path(), 8, true, true).unwrap().unwrap();
        assert_eq!((rest.text.as_str(), rest.bytes), ("thr", 3));
        assert!(read_piece(file.path(), 11, true, true).unwrap().is_none());
    }

    #[test]
    fn an_overlong_text_line_is_cut_between_characters_and_nothing_is_lost() {
        let text = "é".repeat(MAX_TEXT_LINE);
        let file = file(&text.as_bytes()[1..]);
        let (mut offset, mut seen) = (0, String::new());
        while let Some(piece) = read_piece(file.path(), offset, false, true).unwrap() {
            offset += piece.bytes;
            seen.push_str(&piece.text);
        }
        assert_eq!(offset, text.len() as u64 - 1);
        assert_eq!(seen.matches('\u{fffd}').count(), 1, "only the first, broken one");
        assert_eq!(seen.matches('é').count(), MAX_TEXT_LINE - 1);
    }

    #[test]
    fn a_long_protocol_line_waits_for_its_end() {
        let mut line = vec![b'x'; CHUNK * 3];
        let open = file(&line);
        assert!(read_piece(open.path(), 0, true, false).unwrap().is_none());
        line.push(b'\n');
        let closed = file(&line);
        assert_eq!(read_piece(closed.path(), 0, true, false).unwrap().unwrap().bytes, line.len() as u64);
    }

    #[test]
    fn a_tail_is_bounded_and_a_missing_file_is_empty() {
        let file = file("aé".repeat(100).as_bytes());
        assert_eq!(tail_text(file.path(), 5), "éaé".to_owned());
        assert_eq!(tail_text(Path::new("/nonexistent/file"), 5), "");
    }
}
