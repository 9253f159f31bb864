//! The daemon's log file: rotation before a start, and its end for error messages.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use sandboxed_domain::api::ApiError;

use super::files::file_error;

/// A log beyond this is set aside at the next start.
const ROTATE_ABOVE: u64 = 10 << 20;
/// So many older ones are kept.
const KEEP: u32 = 3;

/// Opens the log for appending, after setting a large one aside.
pub(super) fn open_log(path: &Path) -> Result<File, ApiError> {
    if fs::metadata(path).is_ok_and(|m| m.len() > ROTATE_ABOVE) {
        rotate(path).map_err(|e| file_error(path, &e))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(|e| file_error(path, &e))
}

fn rotate(path: &Path) -> std::io::Result<()> {
    for number in (1..KEEP).rev() {
        let from = numbered(path, number);
        if from.exists() {
            fs::rename(from, numbered(path, number + 1))?;
        }
    }
    fs::rename(path, numbered(path, 1))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// The last `bytes` of a log from `start` on, cut to whole lines; empty when there is none.
pub fn log_tail(path: &Path, start: u64, bytes: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let from = start.max(file.metadata()?.len().saturating_sub(bytes));
        file.seek(SeekFrom::Start(from))?;
        let mut text = Vec::new();
        file.take(bytes).read_to_end(&mut text)?;
        if from > start {
            let line = text.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
            text.drain(..line);
        }
        Ok(text)
    };
    read().map(|text| String::from_utf8_lossy(&text).trim_end().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_large_logs_are_kept_and_a_small_one_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.log");
        for round in 0..5u64 {
            open_log(&path).unwrap().set_len(ROTATE_ABOVE + 1 + round).unwrap();
        }
        let sizes: Vec<_> =
            (1..=4).map(|n| fs::metadata(numbered(&path, n)).map(|m| m.len() - ROTATE_ABOVE).ok()).collect();
        assert_eq!(sizes, [Some(4), Some(3), Some(2), None]);
        fs::write(&path, "kept").unwrap();
        drop(open_log(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
    }

    #[test]
    fn the_tail_starts_at_a_line_and_after_the_given_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.log");
        fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(log_tail(&path, 0, 100), "one\ntwo\nthree");
        assert_eq!(log_tail(&path, 0, 8), "three");
        assert_eq!(log_tail(&path, 4, 100), "two\nthree");
        assert_eq!(log_tail(&dir.path().join("none"), 0, 9), "");
    }
}
