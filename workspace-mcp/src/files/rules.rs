//! What `.gitignore` and `.ignore` exclude, directory by directory, by the rules of the `ignore` crate. The files are
//! read below the root like all others; only those above it and the user's own are read where they are.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::{FileType, OFlags, fstat};

use crate::root::{RelPath, Root, STATE_DIR};

/// Longer files of rules are not read.
const MAX_RULES: u64 = 1 << 20;

/// Rules of a directory and of those above it.
#[derive(Debug, Clone)]
pub struct Rules(Arc<Level>);

#[derive(Debug)]
struct Level {
    above: Option<Rules>,
    own: Vec<Gitignore>,
    /// Rules of directories above the root, which match whole paths.
    outer: Vec<Gitignore>,
    enabled: bool,
}

impl Rules {
    /// Those that hold for the whole workspace; none when what is excluded is wanted too.
    pub fn new(root: &Root, include_ignored: bool) -> Self {
        let mut level = Level { above: None, own: Vec::new(), outer: Vec::new(), enabled: !include_ignored };
        if level.enabled {
            level.outer.push(Gitignore::global().0);
            level.outer.extend(above_root(root));
            level.own.extend(read(root, &RelPath::own(".git/info/exclude"), Path::new("")));
        }
        Self(Arc::new(level))
    }

    /// With those of a directory.
    pub fn enter(&self, root: &Root, dir: &RelPath) -> Self {
        if !self.0.enabled {
            return self.clone();
        }
        let base = if dir.is_root() { Path::new("") } else { dir.as_path() };
        let own: Vec<_> =
            [".gitignore", ".ignore"].iter().filter_map(|name| read(root, &dir.join(name), base)).collect();
        if own.is_empty() {
            return self.clone();
        }
        Self(Arc::new(Level { above: Some(self.clone()), own, outer: Vec::new(), enabled: true }))
    }

    /// Whether an entry is left out: git's own directory, this program's, and what rules exclude.
    pub fn excludes(&self, root: &Root, path: &RelPath, is_dir: bool) -> bool {
        if path.name().is_some_and(|name| name == ".git") || path.as_path() == Path::new(STATE_DIR) {
            return true;
        }
        let mut level = Some(self);
        while let Some(Self(rules)) = level {
            // The last file counts first: `.ignore` over `.gitignore`, deeper over higher.
            for matcher in rules.own.iter().rev() {
                match matcher.matched(path.as_path(), is_dir) {
                    Match::None => {}
                    decided => return decided.is_ignore(),
                }
            }
            for matcher in rules.outer.iter().rev() {
                match matcher.matched(root.path().join(path.as_path()), is_dir) {
                    Match::None => {}
                    decided => return decided.is_ignore(),
                }
            }
            level = rules.above.as_ref();
        }
        false
    }
}

fn read(root: &Root, path: &RelPath, base: &Path) -> Option<Gitignore> {
    let fd = root.open_plain(path, OFlags::RDONLY | OFlags::NONBLOCK).ok()?;
    if FileType::from_raw_mode(fstat(&fd).ok()?.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut text = Vec::new();
    File::from(fd).take(MAX_RULES).read_to_end(&mut text).ok()?;
    let mut builder = GitignoreBuilder::new(base);
    for line in String::from_utf8_lossy(&text).lines() {
        // A line that is no glob excludes nothing, as in git.
        let _ = builder.add_line(None, line);
    }
    builder.build().ok()
}

/// In a directory of a repository the rules of the directories up to the repository's top hold too.
fn above_root(root: &Root) -> Vec<Gitignore> {
    if root.path().join(".git").exists() {
        return Vec::new();
    }
    let Some(top) = root.path().ancestors().skip(1).find(|dir| dir.join(".git").exists()) else {
        return Vec::new();
    };
    let between = root.path().ancestors().skip(1).take_while(|dir| dir.starts_with(top));
    let mut found: Vec<_> = between
        .map(|dir| dir.join(".gitignore"))
        .filter(|file| file.is_file())
        .map(|file| Gitignore::new(file).0)
        .collect();
    found.reverse();
    found
}
