//! Writing one checked-out file and remembering its stat data for the index.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use git2::{IndexEntry, IndexTime, Oid};
use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;

/// Files up to this size are read and written in one go; bigger ones are copied by the kernel, which shares the
/// blocks where the file system can.
const ONE_GO: u64 = 64 * 1024;
/// `git status` reads again every file that is not older than the index, by whole seconds. Giving files a time just
/// before spares it that.
const BACKDATE: Duration = Duration::from_secs(2);

/// What the files of one tree have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    /// Modification time of every file.
    mtime: TimeSpec,
    /// Owner to give the files to, when it is not the daemon's user.
    owner: Option<(u32, u32)>,
}

impl Stamp {
    /// For files that belong to whoever owns `common_dir`.
    pub(super) fn for_repository(common_dir: &Path) -> io::Result<Self> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let meta = fs::metadata(common_dir)?;
        let me = nix::unistd::geteuid();
        let foreign = me.is_root() && meta.uid() != me.as_raw();
        Ok(Self {
            mtime: TimeSpec::from_duration(now.saturating_sub(BACKDATE)),
            owner: foreign.then_some((meta.uid(), meta.gid())),
        })
    }

    /// Gives a path the repository's owner. Symbolic links themselves, never what they point to.
    pub(super) fn own(&self, path: &Path) -> io::Result<()> {
        match self.owner {
            Some((uid, gid)) => std::os::unix::fs::lchown(path, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    fn finish(&self, file: &File) -> io::Result<fs::Metadata> {
        if let Some((uid, gid)) = self.owner {
            std::os::unix::fs::fchown(file, Some(uid), Some(gid))?;
        }
        futimens(file.as_fd(), &self.mtime, &self.mtime)?;
        file.metadata()
    }
}

/// A new regular file with these bytes.
pub(super) fn write_new(path: &Path, mode: u32, bytes: &[u8], stamp: &Stamp) -> io::Result<fs::Metadata> {
    let mut file = create(path, mode)?;
    file.write_all(bytes)?;
    stamp.finish(&file)
}

/// A new symbolic link.
pub(super) fn write_link(path: &Path, target: &[u8], stamp: &Stamp) -> io::Result<fs::Metadata> {
    std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), path)?;
    stamp.own(path)?;
    fs::symlink_metadata(path)
}

/// Copies `from` to the new file `to`, if `from` is, before and after, the very file that `known` says is clean.
/// `None`, and no file, when it is not.
pub(super) fn copy_if_same(
    from: &Path,
    known: &IndexEntry,
    to: &Path,
    buffer: &mut Vec<u8>,
    stamp: &Stamp,
) -> io::Result<Option<fs::Metadata>> {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(from);
    let Ok(mut source) = opened else { return Ok(None) };
    let Ok(before) = source.metadata() else { return Ok(None) };
    if !is_clean(&before, known) {
        return Ok(None);
    }
    let mut file = create(to, known.mode)?;
    if before.len() <= ONE_GO {
        buffer.clear();
        (&mut source).take(ONE_GO + 1).read_to_end(buffer)?;
        file.write_all(buffer)?;
    } else {
        io::copy(&mut source, &mut file)?;
    }
    let meta = stamp.finish(&file)?;
    let same = source.metadata().is_ok_and(|after| is_clean(&after, known)) && meta.len() == before.len();
    if same {
        return Ok(Some(meta));
    }
    fs::remove_file(to)?;
    Ok(None)
}

/// Whether stat data proves that the file still has the content the index recorded for it. The change time is part of
/// the proof: a program can set a modification time back, but not that.
fn is_clean(meta: &fs::Metadata, known: &IndexEntry) -> bool {
    let same_time = |t: IndexTime, seconds: i64, nanos: i64| {
        t.seconds() == seconds as i32 && (t.nanoseconds() == 0 || i64::from(t.nanoseconds()) == nanos)
    };
    let executable = meta.permissions().mode() & 0o100 != 0;
    meta.is_file()
        && known.file_size == meta.len() as u32
        && known.ino == meta.ino() as u32
        && executable == (known.mode == 0o100_755)
        && same_time(known.mtime, meta.mtime(), meta.mtime_nsec())
        && same_time(known.ctime, meta.ctime(), meta.ctime_nsec())
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    let permissions = if mode == 0o100_755 { 0o777 } else { 0o666 };
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(permissions)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

/// The index entry of a file just written. The index keeps 32 bits of each number.
pub(super) fn entry(path: Vec<u8>, id: Oid, mode: u32, meta: &fs::Metadata) -> IndexEntry {
    IndexEntry {
        ctime: IndexTime::new(meta.ctime() as i32, meta.ctime_nsec() as u32),
        mtime: IndexTime::new(meta.mtime() as i32, meta.mtime_nsec() as u32),
        dev: meta.dev() as u32,
        ino: meta.ino() as u32,
        mode,
        uid: meta.uid(),
        gid: meta.gid(),
        file_size: meta.len() as u32,
        id,
        flags: 0,
        flags_extended: 0,
        path,
    }
}
