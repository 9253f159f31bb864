//! The frozen copy of an upper.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps, Uid, XattrFlags, chownat,
    fchmod, fchown, fgetxattr, flistxattr, fsetxattr, ftruncate, futimens, ioctl_ficlone, linkat, mkdirat,
    mknodat, openat, readlinkat, seek, symlinkat, utimensat,
};
use rustix::io::Errno;

use super::walk::{Entry, Kind, Marks, is_gone, racy_from, walk};

/// Marks of overlayfs that say where a file of an upper came from. In a lower layer they mean nothing, or mislead.
const OF_AN_UPPER: [&[u8]; 4] = [
    b"trusted.overlay.origin",
    b"trusted.overlay.impure",
    b"trusted.overlay.nlink",
    b"trusted.overlay.upper",
];
/// Longest list of attributes and longest value; the kernel's own bounds.
const ATTRIBUTES: usize = 64 << 10;

/// Copies `upper` to the new directory `into` and returns the marks of what the copy holds. Files that have not changed
/// since `earlier` (a copy and its marks) are shared with it.
///
/// # Errors
/// The file system's; `into` may then be half there.
pub fn freeze(upper: &Path, earlier: Option<(&Path, &Marks)>, into: &Path) -> io::Result<Marks> {
    let before = racy_from();
    fs::create_dir(into)?;
    let earlier = match earlier {
        Some((tree, marks)) => Some((directory(tree)?, marks)),
        None => None,
    };
    let mut copy = Copy { into: directory(into)?, earlier, links: HashMap::new(), directories: Vec::new() };
    let mut marks = Marks::default();
    walk(upper, &mut |entry| {
        marks.note(entry, before);
        match copy.take(entry) {
            // It went away or became another thing: it is as if it had not been there.
            Err(error) if Errno::from_io_error(&error).is_some_and(is_gone) => Ok(()),
            taken => taken
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", entry.path.display()))),
        }
    })?;
    copy.finish_directories()?;
    let top = directory(upper)?;
    copy_attributes(&top, &copy.into)?;
    finish(&copy.into, &rustix::fs::fstat(&top)?)?;
    Ok(marks)
}

fn directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

struct Copy<'a> {
    into: OwnedFd,
    earlier: Option<(OwnedFd, &'a Marks)>,
    /// First copy of each file with several names.
    links: HashMap<u64, PathBuf>,
    /// Their rights and times come last, as writing into them needs and changes both.
    directories: Vec<(PathBuf, Stat)>,
}

impl Copy<'_> {
    fn take(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        match entry.kind {
            Kind::Directory => self.directory(entry),
            Kind::File => self.file(entry),
            Kind::Link => {
                let target = readlinkat(entry.parent, entry.name, Vec::new())?;
                symlinkat(target, &self.into, entry.path)?;
                self.own(entry)
            }
            Kind::Whiteout => {
                mknodat(&self.into, entry.path, FileType::CharacterDevice, Mode::empty(), 0)?;
                Ok(())
            }
            Kind::Other => {
                let kind = FileType::from_raw_mode(entry.stat.st_mode);
                // Devices other than a whiteout cannot be made inside, and are not carried on.
                if matches!(kind, FileType::Fifo | FileType::Socket) {
                    mknodat(&self.into, entry.path, kind, Mode::from_raw_mode(entry.stat.st_mode), 0)?;
                    self.own(entry)?;
                }
                Ok(())
            }
        }
    }

    fn directory(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let from = openat(entry.parent, entry.name, flags, Mode::empty())?;
        mkdirat(&self.into, entry.path, Mode::RWXU)?;
        copy_attributes(&from, &openat(&self.into, entry.path, flags, Mode::empty())?)?;
        self.directories.push((entry.path.to_owned(), entry.stat));
        Ok(())
    }

    fn file(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        if let Some(first) = self.links.get(&entry.stat.st_ino) {
            return Ok(linkat(&self.into, first, &self.into, entry.path, AtFlags::empty())?);
        }
        if entry.stat.st_nlink > 1 {
            self.links.insert(entry.stat.st_ino, entry.path.to_owned());
        }
        if let Some((tree, marks)) = &self.earlier {
            // A file can have only so many names; then it is copied.
            if marks.proves(entry)
                && linkat(tree, entry.path, &self.into, entry.path, AtFlags::empty()).is_ok()
            {
                return Ok(());
            }
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let from = openat(entry.parent, entry.name, flags, Mode::empty())?;
        let found = rustix::fs::fstat(&from)?;
        if Kind::of(&found) != Kind::File {
            return Err(Errno::NOENT.into());
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let to = openat(&self.into, entry.path, flags, Mode::RUSR | Mode::WUSR)?;
        if ioctl_ficlone(&to, &from).is_err() {
            copy_content(&from, &to, found.st_size.unsigned_abs())?;
        }
        copy_attributes(&from, &to)?;
        finish(&to, &found)
    }

    /// Owner and times of what is not opened.
    fn own(&self, entry: &Entry<'_>) -> io::Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let (user, group) = owner(&entry.stat);
        chownat(&self.into, entry.path, Some(user), Some(group), flags)?;
        Ok(utimensat(&self.into, entry.path, &times(&entry.stat), flags)?)
    }

    /// The deepest first.
    fn finish_directories(&self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for (path, stat) in self.directories.iter().rev() {
            finish(&openat(&self.into, path, flags, Mode::empty())?, stat)?;
        }
        Ok(())
    }
}

fn owner(stat: &Stat) -> (Uid, Gid) {
    (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid))
}

