//! The directory that this program keeps in the workspace: trash, jobs and files that were too large for an answer.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Dir, OFlags, statat};
use rustix::io::Errno;

use super::moves::remove_tree;
use crate::error::{Problem, Result};
use crate::root::{RelPath, Root, STATE_DIR, TRASH};

/// How long deleted files can be taken back.
const TRASH_KEPT: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Git must not see any of it.
const IGNORE: &str = "# Trash, jobs and large answers of workspace-mcp.\n*\n";

/// A directory below the own one, made when it is missing.
///
/// # Errors
/// When it cannot be made, for instance in a workspace that is read-only.
pub fn state_dir(root: &Root, below: &str) -> Result<OwnedFd> {
    let own = RelPath::own(STATE_DIR);
    let fail = |errno| Problem::system("make", STATE_DIR, errno);
    root.make_dirs(&own).map_err(fail)?;
    match root.create(&own.join(".gitignore"), OFlags::WRONLY | OFlags::EXCL) {
        Ok(fd) => std::fs::File::from(fd)
            .write_all(IGNORE.as_bytes())
            .map_err(|error| Problem::system("write", STATE_DIR, error))?,
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(fail(errno)),
    }
    root.make_dirs(&own.join(below)).map_err(fail)
}

/// Removes what has been in the trash for long.
pub fn empty_trash(root: &Root) {
    let now = SystemTime::now();
    let trash = RelPath::own(TRASH);
    // No trash, nothing to do; what cannot be removed is tried again at the next start.
    let Ok(fd) = root.open_plain(&trash, OFlags::RDONLY | OFlags::DIRECTORY) else { return };
    let Ok(mut dir) = Dir::read_from(&fd) else { return };
    while let Some(Ok(entry)) = dir.read() {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Ok(stat) = statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let put_there =
            SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or_default());
        if now.duration_since(put_there).is_ok_and(|age| age > TRASH_KEPT) {
            let _ = remove_tree(&fd, name);
        }
    }
}
