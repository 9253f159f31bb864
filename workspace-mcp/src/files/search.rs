//! `search_files`: the lines that match, by ripgrep's own searcher. Files are walked in order and several threads count
//! their matches; those of the page are then read once more. So a page is the same each time, and however much matches,
//! no more than a page of it is held.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use grep_matcher::LineTerminator;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkContext, SinkMatch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::list::{Glob, glob};
use super::open::open_file;
use super::walk::{Kind, Walk};
use crate::answer::{Answer, MAX_TEXT};
use crate::error::{Code, Problem, Result};
use crate::large::Kept;
use crate::root::{RelPath, Root};
use crate::stop::Stop;
use crate::text::{count, shorten};

const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 10_000;
const MAX_CONTEXT: u64 = 10;
/// A compiled expression is no larger, in bytes: searching costs as much for each byte of text as the expression has
/// states.
const MAX_EXPRESSION: usize = 2 << 20;
/// Longer lines make a file count as not searchable.
const MAX_BUFFERED: usize = 8 << 20;
/// Bytes shown of a line.
const SHOWN: usize = 400;
/// Files counted before their matches are told.
const BATCH: usize = 256;
const MAX_THREADS: usize = 8;

/// What is told of the matches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SearchMode {
    /// The lines.
    #[default]
    Content,
    /// The files that have one.
    Files,
    /// How many lines each file has.
    Count,
}

/// Parameters of `search_files`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchParams {
    /// Regular expression (Rust syntax, as in ripgrep), matched line by line.
    pub pattern: String,
    /// File or directory; default the whole workspace.
    #[serde(default)]
    pub path: String,
    /// Only files that match this glob, such as `*.rs` or `src/**`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub glob: Option<String>,
    /// content (default): lines with numbers; files: paths only; count: matching lines of each file.
    #[serde(default)]
    pub mode: SearchMode,
    /// Treat the pattern as plain text; default false.
    #[serde(default)]
    pub literal: bool,
    /// Upper and lower case are the same; default false.
    #[serde(default)]
    pub ignore_case: bool,
    /// Lines around each match; default 0, at most 10.
    #[serde(default)]
    pub context: u64,
    /// Most matches (or files); default 100, at most 10000. Those that do not fit into the answer are in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub limit: Option<u64>,
    /// Matches (or files) to leave out at the beginning, for the next page.
    #[serde(default)]
    pub offset: u64,
    /// Search what .gitignore excludes too; default false.
    #[serde(default)]
    pub include_ignored: bool,
}

/// Searches files.
///
/// # Errors
/// `bad_pattern`, `not_found`, `invalid_argument`.
pub fn search_files(root: &Root, params: &SearchParams, stop: &Stop) -> Result<Answer> {
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid("limit", format!("limit is 1 to {MAX_LIMIT}")));
    }
    if params.context > MAX_CONTEXT {
        return Err(Problem::invalid("context", format!("context is at most {MAX_CONTEXT}")));
    }
    let path = root.relative("path", &params.path)?;
    let path = root.real(&path).map_err(|errno| Problem::system("search", &path, errno).field("path"))?;
    let search = Search {
        root,
        matcher: matcher(params)?,
        context: usize::try_from(params.context).unwrap_or_default(),
        mode: params.mode,
        stop,
    };
    let mut report = Report::new(root, params, limit);
    let glob = params.glob.as_deref().map(|pattern| self::glob("glob", pattern)).transpose()?;
    match search.all(&path, params.include_ignored, glob.as_ref(), &mut report) {
        Err(problem) if problem.code == Code::TimedOut => {
            report.notes.push("the search took too long and was ended: give a path or a glob".to_owned());
        }
        result => result?,
    }
    Ok(report.answer())
}

fn matcher(params: &SearchParams) -> Result<RegexMatcher> {
    if params.pattern.is_empty() {
        return Err(Problem::invalid("pattern", "the pattern is empty"));
    }
    let built = RegexMatcherBuilder::new()
        .case_insensitive(params.ignore_case)
        .fixed_strings(params.literal)
        .line_terminator(Some(b'\n'))
        .size_limit(MAX_EXPRESSION)
        .dfa_size_limit(MAX_EXPRESSION)
        .build(&params.pattern);
    built.map_err(|error| Problem::new(Code::BadPattern, shorten(&error.to_string(), 500)).field("pattern"))
}

struct Search<'a> {
    root: &'a Root,
    matcher: RegexMatcher,
    context: usize,
    mode: SearchMode,
    stop: &'a Stop,
}

