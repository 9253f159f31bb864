//! What is too long for an answer: it is kept as a file of the workspace, and the answer says where.

use std::fs::File;
use std::io::Write;

use rustix::fs::{AtFlags, Dir, OFlags, statat};

use crate::answer::{Answer, MAX_TEXT, file_link};
use crate::files::state_dir;
use crate::root::{RelPath, Root, STATE_DIR};

/// Where such files are.
const PLACE: &str = "answers";
/// Files that are kept, and bytes of them all; the oldest go first.
const KEPT: usize = 50;
const KEPT_BYTES: u64 = 512 << 20;
/// No file is longer.
pub const MAX_FILE: u64 = 64 << 20;

/// A file that is made when something is written to it.
#[derive(Debug)]
pub struct Kept<'a> {
    root: &'a Root,
    name: String,
    open: Option<(File, RelPath)>,
    bytes: u64,
    /// It could not be made or written, or is full.
    ended: bool,
}

impl<'a> Kept<'a> {
    /// Nothing yet. `name`: what it is, with a suffix.
    pub fn new(root: &'a Root, name: &str) -> Self {
        Self { root, name: name.to_owned(), open: None, bytes: 0, ended: false }
    }

    /// Adds bytes; false when no more are taken. A workspace that cannot be written keeps nothing: then the answer has
    /// what fits and says how to go on.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        if self.ended || self.bytes + bytes.len() as u64 > MAX_FILE {
            self.ended = true;
            return false;
        }
        if self.open.is_none() {
            self.open = make(self.root, &self.name);
        }
        let written = self.open.as_mut().is_some_and(|(file, _)| file.write_all(bytes).is_ok());
        self.bytes += bytes.len() as u64;
        self.ended = !written;
        written
    }

    /// Where it is and how long; none when nothing was kept.
    pub fn finish(self) -> Option<KeptFile> {
        let whole = !self.ended;
        self.open.map(|(_, path)| KeptFile { path, bytes: self.bytes, whole })
    }
}

/// A file with what was too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFile {
    /// Where it is.
    pub path: RelPath,
    /// How long it is.
    pub bytes: u64,
    /// Whether it has everything.
    pub whole: bool,
}

impl KeptFile {
    /// In words.
    pub fn words(&self) -> String {
        let what = if self.whole { "all of it is" } else { "the beginning is" };
        format!("{what} in {}", self.path)
    }

    /// Adds the link to an answer.
    pub fn link(&self, root: &Root, answer: Answer, kind: &str) -> Answer {
        answer.link(file_link(root, &self.path, kind, self.bytes)).fact("path", self.path.to_string())
    }
}

fn make(root: &Root, name: &str) -> Option<(File, RelPath)> {
    let place = state_dir(root, PLACE).ok()?;
    make_room(&place);
    let now = chrono::Utc::now().format("%Y%m%d-%H%M%S");
    (0..1000).find_map(|attempt| {
        let path = RelPath::own(STATE_DIR).join(PLACE).join(format!("{now}-{attempt:03}-{name}"));
        let fd = root.create(&path, OFlags::WRONLY | OFlags::EXCL).ok()?;
        Some((File::from(fd), path))
    })
}

/// Removes the oldest files, whose names begin with their time.
fn make_room(place: &std::os::fd::OwnedFd) {
    let Ok(dir) = rustix::fs::openat(place, ".", OFlags::RDONLY | OFlags::DIRECTORY, 0.into()) else {
        return;
    };
    let Ok(mut entries) = Dir::read_from(&dir) else { return };
    let mut found = Vec::new();
    while let Some(Ok(entry)) = entries.read() {
        let name = entry.file_name().to_owned();
        let Ok(stat) = statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if !matches!(name.to_bytes(), b"." | b"..") {
            found.push((name, u64::try_from(stat.st_size).unwrap_or_default()));
        }
    }
    found.sort_unstable();
    let (mut count, mut bytes) = (0, 0);
    for (name, size) in found.iter().rev() {
        count += 1;
        bytes += size;
        if count >= KEPT || bytes > KEPT_BYTES {
            // What cannot be removed is tried again with the next answer.
            let _ = rustix::fs::unlinkat(&dir, name, AtFlags::empty());
        }
    }
}

/// A long text, of which an answer has the bytes from `offset` on. Where an answer begins at the beginning, a text that is
/// longer is kept whole.
#[derive(Debug)]
pub struct Page<'a> {
    root: &'a Root,
    text: String,
    offset: u64,
    /// Bytes of the whole so far.
    seen: u64,
    full: bool,
    kept: Option<Kept<'a>>,
}

impl<'a> Page<'a> {
    /// Nothing yet.
    pub fn new(root: &'a Root, name: &str, offset: u64) -> Self {
        let kept = (offset == 0).then(|| Kept::new(root, name));
        Self { root, text: String::new(), offset, seen: 0, full: false, kept }
    }

