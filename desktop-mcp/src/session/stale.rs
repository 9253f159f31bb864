//! Desktops whose server, guard and keeper were all killed: whoever starts a desktop next ends what is left in them and
//! removes their directories.

use std::os::unix::fs::MetadataExt;
use std::{fs, path::Path};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, Signal, getuid, pidfd_open, pidfd_send_signal};

/// How the directories of desktops begin.
pub const PREFIX: &str = "desktop-mcp-";

/// Removes those that no keeper holds. One that is being made is held by its server.
pub fn remove_stale(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let own = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // Not followed: a link of that name is nobody's desktop, and neither is another user's directory ours.
        let directory = entry.metadata().is_ok_and(|data| data.is_dir() && data.uid() == getuid().as_raw());
        let cookie = entry.path().join("Xauthority");
        if own && directory && cookie.exists() && is_free(&entry.path()) {
            end_users(&cookie);
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Kills whoever has this file of cookies in its environment, hence was started in that desktop.
fn end_users(cookie: &Path) {
    let variable = [b"XAUTHORITY=", cookie.as_os_str().as_encoded_bytes()].concat();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let has_it = || {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry == variable)
        };
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        let Some(process) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else { continue };
        // Looked at when it is held: its number cannot have become another's between the two.
        if has_it() {
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
    }
}

fn is_free(directory: &Path) -> bool {
    fs::File::open(directory).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_is_removed_and_the_rest_is_left() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let directory = parent.path().join(name);
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join("Xauthority"), "").unwrap();
            directory
        };
        let (stale, held, other) = (make("desktop-mcp-a"), make("desktop-mcp-b"), make("other"));
        let lock = fs::File::open(&held).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        remove_stale(parent.path());
        assert!(!stale.exists() && held.exists() && other.exists());
    }
}