impl Search<'_> {
    fn all(&self, path: &RelPath, ignored: bool, glob: Option<&Glob>, report: &mut Report<'_>) -> Result<()> {
        let mut walk = match Walk::new(self.root, path, ignored, self.stop) {
            Ok(walk) => walk,
            Err(problem) if problem.code == Code::NotADirectory => {
                open_file(self.root, path)?;
                return self.batch(std::slice::from_ref(path), report);
            }
            Err(problem) => return Err(problem),
        };
        let mut batch = Vec::with_capacity(BATCH);
        // A small first batch tells soon whether the page is full already.
        let mut size = BATCH / 8;
        loop {
            let next = walk.next()?;
            let more = next.is_some();
            if let Some(entry) = next {
                let below = entry.path.as_path().strip_prefix(path.as_path()).unwrap_or(entry.path.as_path());
                let wanted = glob.is_none_or(|glob| glob.wants(below, false));
                if entry.kind == Kind::File && wanted {
                    batch.push(entry.path);
                }
            }
            if batch.len() >= size || !more {
                self.batch(&batch, report)?;
                batch.clear();
                size = BATCH;
            }
            if !more || report.more {
                report.left_out += walk.left_out;
                return Ok(());
            }
        }
    }

    /// Counts with several threads, then tells in order.
    fn batch(&self, paths: &[RelPath], report: &mut Report<'_>) -> Result<()> {
        // No file needs to be counted beyond what leaves the page full.
        let enough = match self.mode {
            SearchMode::Content => report.wanted() + 1,
            SearchMode::Files => 1,
            SearchMode::Count => u64::MAX,
        };
        let counts = self.count(paths, enough);
        self.stop.check()?;
        for (path, count) in paths.iter().zip(counts) {
            if report.more {
                return Ok(());
            }
            match count {
                None => report.failed += 1,
                Some(0) => {}
                Some(count) => self.tell(path, count, report)?,
            }
        }
        Ok(())
    }

    /// Matching lines of each file, at most `enough`; none where a file cannot be searched.
    fn count(&self, paths: &[RelPath], enough: u64) -> Vec<Option<u64>> {
        let threads =
            std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS).min(paths.len());
        let next = AtomicUsize::new(0);
        let mut counts = vec![None; paths.len()];
        std::thread::scope(|scope| {
            let (send, receive) = mpsc::channel();
            for _ in 0..threads {
                let (send, next) = (send.clone(), &next);
                scope.spawn(move || {
                    let mut searcher = self.searcher(0);
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(path) = paths.get(index) else { return };
                        let mut count = Count { count: 0, enough };
                        let searched = self.search(&mut searcher, path, &mut count);
                        if self.stop.check().is_err()
                            || send.send((index, searched.then_some(count.count))).is_err()
                        {
                            return;
                        }
                    }
                });
            }
            drop(send);
            for (index, count) in receive {
                counts[index] = count;
            }
        });
        counts
    }

    fn tell(&self, path: &RelPath, count: u64, report: &mut Report<'_>) -> Result<()> {
        match self.mode {
            SearchMode::Files => report.push(&format!("{path}\n")),
            SearchMode::Count => report.push(&format!("{path}: {count}\n")),
            SearchMode::Content if count <= report.skip => report.skip -= count,
            SearchMode::Content => {
                let mut lines = Lines { path, report, before: Vec::new(), headed: false };
                self.search(&mut self.searcher(self.context), path, &mut lines);
                lines.finish();
                self.stop.check()?;
            }
        }
        Ok(())
    }

    fn searcher(&self, context: usize) -> Searcher {
        SearcherBuilder::new()
            .line_terminator(LineTerminator::byte(b'\n'))
            .line_number(self.mode == SearchMode::Content)
            .before_context(context)
            .after_context(context)
            .binary_detection(BinaryDetection::quit(0))
            .heap_limit(Some(MAX_BUFFERED))
            .build()
    }

    /// Whether the file could be searched: it may be gone in the meantime, or not for this user.
    fn search(&self, searcher: &mut Searcher, path: &RelPath, sink: impl Sink<Error = io::Error>) -> bool {
        let Ok((file, _)) = open_file(self.root, path) else { return false };
        searcher.search_reader(&self.matcher, Stoppable { file, stop: self.stop }, sink).is_ok()
    }
}

/// A file that cannot be read any more when it is time to stop.
struct Stoppable<'a> {
    file: std::fs::File,
    stop: &'a Stop,
}

impl Read for Stoppable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Not the kind that readers take as a reason to try again.
        self.stop.check().map_err(|_| io::ErrorKind::TimedOut)?;
        self.file.read(buffer)
    }
}

struct Count {
    count: u64,
    enough: u64,
}

impl Sink for Count {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, _: &SinkMatch<'_>) -> io::Result<bool> {
        self.count += 1;
        Ok(self.count < self.enough)
    }
}

/// Writes the lines of one file into the page.
struct Lines<'a, 'r> {
    path: &'a RelPath,
    report: &'a mut Report<'r>,
    /// Context that belongs to a match before it, if that is shown, or to the next one.
    before: Vec<String>,
    headed: bool,
}

