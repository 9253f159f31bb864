//! An upper as entries: what is there, and a mark of each that changes when it does.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, statat};

/// A change this close before the walk could have the same time as a later one: kernels stamp files by the tick.
const RACY: Duration = Duration::from_millis(20);
/// Deepest directory; the kernel's own paths end long before.
const DEEPEST: usize = 2000;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A plain file.
    File,
    /// A symbolic link.
    Link,
    /// Something of the layers below that is gone: a character device 0:0.
    Whiteout,
    /// A pipe or socket.
    Other,
}

impl Kind {
    /// Of what `stat` tells.
    pub fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Self::Directory,
            FileType::RegularFile => Self::File,
            FileType::Symlink => Self::Link,
            FileType::CharacterDevice if stat.st_rdev == 0 => Self::Whiteout,
            _ => Self::Other,
        }
    }
}

/// One entry below an upper.
pub struct Entry<'a> {
    /// Its path from the upper.
    pub path: &'a Path,
    /// Its name in `parent`.
    pub name: &'a CStr,
    /// Its directory.
    pub parent: &'a OwnedFd,
    /// As it was found.
    pub stat: Stat,
    /// What it is.
    pub kind: Kind,
}

/// Visits every entry, a directory before what is in it. What vanishes meanwhile is left out.
///
/// # Errors
/// The file system's, or `visit`'s.
pub fn walk(upper: &Path, visit: &mut dyn FnMut(&Entry<'_>) -> io::Result<()>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = rustix::fs::open(upper, flags, Mode::empty())?;
    let mut waiting = vec![(top, std::path::PathBuf::new())];
    while let Some((directory, path)) = waiting.pop() {
        if path.components().count() > DEEPEST {
            return Err(io::Error::other(format!("{} is too deep", path.display())));
        }
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(error) if is_gone(error) => continue,
                stat => stat?,
            };
            let own = path.join(OsStr::from_bytes(name.to_bytes()));
            let kind = Kind::of(&stat);
            visit(&Entry { path: &own, name, parent: &directory, stat, kind })?;
            if kind == Kind::Directory {
                match openat(&directory, name, flags, Mode::empty()) {
                    Ok(below) => waiting.push((below, own)),
                    Err(error) if is_gone(error) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    Ok(())
}

/// Gone, or another thing by now.
pub(super) fn is_gone(error: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE)
}

/// What tells one state of an entry from another: nobody inside can set a change time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    inode: u64,
    changed: (i64, i64),
    /// Changed so shortly before it was looked at that a later change may look the same.
    racy: bool,
}

impl Mark {
    fn of(stat: &Stat, before: Duration) -> Self {
        let changed = (stat.st_ctime, stat.st_ctime_nsec as i64);
        let at = Duration::new(changed.0.unsigned_abs(), u32::try_from(changed.1).unwrap_or_default());
        Self { inode: stat.st_ino, changed, racy: at >= before }
    }

    /// Whether it is surely the same state.
    fn proves(&self, now: &Self) -> bool {
        !self.racy && self.inode == now.inode && self.changed == now.changed
    }
}

/// The marks of all entries, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks(BTreeMap<Vec<u8>, Mark>);

impl Marks {
    /// Those of an upper as it is now.
    ///
    /// # Errors
    /// The file system's.
    pub fn of(upper: &Path) -> io::Result<Self> {
        let mut marks = Self::default();
        let before = racy_from();
        walk(upper, &mut |entry| {
            marks.note(entry, before);
            Ok(())
        })?;
        Ok(marks)
    }

    pub(super) fn note(&mut self, entry: &Entry<'_>, before: Duration) {
        self.0.insert(entry.path.as_os_str().as_bytes().to_vec(), Mark::of(&entry.stat, before));
    }

    /// Whether an upper is surely still the same in every entry. Ends at the first that is not.
    ///
    /// # Errors
    /// The file system's.
    pub fn hold_for(&self, upper: &Path) -> io::Result<bool> {
        let (mut seen, mut same) = (0, true);
        let walked = walk(upper, &mut |entry| {
            (seen, same) = (seen + 1, self.proves(entry));
            if same { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
        });
        if same { walked.map(|()| seen == self.0.len()) } else { Ok(false) }
    }

    /// Whether an entry is surely as it was when these marks were taken.
    pub fn proves(&self, entry: &Entry<'_>) -> bool {
        let now = Mark::of(&entry.stat, Duration::MAX);
        self.0.get(entry.path.as_os_str().as_bytes()).is_some_and(|mark| mark.proves(&now))
    }

    /// Whether an entry is the same in both, or in neither.
    pub fn same_at(&self, other: &Self, path: &Path) -> bool {
        let of =
            |marks: &Self| marks.0.get(path.as_os_str().as_bytes()).map(|mark| (mark.inode, mark.changed));
        of(self) == of(other)
    }

    /// Whether there is an entry at a path.
    pub fn has(&self, path: &Path) -> bool {
        self.0.contains_key(path.as_os_str().as_bytes())
    }

    /// Writes them down.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self, file: &Path) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (path, mark) in &self.0 {
            let Mark { inode, changed: (seconds, nanos), racy } = mark;
            bytes.extend_from_slice(format!("{inode} {seconds} {nanos} {} ", u8::from(*racy)).as_bytes());
            bytes.extend_from_slice(path);
            bytes.push(0);
        }
        fs::write(file, bytes)
    }

    /// Reads what [`Self::save`] wrote; none for anything else.
    pub fn load(file: &Path) -> Option<Self> {
        let bytes = fs::read(file).ok()?;
        let records = bytes.split(|byte| *byte == 0).filter(|record| !record.is_empty());
        records.map(record).collect::<Option<_>>().map(Self)
    }
}

