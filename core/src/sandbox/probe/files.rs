//! What the file system of the data directory can do, tried in a directory of its own.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ioctl_ficlone, openat, statfs};

use super::check::{Check, Need};

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

/// A project that is nobody's: the highest number that the kernel lets one have.
const PROJECT: u32 = u32::MAX - 1;

/// `struct fsxattr` of the kernel.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Fsxattr {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    padding: [u8; 8],
}

nix::ioctl_write_ptr!(set_attributes, b'X', 32, Fsxattr);

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
        Check::of("project quota", Need::DiskLimits, project_quota(dir, &name), &quota_mend(&name)),
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

/// Whether a directory takes a project and the file system counts and refuses by it.
fn project_quota(dir: &Path, name: &str) -> Result<String, String> {
    let place = dir.join("project");
    let marked = fs::create_dir(&place).and_then(|()| File::open(&place)).and_then(|file| {
        let wanted = Fsxattr { project: PROJECT, ..Fsxattr::default() };
        // SAFETY: the structure has the kernel's layout and size and outlives the call; the descriptor is open.
        let set = unsafe { set_attributes(file.as_raw_fd(), &raw const wanted) };
        set.map(drop).map_err(io::Error::from)
    });
    marked.map_err(|e| format!("{name} does not mark directories with a project: {e}"))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let options = fs::metadata(dir).map(|found| {
        use std::os::unix::fs::MetadataExt;
        mount_options(&mounts, found.dev())
    });
    match options {
        Ok(Some(options)) if enforces(&options) => Ok(format!("{name} is mounted with project quota")),
        _ => Err(format!("{name} is not mounted with project quota")),
    }
}

/// Options of the file system with this device number: the last word of a line of mountinfo.
fn mount_options(mountinfo: &str, dev: u64) -> Option<String> {
    let wanted = format!("{}:{}", nix::sys::stat::major(dev), nix::sys::stat::minor(dev));
    let line = mountinfo.lines().find(|line| line.split(' ').nth(2) == Some(wanted.as_str()))?;
    line.rsplit(' ').next().map(str::to_owned)
}

fn enforces(options: &str) -> bool {
    options.split(',').any(|word| matches!(word, "prjquota" | "pquota"))
}

fn quota_mend(name: &str) -> String {
    match name {
        "ext4" => {
            "tune2fs -O quota,project DEVICE while it is not mounted, then mount it with prjquota".to_owned()
        }
        "xfs" => "mount it with prjquota".to_owned(),
        _ => "put SANDBOXED_SH_DATA_DIR on XFS or ext4 with project quota".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_those_of_the_device() {
        let text = "27 1 254:0 / / rw - ext4 /dev/vda rw,errors=remount-ro\n\
                    30 27 254:16 / /data rw,noatime shared:1 - xfs /dev/vdb rw,attr2,prjquota\n";
        let options = |minor| mount_options(text, nix::sys::stat::makedev(254, minor));
        assert!(!enforces(&options(0).unwrap()));
        assert!(enforces(&options(16).unwrap()));
        assert_eq!(options(1), None);
    }

    #[test]
    fn what_a_file_system_lacks_is_told_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        for check in checks(dir.path()) {
            assert_eq!(check.ok, check.mend.is_empty(), "{check:?}");
        }
        // A directory that is not there can do nothing.
        let none = checks(Path::new("/proc/none"));
        assert!(none.iter().all(|check| !check.ok && !check.mend.is_empty()), "{none:?}");
    }
}