impl Lines<'_, '_> {
    fn words(number: Option<u64>, mark: char, bytes: &[u8]) -> String {
        let whole = String::from_utf8_lossy(bytes);
        let whole = whole.trim_end_matches(['\n', '\r']);
        let text = shorten(whole, SHOWN);
        let cut = if text.len() < whole.len() { " …" } else { "" };
        format!("{}{mark}{text}{cut}\n", number.unwrap_or_default())
    }

    /// What follows the last match.
    fn finish(self) {
        if self.headed && !self.report.more {
            self.report.follow(&self.before.concat());
        }
    }
}

impl Sink for Lines<'_, '_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        let before = std::mem::take(&mut self.before).concat();
        if self.report.skip > 0 {
            self.report.skip -= 1;
            return Ok(true);
        }
        let words = Self::words(found.line_number(), ':', found.bytes());
        let blank = if self.report.text.is_empty() { "" } else { "\n" };
        let head = if self.headed { String::new() } else { format!("{blank}{}\n", self.path) };
        self.report.push(&format!("{head}{before}{words}"));
        self.report.files += u64::from(!self.headed && !self.report.more);
        self.headed = true;
        Ok(!self.report.more)
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        self.before.push(Self::words(context.line_number(), '-', context.bytes()));
        Ok(true)
    }

    fn context_break(&mut self, _: &Searcher) -> io::Result<bool> {
        if self.headed {
            self.before.push("--\n".to_owned());
        }
        Ok(true)
    }
}

/// The page of the answer; what does not fit into it goes into a file, up to the limit.
struct Report<'a> {
    root: &'a Root,
    kept: Kept<'a>,
    text: String,
    mode: SearchMode,
    limit: u64,
    offset: u64,
    skip: u64,
    shown: u64,
    /// Matches or files that are only in the file.
    beyond: u64,
    files: u64,
    failed: u64,
    more: bool,
    left_out: usize,
    notes: Vec<String>,
}

impl<'a> Report<'a> {
    fn new(root: &'a Root, params: &SearchParams, limit: u64) -> Self {
        Self {
            root,
            kept: Kept::new(root, "search.txt"),
            text: String::new(),
            mode: params.mode,
            limit,
            offset: params.offset,
            skip: params.offset,
            shown: 0,
            beyond: 0,
            files: 0,
            failed: 0,
            more: false,
            left_out: 0,
            notes: Vec::new(),
        }
    }

    /// Matches that are still to be passed over or shown.
    fn wanted(&self) -> u64 {
        self.skip.saturating_add(self.limit - self.shown - self.beyond)
    }

    /// Adds words that stand for one match or file, unless the page begins later or is full.
    fn push(&mut self, words: &str) {
        if self.skip > 0 {
            self.skip -= 1;
        } else if self.shown + self.beyond == self.limit {
            self.more = true;
        } else if self.beyond == 0 && self.text.len() + words.len() <= MAX_TEXT {
            self.text.push_str(words);
            self.shown += 1;
        } else if (self.beyond > 0 || self.kept.write(self.text.as_bytes()))
            && self.kept.write(words.as_bytes())
        {
            self.beyond += 1;
        } else {
            self.more = true;
        }
    }

    /// Adds words that belong to the last match.
    fn follow(&mut self, words: &str) {
        if self.beyond == 0 {
            self.text.push_str(words);
        } else {
            self.kept.write(words.as_bytes());
        }
    }

    fn answer(mut self) -> Answer {
        let files = |n| count(n, "file", "files");
        let what = match self.mode {
            SearchMode::Content => count(self.shown, "match", "matches"),
            SearchMode::Files | SearchMode::Count => files(self.shown),
        };
        let all = self.shown + self.beyond;
        let head = match (self.more || self.beyond > 0, self.shown, self.mode) {
            (true, shown, _) => {
                let next = self.offset + shown;
                let rest = if self.more { ", there are more".to_owned() } else { format!(" of {all}") };
                format!("{what} shown{rest}: go on with offset={next}, or narrow it down")
            }
            (false, 0, _) => "no matches".to_owned(),
            (false, _, SearchMode::Content) => format!("{what} in {}", files(self.files)),
            (false, ..) => what,
        };
        self.notes.insert(0, head);
        if self.failed > 0 {
            self.notes.push(format!("{} could not be searched", files(self.failed)));
        }
        if self.left_out > 0 {
            let places = count(self.left_out as u64, "directory", "directories");
            self.notes.push(format!("{places} could not be read"));
        }
        let kept = self.kept.finish();
        self.notes.extend(kept.as_ref().map(|kept| format!("{all} are in {}", kept.path)));
        let answer = Answer::text(self.text).note(&self.notes);
        match kept {
            Some(kept) => kept.link(self.root, answer, "text/plain"),
            None => answer,
        }
    }
}
