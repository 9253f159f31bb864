//! What a terminal shows: its output, interpreted by an emulator. The emulator of a job is kept and goes on where it was,
//! so that looking again costs what was written since.

use std::fmt;
use std::fs::File;
use std::io;
use std::num::NonZeroU16;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use sandbox_runner::protocol::Output;

use super::store::{JobDir, Record};
use crate::error::{Problem, Result};

/// Emulators that are kept.
const KEPT: usize = 8;
/// Of a longer output only the end is interpreted at first.
const MOST_AT_FIRST: u64 = 8 << 20;
const CHUNK: usize = 64 << 10;

/// The emulators.
#[derive(Clone, Default)]
pub struct Screens(Arc<Mutex<Vec<Emulator>>>);

impl fmt::Debug for Screens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Screens")
    }
}

struct Emulator {
    id: String,
    offset: u64,
    parser: vt100::Parser,
}

/// A screen.
#[derive(Debug, PartialEq, Eq)]
pub struct Screen {
    /// Its lines, without blanks at the end.
    pub text: String,
    /// Size and cursor.
    pub note: String,
}

impl Screens {
    /// The screen of a job with a terminal.
    ///
    /// # Errors
    /// When its output cannot be read.
    pub async fn of(&self, (dir, record): (JobDir, Record)) -> Result<Screen> {
        let Output::Terminal { rows, cols } = record.metadata.options.output else {
            return Err(Problem::invalid("view", "the job has no terminal"));
        };
        let screens = self.clone();
        let look = move || {
            let mut kept = screens.0.lock().unwrap_or_else(PoisonError::into_inner);
            let at = kept.iter().position(|emulator| emulator.id == dir.id);
            let mut emulator = at.map_or_else(
                || Emulator { id: dir.id.clone(), offset: 0, parser: emulator(rows, cols) },
                |at| kept.remove(at),
            );
            let read =
                emulator.go_on(&dir).map_err(|error| Problem::system("read", dir.output().display(), error));
            let screen = show(emulator.parser.screen());
            // The last one looked at is the last one forgotten.
            kept.push(emulator);
            if kept.len() > KEPT {
                kept.remove(0);
            }
            read.map(|()| screen)
        };
        tokio::task::spawn_blocking(look).await.map_err(Problem::internal)?
    }
}

impl Emulator {
    fn go_on(&mut self, dir: &JobDir) -> io::Result<()> {
        let file = File::open(dir.output())?;
        let length = file.metadata()?.len();
        self.offset = self.offset.max(length.saturating_sub(MOST_AT_FIRST));
        let mut chunk = vec![0; CHUNK];
        while self.offset < length {
            let count = file.read_at(&mut chunk, self.offset)?;
            if count == 0 {
                break;
            }
            self.parser.process(&chunk[..count]);
            self.offset += count as u64;
        }
        Ok(())
    }
}

fn emulator(rows: u16, cols: u16) -> vt100::Parser {
    let size = |asked| NonZeroU16::new(asked).unwrap_or(NonZeroU16::MIN);
    vt100::Parser::new(size(rows), size(cols), 0)
}

fn show(screen: &vt100::Screen) -> Screen {
    let (rows, cols) = screen.size();
    let lines: Vec<String> = screen.rows(0, cols.get()).map(|line| line.trim_end().to_owned()).collect();
    let used = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |at| at + 1);
    let (row, col) = screen.cursor_position();
    let hidden = if screen.hide_cursor() { " (hidden)" } else { "" };
    Screen {
        text: lines[..used].join("\n"),
        note: format!(
            "terminal of {rows} rows and {cols} columns, cursor in row {} column {}{hidden}",
            row + 1,
            col + 1
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_what_is_seen_of_it() {
        let mut parser = emulator(4, 20);
        parser.process(b"one\r\ntwo\x1b[2;1HTWO \x1b[1mbold\x1b[0m\x1b[1;1H");
        let screen = show(parser.screen());
        assert_eq!(screen.text, "one\nTWO bold");
        assert_eq!(screen.note, "terminal of 4 rows and 20 columns, cursor in row 1 column 1");
        parser.process(b"\x1b[?1049h\x1b[?25l\x1b[3;3H\xe2\x82\xac");
        let screen = show(parser.screen());
        assert_eq!(screen.text, "\n\n  €");
        assert!(screen.note.ends_with("row 3 column 4 (hidden)"), "{}", screen.note);
    }
}
