//! What the file system of the data directory can do, tried in a directory of its own.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ioctl_ficlone, openat, statfs};

use super::check::{Check, Need};
use crate::sandbox::disk;

/// Numbers of file systems (`linux/magic.h` and the file systems' own headers) and their names.
const KNOWN: [(u64, &str); 9] = [
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x0102_1994, "tmpfs"),
    (0xf2f5_2010, "f2fs"),
    (0x2fc1_2fc1, "zfs"),
    (0x794c_7630, "overlay"),
    (0x6969, "nfs"),
    (0x6573_5546, "fuse"),
];

/// All of it; `dir` is an empty directory of the file system, which the caller removes.
pub(super) fn checks(dir: &Path) -> [Check; 4] {
    let name = name_of(dir);
    [
        Check::of(
            "file system",
            Need::Sandboxes,
            links(dir, &name),
            "put SANDBOXED_SH_DATA_DIR on a local disk",
        ),
        Check::of(
            "unnamed files",
            Need::Speed,
            unnamed(dir).map(|()| format!("{name} has O_TMPFILE")).map_err(|e| format!("{name}: {e}")),
            "put SANDBOXED_SH_DATA_DIR on ext4, XFS or btrfs",
        ),
        Check::of(
            "reflinks",
            Need::Speed,
            reflink(dir)
                .map(|()| format!("files share their data on {name}"))
                .map_err(|e| format!("each copy of a file is written out on {name}: {e}")),
            "put SANDBOXED_SH_DATA_DIR on btrfs, or on XFS made with reflink=1",
        ),
        Check::of(
            "disk limits",
            Need::DiskLimits,
            disk::trial(dir),
            &disk::missing().map_or_else(
                || "run the daemon where file systems may be mounted".to_owned(),
                |(_, mend)| mend,
            ),
        ),
    ]
}

fn name_of(dir: &Path) -> String {
    let Ok(found) = statfs(dir) else { return "an unknown file system".to_owned() };
    // The type's width and sign differ between machines.
    #[expect(clippy::cast_sign_loss, reason = "a number of 32 bits")]
    let number = found.f_type as u64 & 0xffff_ffff;
    let known = KNOWN.iter().find(|(magic, _)| *magic == number);
    known.map_or_else(|| format!("file system {number:#x}"), |(_, name)| (*name).to_owned())
}

/// Frozen layers are made of hard links, and everything is put in place by exchange and rename.
fn links(dir: &Path, name: &str) -> Result<String, String> {
    let (one, two) = (dir.join("one"), dir.join("two"));
    let work = || {
        fs::write(&one, "x")?;
        fs::hard_link(&one, &two)?;
        rustix::fs::renameat_with(CWD, &one, CWD, &two, rustix::fs::RenameFlags::EXCHANGE)?;
        fs::remove_file(&one)?;
        File::open(&two)?.sync_all()
    };
    work()
        .map(|()| format!("{name} with hard links and exchange"))
        .map_err(|e: io::Error| format!("{name}: {e}"))
}

fn unnamed(dir: &Path) -> io::Result<()> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    Ok(openat(CWD, dir, flags, Mode::RUSR | Mode::WUSR).map(drop)?)
}

fn reflink(dir: &Path) -> io::Result<()> {
    let (from, to) = (dir.join("from"), dir.join("to"));
    // Some file systems keep a few bytes in the inode, which cannot be shared.
    fs::write(&from, [b'x'; 8192])?;
    Ok(ioctl_ficlone(File::create(&to)?, File::open(&from)?)?)
}
