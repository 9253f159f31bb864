//! Disks of other workspaces, which a mount namespace would keep from going when theirs is destroyed.

use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};

use super::{LaunchFailure, Step};

/// Takes file systems over loop devices out of this namespace, but for those that `needed` paths are on.
pub(super) fn leave_out(needed: &[PathBuf]) -> Result<(), LaunchFailure> {
    let text = fs::read_to_string("/proc/self/mountinfo").step("namespace", || "mountinfo".into())?;
    for place in others(&text, needed) {
        // Gone already where it lay on another one; one that cannot go is only kept longer.
        let _ = umount2(&place, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
    }
    Ok(())
}

/// Places of such file systems: `1 2 7:0 / /place rw shared:1 - ext4 /dev/loop0 rw`.
fn others(mountinfo: &str, needed: &[PathBuf]) -> Vec<PathBuf> {
    let of_loop = |line: &&str| {
        let source = line.split_once(" - ").and_then(|(_, rest)| rest.strip_prefix("ext4 "));
        source.is_some_and(|source| source.starts_with("/dev/loop"))
    };
    let places = mountinfo.lines().filter(of_loop).filter_map(|line| line.split(' ').nth(4)).map(unescaped);
    // Programs of the host are still to be started.
    let system = ["/usr", "/etc"].map(Path::new);
    let is_needed = |place: &Path| {
        needed.iter().map(PathBuf::as_path).chain(system).any(|path| path.starts_with(place))
            || system.iter().any(|path| place.starts_with(path))
    };
    places.filter(|place| !is_needed(place)).collect()
}

/// The kernel writes blanks and backslashes of a path as three octal digits.
fn unescaped(word: &str) -> PathBuf {
    let mut pieces = word.split('\\');
    let mut path = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(3).unwrap_or(("", piece));
        path.extend(u8::from_str_radix(digits, 8).map(char::from));
        path.push_str(rest);
    }
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_file_systems_over_loop_devices_that_nothing_needed_is_on_are_left_out() {
        let text = "\
1 0 8:1 / / rw - ext4 /dev/vda rw
2 1 7:0 / /d/workspaces/a rw shared:1 - ext4 /dev/loop0 rw
3 1 7:1 / /d/workspaces/b\\040c rw - ext4 /dev/loop1 rw
4 1 7:2 / /snap rw - squashfs /dev/loop2 ro
5 1 7:3 / /usr/local rw - ext4 /dev/loop3 rw
6 1 7:4 / /repos rw - ext4 /dev/loop4 rw
7 1 0:5 / /proc rw - proc proc rw
";
        let needed = ["/d/workspaces/a/layer", "/repos/mine"].map(PathBuf::from);
        assert_eq!(others(text, &needed), [PathBuf::from("/d/workspaces/b c")]);
        assert_eq!(others(text, &[]).len(), 3);
    }
}
