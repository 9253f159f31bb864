//! The file that hands a key over to a process, see [`Harness::key_file`]. Everything here blocks.

use std::io;
use std::path::Path;

use sandboxed_domain::harness::Harness;

use super::private_files::{Missing, PrivateDir};

/// Puts the key where the harness looks for it. The mission can write to its directory, so no link is followed.
///
/// # Errors
/// The file system's; a link in the way.
pub fn hand_over(harness: &dyn Harness, mission_dir: &Path, key: &str) -> io::Result<()> {
    match place(harness) {
        Some((folders, name)) => {
            PrivateDir::open(mission_dir, &folders, Missing::Make)?.replace(name, key.as_bytes(), None)
        }
        None => Ok(()),
    }
}

/// Takes it away; nothing to do where none was handed over.
///
/// # Errors
/// The file system's; a link in the way.
pub fn take_away(harness: &dyn Harness, mission_dir: &Path) -> io::Result<()> {
    let Some((folders, name)) = place(harness) else { return Ok(()) };
    match PrivateDir::open(mission_dir, &folders, Missing::Refuse) {
        Ok(directory) => directory.remove(name),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Folders below the mission's directory, and the name in them.
fn place(harness: &dyn Harness) -> Option<(Vec<&'static str>, &'static str)> {
    let mut folders: Vec<_> = harness.key_file()?.split('/').collect();
    let name = folders.pop()?;
    Some((folders, name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use sandboxed_domain::harness::registry;

    use super::*;

    #[test]
    fn a_key_is_private_and_goes_without_a_trace() {
        for harness in registry().iter().copied() {
            let mission = tempfile::tempdir().unwrap();
            take_away(harness, mission.path()).unwrap();
            hand_over(harness, mission.path(), "k").unwrap();
            let Some(file) = harness.key_file() else {
                assert_eq!(std::fs::read_dir(mission.path()).unwrap().count(), 0, "{}", harness.id());
                continue;
            };
            let path = mission.path().join(file);
            assert_eq!(std::fs::read(&path).unwrap(), b"k");
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
            take_away(harness, mission.path()).unwrap();
            assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
        }
    }

    #[test]
    fn no_link_leads_it_elsewhere() {
        for harness in registry().iter().copied() {
            let Some((folders, name)) = place(harness) else { continue };
            let (mission, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            std::fs::write(outside.path().join(name), "theirs").unwrap();
            symlink(outside.path(), mission.path().join(folders[0])).unwrap();
            hand_over(harness, mission.path(), "k").unwrap_err();
            take_away(harness, mission.path()).unwrap_err();
            assert_eq!(std::fs::read(outside.path().join(name)).unwrap(), b"theirs");
        }
    }
}
