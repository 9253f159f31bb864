//! What lies in a folder that workers write to, and which processes write there.
//!
//! The folder may be hostile: links are neither followed nor raced through, one directory is open at a time, and counting
//! stops where it is clear that there is too much.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, openat2, statat};
use rustix::io::Errno;

/// What an entry counts at least, so that names without end are bounded as well.
const LEAST: u64 = 4096;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Bytes on disk, of each entry [`LEAST`] at least.
    pub bytes: u64,
    /// Directories below the folder, those nearest to it first.
    pub directories: Vec<PathBuf>,
}

/// Looks through `root` until more than `enough` bytes are found. A path too long to be named counts as that much.
///
/// # Errors
/// The folder itself cannot be read.
pub fn contents(root: &Path, enough: u64) -> io::Result<Contents> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = rustix::fs::open(root, flags, Mode::empty())?;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let (mut found, mut seen) = (Contents::default(), HashSet::new());
    let mut waiting = VecDeque::from([PathBuf::from(".")]);
    while let Some(path) = waiting.pop_front() {
        let directory = match openat2(&top, &path, flags, Mode::empty(), inside) {
            Ok(directory) => directory,
            Err(Errno::NAMETOOLONG) => {
                found.bytes = found.bytes.max(enough.saturating_add(1));
                break;
            }
            // Gone, or another thing by now.
            Err(_) => continue,
        };
        for entry in Dir::read_from(&directory)?.flatten() {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(stat) = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if !seen.insert((stat.st_dev, stat.st_ino)) {
                continue;
            }
            found.bytes += (stat.st_blocks.unsigned_abs() * 512).max(LEAST);
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let below = path.join(OsStr::from_bytes(name.to_bytes()));
                found.directories.push(below.clone());
                waiting.push_back(below);
            }
        }
        if found.bytes > enough {
            break;
        }
    }
    Ok(found)
}

/// Whether a process has a file of `folder` open for writing or mapped so. `folder` is named as the process sees it: for
/// one in a mount namespace of its own the kernel tells paths from there.
pub fn writes_into(pid: i32, folder: &Path) -> bool {
    let own = Path::new("/proc").join(pid.to_string());
    let open = fs::read_dir(own.join("fd")).into_iter().flatten().flatten();
    let held = open.into_iter().any(|entry| {
        fs::read_link(entry.path()).is_ok_and(|path| path.starts_with(folder))
            && for_writing(&own.join("fdinfo").join(entry.file_name()))
    });
    held || fs::read(own.join("maps"))
        .is_ok_and(|maps| maps.split(|c| *c == b'\n').any(|line| maps_into(line, folder)))
}

/// Whether a descriptor was opened for writing, as the kernel tells it in octal.
fn for_writing(fdinfo: &Path) -> bool {
    let text = fs::read_to_string(fdinfo).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & libc::O_ACCMODE != libc::O_RDONLY)
}

/// Whether a line of `maps` is a shared writable mapping of a file in `folder`: `0-1 rw-s 0 08:01 12      /folder/file`.
fn maps_into(line: &[u8], folder: &Path) -> bool {
    let mut words = line.splitn(2, |c| *c == b' ');
    let (_, rest) = (words.next(), words.next().unwrap_or_default());
    let path = rest.iter().position(|c| *c == b'/').map(|at| Path::new(OsStr::from_bytes(&rest[at..])));
    rest.get(1) == Some(&b'w')
        && rest.get(3) == Some(&b's')
        && path.is_some_and(|path| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn every_entry_counts_once_and_links_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("in"), dir.path().join("out"));
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("big"), vec![1; 1 << 20]).unwrap();
        let mut file = fs::File::create(root.join("a/file")).unwrap();
        file.write_all(&vec![1; 100_000]).unwrap();
        file.sync_all().unwrap();
        fs::hard_link(root.join("a/file"), root.join("again")).unwrap();
        fs::write(root.join("empty"), "").unwrap();
        symlink(&outside, root.join("link")).unwrap();
        let found = contents(&root, u64::MAX).unwrap();
        // A file of 100,000 bytes in blocks, two directories, an empty file, a link.
        let blocks = fs::metadata(root.join("again")).unwrap().blocks() * 512;
        assert_eq!(found.bytes, blocks + 4 * LEAST);
        assert_eq!(found.directories, [PathBuf::from("./a"), PathBuf::from("./a/b")]);
        let own = std::process::id().cast_signed();
        assert!(writes_into(own, &root) && !writes_into(own, &outside));
        drop(file);
        let _reading = fs::File::open(root.join("again")).unwrap();
        assert!(!writes_into(own, &root));
        assert!(contents(&outside.join("none"), 1).is_err());
    }

    #[test]
    fn a_mapping_is_of_the_folder_when_it_is_shared_and_writable() {
        for (line, is) in [
            ("7f0-7f1 rw-s 00000000 08:01 12   /in/file", true),
            ("7f0-7f1 rw-s 00000000 08:01 12   /in/a b (deleted)", true),
            ("7f0-7f1 r--s 00000000 08:01 12   /in/file", false),
            ("7f0-7f1 rw-p 00000000 08:01 12   /in/file", false),
            ("7f0-7f1 rw-s 00000000 08:01 12   /inside/file", false),
            ("7f0-7f1 rw-p 00000000 00:00 0", false),
            ("", false),
        ] {
            assert_eq!(maps_into(line.as_bytes(), Path::new("/in")), is, "{line}");
        }
    }

    #[test]
    fn what_cannot_be_named_counts_as_too_much_and_counting_ends_where_that_is_clear() {
        let dir = tempfile::tempdir().unwrap();
        let mut at = rustix::fs::open(dir.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let name = "d".repeat(250);
        for _ in 0..20 {
            rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, &name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        assert_eq!(contents(dir.path(), 1 << 30).unwrap().bytes, (1 << 30) + 1);
        assert_eq!(contents(dir.path(), LEAST).unwrap().bytes, 2 * LEAST);
    }
}