    /// Adds text; false when the rest is of no use.
    pub fn push(&mut self, text: &str) -> bool {
        let begin = usize::try_from(self.offset.saturating_sub(self.seen)).unwrap_or(usize::MAX);
        self.seen += text.len() as u64;
        let begin = (begin.min(text.len())..=text.len()).find(|at| text.is_char_boundary(*at));
        let rest = &text[begin.unwrap_or(text.len())..];
        if self.full {
            return self.keep(text);
        }
        if self.text.len() + rest.len() <= MAX_TEXT {
            self.text.push_str(rest);
            return true;
        }
        self.full = true;
        let whole = self.text.clone() + rest;
        self.text.push_str(&rest[..cut(rest, MAX_TEXT - self.text.len())]);
        self.keep(&whole)
    }

    fn keep(&mut self, text: &str) -> bool {
        self.kept.as_mut().is_some_and(|kept| kept.write(text.as_bytes()))
    }

    /// As an answer to a call that cannot be repeated for the next page.
    pub fn answer_of_file(self, notes: Vec<String>, kind: &str) -> Answer {
        self.told(notes, kind, |end, kept| match kept {
            Some(_) => format!("the first {end} bytes are shown: read_file has the rest"),
            None => format!("the first {end} bytes are shown"),
        })
    }

    /// As an answer.
    pub fn answer(self, notes: Vec<String>, kind: &str) -> Answer {
        let begin = self.offset;
        let seen = self.seen;
        self.told(notes, kind, |end, kept| {
            let all = kept.filter(|kept| kept.whole).map(|_| format!(" of {seen}")).unwrap_or_default();
            format!("bytes {begin}-{end}{all}: go on with offset={end}")
        })
    }

    fn told(
        self,
        mut notes: Vec<String>,
        kind: &str,
        words: impl Fn(u64, Option<&KeptFile>) -> String,
    ) -> Answer {
        let end = self.offset + self.text.len() as u64;
        let kept = self.kept.and_then(Kept::finish);
        if self.full {
            notes.push(words(end, kept.as_ref()));
            notes.extend(kept.as_ref().map(KeptFile::words));
        }
        let answer = Answer::text(self.text).note(&notes);
        let answer = if self.full { answer.fact("next_offset", end) } else { answer };
        match &kept {
            Some(kept) => kept.link(self.root, answer, kind),
            None => answer,
        }
    }
}

/// Where to cut a text that is longer than `max`: after a line where one ends near, else after a character.
fn cut(text: &str, max: usize) -> usize {
    let end = (0..=max.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..end].rfind('\n').map(|at| at + 1).filter(|at| *at > end / 2).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_shown_in_pages_and_kept_whole() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path()).unwrap();
        let line = |n: usize| format!("{n} {}\n", "ü".repeat(n % 50));
        let whole: String = (0..3000).map(line).collect();
        let (mut joined, mut offset, mut path) = (String::new(), 0, None);
        loop {
            let mut page = Page::new(&root, "test.txt", offset);
            for n in 0..3000 {
                if !page.push(&line(n)) {
                    break;
                }
            }
            joined.push_str(&page.text);
            let Answer::Text { facts, .. } = page.answer(Vec::new(), "text/plain") else {
                panic!("it is text")
            };
            path = path.or_else(|| facts.get("path").and_then(|path| path.as_str().map(str::to_owned)));
            match facts.get("next_offset").and_then(serde_json::Value::as_u64) {
                Some(next) => offset = next,
                None => break,
            }
        }
        assert_eq!(joined.len(), whole.len());
        assert!(joined == whole);
        assert_eq!(std::fs::read_to_string(dir.path().join(path.unwrap())).unwrap(), whole);
    }

    #[test]
    fn only_the_newest_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path()).unwrap();
        for _ in 0..KEPT + 5 {
            let mut kept = Kept::new(&root, "x");
            assert!(kept.write(b"x"));
            assert!(kept.finish().unwrap().whole);
        }
        assert_eq!(std::fs::read_dir(dir.path().join(STATE_DIR).join(PLACE)).unwrap().count(), KEPT);
    }

    #[test]
    fn a_workspace_that_cannot_be_written_keeps_nothing_and_says_nothing_of_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(STATE_DIR), "in the way").unwrap();
        let root = Root::new(dir.path()).unwrap();
        let mut page = Page::new(&root, "x", 0);
        assert!(!page.push(&"x".repeat(MAX_TEXT + 1)));
        let Answer::Text { facts, .. } = page.answer(Vec::new(), "text/plain") else { panic!("it is text") };
        assert!(facts.contains_key("next_offset") && !facts.contains_key("path"), "{facts:?}");
    }
}