fn record(record: &[u8]) -> Option<(Vec<u8>, Mark)> {
    let mut parts = record.splitn(5, |byte| *byte == b' ');
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse::<i64>().ok();
    let (inode, seconds, nanos, racy) = (number()?, number()?, number()?, number()?);
    let mark = Mark { inode: inode.unsigned_abs(), changed: (seconds, nanos), racy: racy != 0 };
    Some((parts.next()?.to_vec(), mark))
}

/// Changes from this time on are not told from later ones.
pub(super) fn racy_from() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(RACY)
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Waits until what was written is no longer new, by the clock of the file system itself.
    pub fn let_age(dir: &Path) {
        let begun = SystemTime::now();
        loop {
            let probe = dir.join(".probe");
            fs::write(&probe, "").unwrap();
            let stamped = fs::metadata(&probe).unwrap().modified().unwrap();
            fs::remove_file(probe).unwrap();
            if stamped.duration_since(begun).is_ok_and(|passed| passed > RACY * 2) {
                return;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn marks_prove_what_stayed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let upper = dir.path().join("upper");
        fs::create_dir_all(upper.join("a/b")).unwrap();
        fs::write(upper.join("a/b/file"), "one").unwrap();
        symlink("/etc", upper.join("link")).unwrap();
        let fresh = Marks::of(&upper).unwrap();
        assert!(!fresh.hold_for(&upper).unwrap(), "what has just changed may change again unseen");
        let_age(dir.path());
        let before = Marks::of(&upper).unwrap();
        assert!(before.hold_for(&upper).unwrap());
        assert!(before.has(Path::new("a/b/file")) && !before.has(Path::new("etc")));
        // As long, and with the old time put back.
        let time = fs::metadata(upper.join("a/b/file")).unwrap().modified().unwrap();
        fs::write(upper.join("a/b/file"), "two").unwrap();
        fs::File::options().write(true).open(upper.join("a/b/file")).unwrap().set_modified(time).unwrap();
        assert!(!before.hold_for(&upper).unwrap());
        let other = Marks::of(&upper).unwrap();
        let_age(dir.path());
        assert!(!other.hold_for(&upper).unwrap(), "its last change was too new to be told from a later one");
        let other = Marks::of(&upper).unwrap();
        assert!(other.hold_for(&upper).unwrap());
        fs::remove_file(upper.join("link")).unwrap();
        assert!(!other.hold_for(&upper).unwrap(), "something is gone");
    }

    #[test]
    fn marks_are_read_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a name\nwith all"), "").unwrap();
        let marks = Marks::of(dir.path()).unwrap();
        let file = dir.path().with_extension("marks");
        marks.save(&file).unwrap();
        assert_eq!(Marks::load(&file), Some(marks));
        fs::write(&file, "nonsense").unwrap();
        assert_eq!(Marks::load(&file), None);
        fs::remove_file(file).unwrap();
    }
}