/// Nanoseconds have one type in what is read and another in what is set.
fn nsec(nanos: u64) -> i64 {
    i64::try_from(nanos).unwrap_or_default()
}

fn times(stat: &Stat) -> Timestamps {
    let stamp = |seconds, nanos| Timespec { tv_sec: seconds, tv_nsec: nsec(nanos) };
    Timestamps {
        last_access: stamp(stat.st_atime, stat.st_atime_nsec),
        last_modification: stamp(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// The owner first: giving a file away takes its setuid bit.
fn finish(to: impl AsFd, stat: &Stat) -> io::Result<()> {
    let (user, group) = owner(stat);
    fchown(&to, Some(user), Some(group))?;
    fchmod(&to, Mode::from_raw_mode(stat.st_mode))?;
    Ok(futimens(&to, &times(stat))?)
}

/// Copies what is there and leaves holes: a file may be said to be larger than any disk.
fn copy_content(from: &OwnedFd, to: &OwnedFd, size: u64) -> io::Result<()> {
    let mut at = 0;
    while at < size {
        let data = match seek(from, SeekFrom::Data(at)) {
            Ok(data) => data,
            // No data from here on.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = seek(from, SeekFrom::Hole(data))?.min(size);
        seek(from, SeekFrom::Start(data))?;
        seek(to, SeekFrom::Start(data))?;
        let mut part = io::Read::take(File::from(from.try_clone()?), end - data);
        io::copy(&mut part, &mut File::from(to.try_clone()?))?;
        at = end.max(data + 1);
    }
    Ok(ftruncate(to, size)?)
}

fn copy_attributes(from: impl AsFd, to: impl AsFd) -> io::Result<()> {
    let mut names = vec![0; ATTRIBUTES];
    let length = match flistxattr(&from, &mut names[..]) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        length => length?,
    };
    let mut value = vec![0; ATTRIBUTES];
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if OF_AN_UPPER.contains(&name) {
            continue;
        }
        let length = match fgetxattr(&from, name, &mut value[..]) {
            Err(Errno::NODATA) => continue,
            length => length?,
        };
        fsetxattr(&to, name, &value[..length], XattrFlags::empty())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::walk::tests::let_age;
    use super::*;

    #[test]
    fn everything_of_an_upper_is_carried_over() {
        let dir = tempfile::tempdir().unwrap();
        let (upper, into) = (dir.path().join("upper"), dir.path().join("into"));
        fs::create_dir_all(upper.join("d/e")).unwrap();
        fs::write(upper.join("d/file"), "content").unwrap();
        fs::set_permissions(upper.join("d/file"), fs::Permissions::from_mode(0o4751)).unwrap();
        std::os::unix::fs::chown(upper.join("d/e"), Some(7), Some(8)).unwrap();
        fs::hard_link(upper.join("d/file"), upper.join("again")).unwrap();
        symlink("/etc/passwd", upper.join("link")).unwrap();
        mknodat(rustix::fs::CWD, upper.join("gone"), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        mknodat(rustix::fs::CWD, upper.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let opened = directory(&upper.join("d/e")).unwrap();
        for name in ["trusted.overlay.opaque", "trusted.overlay.origin"] {
            fsetxattr(&opened, name, b"y", XattrFlags::empty()).unwrap();
        }
        let sparse = File::create(upper.join("sparse")).unwrap();
        sparse.set_len(1 << 40).unwrap();
        sparse.write_at(b"far", 1 << 39).unwrap();
        freeze(&upper, None, &into).unwrap();
        let of = |path: &str| fs::symlink_metadata(into.join(path)).unwrap();
        assert_eq!(
            (fs::read_to_string(into.join("d/file")).unwrap(), of("d/file").mode() & 0o7777),
            ("content".into(), 0o4751)
        );
        assert_eq!(of("d/file").mtime_nsec(), fs::metadata(upper.join("d/file")).unwrap().mtime_nsec());
        assert_eq!((of("d/e").uid(), of("d/e").gid()), (7, 8));
        assert_eq!(of("d/file").ino(), of("again").ino());
        assert_eq!(fs::read_link(into.join("link")).unwrap(), Path::new("/etc/passwd"));
        assert!(
            of("gone").rdev() == 0
                && Kind::of(&rustix::fs::lstat(into.join("gone")).unwrap()) == Kind::Whiteout
        );
        let copied = directory(&into.join("d/e")).unwrap();
        let mut names = vec![0; 1024];
        let length = flistxattr(&copied, &mut names[..]).unwrap();
        assert_eq!(&names[..length], b"trusted.overlay.opaque\0");
        assert!(of("sparse").len() == 1 << 40 && of("sparse").blocks() < 1000, "holes stay holes");
        let mut far = [0; 3];
        File::open(into.join("sparse")).unwrap().read_at(&mut far, 1 << 39).unwrap();
        assert_eq!(&far, b"far");
    }

    #[test]
    fn a_later_state_shares_what_stayed() {
        let dir = tempfile::tempdir().unwrap();
        let upper = dir.path().join("upper");
        fs::create_dir(&upper).unwrap();
        for name in ["stays", "changes", "goes"] {
            fs::write(upper.join(name), "one").unwrap();
        }
        let_age(dir.path());
        let first = dir.path().join("first");
        let marks = freeze(&upper, None, &first).unwrap();
        assert!(marks.hold_for(&upper).unwrap());
        let second = dir.path().join("second");
        fs::write(upper.join("changes"), "two").unwrap();
        fs::remove_file(upper.join("goes")).unwrap();
        assert!(!marks.hold_for(&upper).unwrap());
        freeze(&upper, Some((&first, &marks)), &second).unwrap();
        let inode = |path: PathBuf| fs::metadata(path).unwrap().ino();
        assert_eq!(inode(first.join("stays")), inode(second.join("stays")));
        assert_eq!(fs::read_to_string(second.join("changes")).unwrap(), "two");
        assert_eq!(fs::read_to_string(first.join("changes")).unwrap(), "one", "the earlier state stays");
        assert!(first.join("goes").exists() && !second.join("goes").exists());
    }

    #[test]
    fn a_link_that_is_swapped_in_while_it_is_read_shows_nothing_from_outside() {
        let dir = tempfile::tempdir().unwrap();
        let (upper, outside) = (dir.path().join("upper"), dir.path().join("outside"));
        for place in [upper.join("d"), outside.clone()] {
            fs::create_dir_all(&place).unwrap();
        }
        fs::write(outside.join("secret"), "of the host").unwrap();
        for n in 0..50 {
            fs::write(upper.join(format!("d/file{n}")), "own").unwrap();
        }
        fs::write(upper.join("d/secret"), "own").unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let _ = fs::rename(upper.join("d"), upper.join("aside"));
                    let _ = symlink(&outside, upper.join("d"));
                    let _ = fs::remove_file(upper.join("d"));
                    let _ = fs::rename(upper.join("aside"), upper.join("d"));
                }
            });
            for n in 0..100 {
                let into = dir.path().join(format!("copy{n}"));
                let _ = freeze(&upper, None, &into);
                for place in ["d", "aside"] {
                    let seen = into.join(place).join("secret");
                    let is_link = fs::symlink_metadata(into.join(place)).is_ok_and(|m| m.is_symlink());
                    assert!(is_link || fs::read_to_string(seen).map_or(true, |text| text == "own"));
                }
                fs::remove_dir_all(&into).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
