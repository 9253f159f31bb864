//! Text for models: cut at characters, head and tail of what is too long, terminal output made plain.

/// The beginning of a text, at most `max` bytes, ending at a character.
pub fn shorten(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// What a terminal would show of some output, as lines: without colours and other control sequences, and of a line that
/// was written over again and again only the last.
pub fn plain(bytes: &[u8]) -> String {
    let mut lines = Lines::default();
    vte::Parser::new().advance(&mut lines, bytes);
    lines.text
}

#[derive(Default)]
struct Lines {
    text: String,
    /// Where the last line begins.
    line: usize,
    /// The next character begins the line anew.
    returned: bool,
}

impl vte::Perform for Lines {
    fn print(&mut self, c: char) {
        if std::mem::take(&mut self.returned) {
            self.text.truncate(self.line);
        }
        self.text.push(c);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\n' => {
                self.returned = false;
                self.text.push('\n');
                self.line = self.text.len();
            }
            b'\r' => self.returned = true,
            b'\t' => self.print('\t'),
            0x08 if self.text.len() > self.line => drop(self.text.pop()),
            _ => {}
        }
    }
}

/// A number with its noun.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Bytes in words.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1000.0, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 9.95 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_at_characters() {
        assert_eq!((shorten("aüb", 2), shorten("aüb", 3), shorten("aüb", 9)), ("a", "aü", "aüb"));
    }

    #[test]
    fn output_is_made_plain() {
        for (output, want) in [
            ("a\tb\r\nc", "a\tb\nc"),
            ("\x1b[1;31mred\x1b[0m \x1b]0;title\x07\x1b(Bü", "red ü"),
            ("10%\r50%\r100%\ndone\r", "100%\ndone"),
            ("ab\x08c\x00\x07", "ac"),
            ("\x1b[", ""),
        ] {
            assert_eq!(plain(output.as_bytes()), want, "{output:?}");
        }
        assert_eq!(plain(b"a\xffb"), "a\u{fffd}b");
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, want) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (12_345, "12 kB"),
            (999_900, "1.0 MB"),
            (7 << 40, "7.7 TB"),
        ] {
            assert_eq!(human(bytes), want);
        }
    }
}
