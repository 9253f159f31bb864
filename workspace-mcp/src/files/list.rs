//! `list_files`: a tree within a budget of lines, or the paths that match a glob.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::Path;

use ignore::overrides::{Override, OverrideBuilder};
use rustix::fs::{AtFlags, StatxFlags, readlinkat, statx};
use schemars::JsonSchema;
use serde::Deserialize;

use super::walk::{Entry, Kind, Walk, entries, rules_at};
use crate::answer::{Answer, MAX_TEXT};
use crate::error::{Code, Problem, Result};
use crate::large::{Kept, Page};
use crate::root::{RelPath, Root};
use crate::stop::Stop;
use crate::text::{count, human};

/// Lines when no limit is given, and the most.
const DEFAULT_LIMIT: u64 = 200;
const MAX_LIMIT: u64 = 20_000;
/// Entries of one directory in a tree that goes deeper, so that one large directory does not take all lines.
const MANY: usize = 50;

/// Parameters of `list_files`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListParams {
    /// Directory; default the workspace's own.
    pub path: String,
    /// Glob such as `*.rs` (at any depth) or `src/**/*.{ts,tsx}`; then matching paths are listed instead of a tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub pattern: Option<String>,
    /// Levels of the tree; default as many as fit, 1 for one directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32")]
    pub depth: Option<u32>,
    /// Most lines; default 200, at most 20000. Those that do not fit into the answer are in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub limit: Option<u64>,
    /// Lines to leave out at the beginning, for the next page; with pattern or depth 1.
    pub offset: u64,
    /// Show what .gitignore excludes too; default false.
    pub include_ignored: bool,
}

/// Lists files.
///
/// # Errors
/// `not_found`, `not_a_directory`, `bad_pattern`, `invalid_argument`.
pub fn list_files(root: &Root, params: &ListParams, stop: &Stop) -> Result<Answer> {
    let path = root.relative("path", &params.path)?;
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid("limit", format!("limit is 1 to {MAX_LIMIT}")));
    }
    let path = root.real(&path).map_err(|errno| Problem::system("list", &path, errno).field("path"))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if let Some(pattern) = &params.pattern {
        return matching(root, &path, pattern, params, limit, stop);
    }
    if params.depth == Some(1) {
        return one_directory(root, &path, params, limit);
    }
    if params.offset > 0 {
        return Err(Problem::invalid("offset", "a tree has no pages")
            .hint("list a directory of it with depth=1, or give a pattern"));
    }
    tree(root, &path, params, limit, stop)
}

/// A glob with the meaning that it has in `.gitignore`: without a slash it matches names at any depth.
///
/// # Errors
/// `bad_pattern`, which names `field`.
pub fn glob(field: &str, pattern: &str) -> Result<Glob> {
    let bad = |error: ignore::Error| {
        Problem::new(Code::BadPattern, format!("{field}: {error}"))
            .field(field)
            .hint("write a glob such as *.rs or src/**/*.{ts,tsx}")
    };
    if pattern.is_empty() || pattern.len() > 1000 {
        return Err(Problem::invalid(field, format!("{field} has 1 to 1000 bytes")));
    }
    let mut builder = OverrideBuilder::new("");
    builder.add(pattern).map_err(bad)?;
    builder.build().map(Glob).map_err(bad)
}

/// A glob, or with `!` before it all but what matches.
#[derive(Debug)]
pub struct Glob(Override);

impl Glob {
    /// Whether a path, relative to where the search begins, is wanted.
    pub fn wants(&self, path: &Path, is_dir: bool) -> bool {
        let found = self.0.matched(path, is_dir);
        found.is_whitelist() || (found.is_none() && self.0.num_whitelists() == 0)
    }
}

