//! Directories of desktops whose keeper was killed together with its server: whoever starts a desktop next removes them.

use std::{fs, path::Path};

use rustix::fs::{FlockOperation, flock};

/// How the directories of desktops begin.
pub const PREFIX: &str = "desktop-mcp-";

/// Removes those that no keeper holds. One that is being made is held by its server.
pub fn remove_stale(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let own = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // Not followed: a link of that name is nobody's desktop.
        let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if own && directory && entry.path().join("Xauthority").exists() && is_free(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
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
