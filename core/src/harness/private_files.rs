//! Small private files in directories that workers can write to: no link is followed on any part of the way, nothing is
//! waited for, nothing endless is read, and what is written appears whole.

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, fchown};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};
use uuid::Uuid;

const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// A directory that is held open: what happens to its path meanwhile changes nothing.
#[derive(Debug)]
pub struct PrivateDir(OwnedFd);

/// Whether what is missing on the way is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// With mode 0700.
    Make,
    /// It is an error.
    Refuse,
}

/// Whose a written file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
}

impl PrivateDir {
    /// Opens `below`, part by part, from `root`, whose own path is the host's.
    ///
    /// # Errors
    /// Something is missing, or a part is no directory: a link is none.
    pub fn open(root: &Path, below: &[&str], missing: Missing) -> io::Result<Self> {
        let mut directory = open(root, DIRECTORY & !OFlag::O_NOFOLLOW, Mode::empty())?;
        for part in below {
            if missing == Missing::Make {
                match mkdirat(&directory, *part, Mode::S_IRWXU) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            directory = openat(&directory, *part, DIRECTORY, Mode::empty())?;
        }
        Ok(Self(directory))
    }

    /// A path to it for as long as it is open, whatever became of the real one.
    pub fn path(&self) -> String {
        use std::os::fd::AsRawFd;
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }

    /// A file's bytes and owner; none when there is no such file.
    ///
    /// # Errors
    /// What is there is no plain file (a link is none) or larger than `largest`.
    pub fn read(&self, name: &str, largest: u64) -> io::Result<Option<(Vec<u8>, Owner)>> {
        use std::os::unix::fs::MetadataExt;
        // A pipe in the place of a file must not be waited for.
        let flags =
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let file = match openat(&self.0, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let found = file.metadata()?;
        if !found.is_file() || found.len() > largest {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a plain file of a sensible size"));
        }
        let mut bytes = Vec::new();
        file.take(largest + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > largest {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than is sensible"));
        }
        Ok(Some((bytes, Owner { user: found.uid(), group: found.gid() })))
    }

    /// Puts a file of mode 0600 in the place of what has the name, whole or not at all.
    ///
    /// # Errors
    /// The file system's word; a directory is not replaced.
    pub fn replace(&self, name: &str, bytes: &[u8], owner: Option<Owner>) -> io::Result<()> {
        let temporary = format!(".{name}.{}", Uuid::new_v4().simple());
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = File::from(openat(&self.0, temporary.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
        let written =
            fill(file, bytes, owner).and_then(|()| Ok(renameat(&self.0, temporary.as_str(), &self.0, name)?));
        if written.is_err() {
            // Best effort: the error that is told is the first one.
            let _ = self.remove(&temporary);
        }
        written
    }

    /// Removes a file; nothing to do when there is none.
    ///
    /// # Errors
    /// The file system's word.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(self.0.as_fd(), name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts a link in the place of a file or link; one that is right stays.
    ///
    /// # Errors
    /// The file system's word.
    pub fn link(&self, name: &str, target: &str) -> io::Result<()> {
        if self.is_link_to(name, target) {
            return Ok(());
        }
        self.remove(name)?;
        Ok(symlinkat(target, &self.0, name)?)
    }

    /// Removes a link to `target`; anything else stays.
    ///
    /// # Errors
    /// The file system's word.
    pub fn unlink(&self, name: &str, target: &str) -> io::Result<()> {
        if self.is_link_to(name, target) { self.remove(name) } else { Ok(()) }
    }

    fn is_link_to(&self, name: &str, target: &str) -> bool {
        readlinkat(&self.0, name).is_ok_and(|found| found == target)
    }
}

fn fill(mut file: File, bytes: &[u8], owner: Option<Owner>) -> io::Result<()> {
    if let Some(owner) = owner {
        fchown(&file, Some(owner.user), Some(owner.group))?;
    }
    // The mask of the daemon may have taken rights that the owner needs.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    const LARGEST: u64 = 1000;

    #[test]
    fn what_is_written_is_private_whole_and_read_again() {
        let root = tempfile::tempdir().unwrap();
        let directory = PrivateDir::open(root.path(), &["a", "b"], Missing::Make).unwrap();
        assert_eq!(directory.read("file", LARGEST).unwrap(), None);
        directory.replace("file", b"one", Some(Owner { user: 1234, group: 4321 })).unwrap();
        directory.replace("file", b"two", Some(Owner { user: 1234, group: 4321 })).unwrap();
        let (bytes, owner) = directory.read("file", LARGEST).unwrap().unwrap();
        assert_eq!((bytes.as_slice(), owner), (b"two".as_slice(), Owner { user: 1234, group: 4321 }));
        let seen = fs::metadata(root.path().join("a/b/file")).unwrap();
        assert_eq!(seen.mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(root.path().join("a/b")).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn no_link_is_followed_and_nothing_strange_is_read() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = outside.path().join("secret");
        fs::write(&secret, "theirs").unwrap();
        symlink(outside.path(), root.path().join("link")).unwrap();
        assert!(PrivateDir::open(root.path(), &["link"], Missing::Make).is_err());
        let directory = PrivateDir::open(root.path(), &["d"], Missing::Make).unwrap();
        symlink(&secret, root.path().join("d/file")).unwrap();
        assert!(directory.read("file", LARGEST).is_err());
        directory.replace("file", b"ours", None).unwrap();
        assert_eq!(fs::read_to_string(&secret).unwrap(), "theirs", "the link was replaced, not followed");
        nix::unistd::mkfifo(&root.path().join("d/pipe"), Mode::S_IRWXU).unwrap();
        assert!(directory.read("pipe", LARGEST).is_err());
        fs::write(root.path().join("d/large"), "x".repeat(1001)).unwrap();
        assert!(directory.read("large", LARGEST).is_err());
        fs::create_dir(root.path().join("d/directory")).unwrap();
        assert!(directory.replace("directory", b"ours", None).is_err());
        assert_eq!(fs::read_dir(root.path().join("d")).unwrap().count(), 4, "no temporary file is left");
    }

    #[test]
    fn a_directory_that_is_held_is_the_same_when_its_path_is_not() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let directory = PrivateDir::open(root.path(), &["d"], Missing::Make).unwrap();
        fs::rename(root.path().join("d"), root.path().join("moved")).unwrap();
        symlink(outside.path(), root.path().join("d")).unwrap();
        directory.replace("file", b"ours", None).unwrap();
        assert!(root.path().join("moved/file").exists() && !outside.path().join("file").exists());
    }

    #[test]
    fn a_link_is_made_once_and_only_that_link_is_taken_away() {
        let root = tempfile::tempdir().unwrap();
        let directory = PrivateDir::open(root.path(), &[], Missing::Refuse).unwrap();
        fs::write(root.path().join("auth"), "old").unwrap();
        directory.link("auth", "/somewhere/auth").unwrap();
        let inode = || fs::symlink_metadata(root.path().join("auth")).map(|seen| seen.ino()).ok();
        let first = inode();
        directory.link("auth", "/somewhere/auth").unwrap();
        assert_eq!(inode(), first);
        directory.unlink("auth", "/elsewhere").unwrap();
        assert_eq!(inode(), first);
        directory.unlink("auth", "/somewhere/auth").unwrap();
        assert_eq!(inode(), None);
    }
}