fn matching(
    root: &Root,
    path: &RelPath,
    pattern: &str,
    params: &ListParams,
    limit: usize,
    stop: &Stop,
) -> Result<Answer> {
    let glob = glob("pattern", pattern)?;
    let mut page = Lines::new(root, limit, params.offset);
    let mut walk = Walk::new(root, path, params.include_ignored, stop)?;
    loop {
        match walk.next() {
            Ok(Some(entry)) => {
                let below = entry.path.as_path().strip_prefix(path.as_path()).unwrap_or(entry.path.as_path());
                if glob.wants(below, entry.kind == Kind::Dir) && !page.push(|| show(&entry)) {
                    break;
                }
            }
            Ok(None) => break,
            Err(problem) if problem.code == Code::TimedOut => {
                page.notes.push("the walk took too long and was ended: give a path".to_owned());
                break;
            }
            Err(problem) => return Err(problem),
        }
    }
    if walk.left_out > 0 {
        page.notes
            .push(format!("{} could not be read", count(walk.left_out as u64, "directory", "directories")));
    }
    Ok(page.answer("nothing matches"))
}

fn show(entry: &Entry) -> String {
    let slash = if entry.kind == Kind::Dir { "/" } else { "" };
    format!("{}{slash}", entry.path)
}

/// Lines of one page; what does not fit into an answer goes into a file, up to the limit.
struct Lines<'a> {
    root: &'a Root,
    kept: Kept<'a>,
    text: String,
    limit: usize,
    skip: u64,
    offset: u64,
    shown: usize,
    /// Lines that are only in the file.
    beyond: usize,
    more: bool,
    notes: Vec<String>,
}

impl<'a> Lines<'a> {
    fn new(root: &'a Root, limit: usize, offset: u64) -> Self {
        Self {
            root,
            kept: Kept::new(root, "files.txt"),
            text: String::new(),
            limit,
            skip: offset,
            offset,
            shown: 0,
            beyond: 0,
            more: false,
            notes: Vec::new(),
        }
    }

    /// Adds a line; false when the page is full.
    fn push(&mut self, line: impl FnOnce() -> String) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return true;
        }
        if self.shown + self.beyond == self.limit {
            self.more = true;
            return false;
        }
        let line = line() + "\n";
        if self.beyond == 0 && self.text.len() + line.len() <= MAX_TEXT {
            self.text.push_str(&line);
            self.shown += 1;
            return true;
        }
        let kept =
            (self.beyond > 0 || self.kept.write(self.text.as_bytes())) && self.kept.write(line.as_bytes());
        self.beyond += usize::from(kept);
        self.more = !kept;
        kept
    }

    fn answer(mut self, nothing: &str) -> Answer {
        if self.more || self.beyond > 0 {
            let next = self.offset + self.shown as u64;
            self.notes.insert(0, format!("there is more: go on with offset={next}"));
        }
        if self.shown == 0 && self.notes.is_empty() {
            self.notes.push(nothing.to_owned());
        }
        let kept = self.kept.finish();
        let lines = self.shown + self.beyond;
        self.notes.extend(kept.as_ref().map(|kept| format!("{lines} lines are in {}", kept.path)));
        let answer = Answer::text(self.text).note(&self.notes);
        match kept {
            Some(kept) => kept.link(self.root, answer, "text/plain"),
            None => answer,
        }
    }
}

fn one_directory(root: &Root, path: &RelPath, params: &ListParams, limit: usize) -> Result<Answer> {
    let rules = rules_at(root, path, params.include_ignored);
    let fail = |errno| Problem::system("list", path, errno).field("path");
    let (found, too_many) = entries(root, path, &rules).map_err(fail)?;
    let mut page = Lines::new(root, limit, params.offset);
    for entry in &found {
        if !page.push(|| name_line(root, entry)) {
            break;
        }
    }
    if too_many {
        page.notes.push(format!("only the first {} entries were looked at", found.len()));
    }
    Ok(page.answer("the directory is empty, or everything in it is ignored"))
}

