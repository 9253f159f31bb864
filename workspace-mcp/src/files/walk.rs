//! Directories in order of names, opened one below the other without symbolic links, so that the walk stays in the tree
//! even while somebody moves it about.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::vec;

use rustix::fs::{AtFlags, Dir, FileType, OFlags, statat};
use rustix::io::Errno;

use super::rules::Rules;
use crate::error::{Problem, Result};
use crate::root::{RelPath, Root};
use crate::stop::Stop;

/// Entries of one directory that are looked at.
const MAX_ENTRIES: usize = 200_000;
/// Deepest directory that is entered.
const MAX_DEPTH: usize = 200;

/// Something in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: RelPath,
    /// What it is; symbolic links are not followed.
    pub kind: Kind,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
    /// A pipe, a socket or a device.
    Other,
}

/// The entries of one directory that rules do not exclude, in order of their names; whether there were too many.
pub fn entries(root: &Root, dir: &RelPath, rules: &Rules) -> Result<(Vec<Entry>, bool), Errno> {
    let fd = root.open_plain(dir, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut reader = Dir::read_from(&fd)?;
    let mut found = Vec::new();
    while let Some(entry) = reader.read() {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => match statat(&fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(_) => continue,
            },
            known => known,
        };
        let kind = match kind {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Dir,
            FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        };
        let path = dir.join(name);
        if !rules.excludes(root, &path, kind == Kind::Dir) {
            found.push(Entry { path, kind });
        }
        if found.len() >= MAX_ENTRIES {
            found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
            return Ok((found, true));
        }
    }
    found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok((found, false))
}

/// All entries below a directory, each directory before what is in it.
#[derive(Debug)]
pub struct Walk<'a> {
    root: &'a Root,
    stop: &'a Stop,
    levels: Vec<(vec::IntoIter<Entry>, Rules)>,
    /// Directories that could not be read or were too large or too deep.
    pub left_out: usize,
}

impl<'a> Walk<'a> {
    /// Begins at a directory.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn new(root: &'a Root, dir: &RelPath, include_ignored: bool, stop: &'a Stop) -> Result<Self> {
        let rules = rules_at(root, dir, include_ignored);
        let (first, too_many) =
            entries(root, dir, &rules).map_err(|errno| Problem::system("list", dir, errno).field("path"))?;
        Ok(Self { root, stop, levels: vec![(first.into_iter(), rules)], left_out: usize::from(too_many) })
    }

    /// The next entry; none at the end.
    ///
    /// # Errors
    /// When it is time to stop.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            self.stop.check()?;
            let Some((level, rules)) = self.levels.last_mut() else { return Ok(None) };
            let Some(entry) = level.next() else {
                self.levels.pop();
                continue;
            };
            if entry.kind == Kind::Dir {
                let rules = rules.enter(self.root, &entry.path);
                match entries(self.root, &entry.path, &rules) {
                    Ok((below, too_many)) if self.levels.len() < MAX_DEPTH => {
                        self.left_out += usize::from(too_many);
                        self.levels.push((below.into_iter(), rules));
                    }
                    // Gone, replaced or not readable in the meantime.
                    _ => self.left_out += 1,
                }
            }
            return Ok(Some(entry));
        }
    }
}

/// The rules in force in a directory.
pub fn rules_at(root: &Root, dir: &RelPath, include_ignored: bool) -> Rules {
    let mut rules = Rules::new(root, include_ignored).enter(root, &RelPath::own(""));
    let mut so_far = RelPath::own("");
    if !dir.is_root() {
        for name in dir.as_path() {
            so_far = so_far.join(name);
            rules = rules.enter(root, &so_far);
        }
    }
    rules
}