/// A name as it stands in a tree: directories with a slash, links with what they mean, files with their size.
fn name_line(root: &Root, entry: &Entry) -> String {
    let name = entry.path.name().unwrap_or_default().to_string_lossy();
    let about = || {
        let (parent, own) = root.parent(&entry.path).ok()?;
        match entry.kind {
            Kind::Dir => Some("/".to_owned()),
            Kind::Link => {
                let target = readlinkat(parent, own, Vec::new()).ok()?;
                Some(format!(" -> {}", target.to_string_lossy()))
            }
            Kind::File => {
                let stat = statx(parent, own, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::SIZE).ok()?;
                Some(format!("  {}", human(stat.stx_size)))
            }
            Kind::Other => Some("  (pipe, socket or device)".to_owned()),
        }
    };
    format!("{name}{}", about().unwrap_or_default())
}

/// What a tree shows of one directory.
struct Branch {
    shown: Vec<Entry>,
    hidden: usize,
}

/// Opens directories level by level while there are lines left; what is not opened says how much is in it.
fn tree(root: &Root, path: &RelPath, params: &ListParams, limit: usize, stop: &Stop) -> Result<Answer> {
    let depth = params.depth.unwrap_or(u32::MAX);
    if depth == 0 {
        return Err(Problem::invalid("depth", "depth is at least 1"));
    }
    let mut branches: BTreeMap<RelPath, Branch> = BTreeMap::new();
    let mut closed: BTreeMap<RelPath, usize> = BTreeMap::new();
    let mut waiting = VecDeque::from([(path.clone(), rules_at(root, path, params.include_ignored), 1)]);
    let mut lines = 0;
    while let Some((dir, rules, level)) = waiting.pop_front() {
        stop.check()?;
        let (mut found, _) = match entries(root, &dir, &rules) {
            Ok(found) => found,
            Err(errno) if branches.is_empty() => {
                return Err(Problem::system("list", &dir, errno).field("path"));
            }
            Err(_) => continue,
        };
        let room = limit.saturating_sub(lines);
        let most = if level == 1 { room } else { room.min(MANY) };
        if level > 1 && (found.len().min(MANY) > room || level > depth) {
            closed.insert(dir, found.len());
            continue;
        }
        let hidden = found.len().saturating_sub(most);
        found.truncate(most);
        lines += found.len() + usize::from(hidden > 0);
        for entry in found.iter().filter(|entry| entry.kind == Kind::Dir) {
            waiting.push_back((entry.path.clone(), rules.enter(root, &entry.path), level + 1));
        }
        branches.insert(dir, Branch { shown: found, hidden });
    }
    let mut text = String::new();
    draw(root, path, &branches, &closed, 0, &mut text);
    let mut notes = Vec::new();
    if !closed.is_empty() || branches.values().any(|branch| branch.hidden > 0) {
        notes.push("not everything is shown: list a directory by its path, or give a pattern".to_owned());
    }
    if text.is_empty() {
        notes.push("the directory is empty, or everything in it is ignored".to_owned());
    }
    let mut page = Page::new(root, "tree.txt", 0);
    page.push(&text);
    Ok(page.answer_of_file(notes, "text/plain"))
}

fn draw(
    root: &Root,
    dir: &RelPath,
    branches: &BTreeMap<RelPath, Branch>,
    closed: &BTreeMap<RelPath, usize>,
    indent: usize,
    text: &mut String,
) {
    let Some(branch) = branches.get(dir) else { return };
    for entry in &branch.shown {
        let inside = closed.get(&entry.path).filter(|n| **n > 0);
        let inside =
            inside.map(|n| format!("  ({})", count(*n as u64, "entry", "entries"))).unwrap_or_default();
        let _ = writeln!(text, "{:indent$}{}{inside}", "", name_line(root, entry), indent = indent * 2);
        draw(root, &entry.path, branches, closed, indent + 1, text);
    }
    if branch.hidden > 0 {
        let _ = writeln!(text, "{:indent$}… {} more", "", branch.hidden, indent = indent * 2);
    }
}
