//! A disk of a workspace's own: a file system in a sparse file, mounted where the workspace's directory is. The kernel
//! bounds it, whoever writes, and others of the machine do not notice.
//!
//! It is mounted on the host, where people and git see worktrees and missions as those of any other workspace. The loop
//! device goes by itself with the last mount; `mount` finds the one that a file has already, so an image is never under
//! two devices.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use sandboxed_domain::api::StorageUse;

use super::error::SandboxError;

/// What is left of less than this counts as nothing: a large write fails as a whole, or for the last of its pages.
const NOTHING: u64 = 2 << 20;
/// Bytes of a disk that is only tried.
const TRIAL: u64 = 8 << 20;
/// The image in its directory.
const IMAGE: &str = "image";
/// Programs that are needed, and the package of each.
const PROGRAMS: [(&str, &str); 2] = [("mkfs.ext4", "e2fsprogs"), ("mount", "mount")];
/// Where the host's programs of that kind are.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// The disk of one workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Holds the image.
    pub home: PathBuf,
    /// Where it is mounted.
    pub at: PathBuf,
}

/// What this machine lacks for such disks, and what to do about it; none when nothing.
pub fn missing() -> Option<(String, String)> {
    if !Path::new("/dev/loop-control").exists() {
        return Some(("there are no loop devices".to_owned(), "modprobe loop".to_owned()));
    }
    let absent = |name: &str| !PATH.split(':').any(|directory| Path::new(directory).join(name).is_file());
    let (name, package) = PROGRAMS.into_iter().find(|(name, _)| absent(name))?;
    Some((format!("{name} is not installed"), format!("apt-get install {package}")))
}

/// Makes a disk in a directory, and takes it away.
///
/// # Errors
/// What stood in the way, in words.
pub fn trial(dir: &Path) -> Result<String, String> {
    if let Some((what, _)) = missing() {
        return Err(what);
    }
    let disk = Disk { home: dir.join("disk"), at: dir.join("mounted") };
    let (made, gone) = (disk.ensure(TRIAL), disk.remove());
    let words = |error: SandboxError| sandboxed_domain::api::ApiError::from(error).message;
    made.and(gone).map(|()| "file systems in files are made and mounted".to_owned()).map_err(words)
}

impl Disk {
    /// Mounts it; makes it first where it is not there, with room for `bytes`. Repeating this is harmless.
    ///
    /// # Errors
    /// A program fails, or the data directory's disk does.
    pub fn ensure(&self, bytes: u64) -> Result<(), SandboxError> {
        if self.is_mounted()? {
            return Ok(());
        }
        for directory in [&self.home, &self.at] {
            fs::create_dir_all(directory).map_err(SandboxError::io("create", directory))?;
        }
        let image = self.home.join(IMAGE);
        if !image.exists() {
            self.make(&image, bytes)?;
        }
        // Its blocks go back to the host when files are removed.
        let options = "loop,nodev,nosuid,discard";
        run(Command::new("mount").args(["-t", "ext4", "-o", options]).arg(&image).arg(&self.at), &image)
    }

    /// An image has its name only when it is whole.
    fn make(&self, image: &Path, bytes: u64) -> Result<(), SandboxError> {
        let making = self.home.join(format!("{}.making", uuid::Uuid::now_v7().simple()));
        let file = File::create_new(&making).map_err(SandboxError::io("create", &making))?;
        file.set_len(bytes).map_err(SandboxError::io("size", &making))?;
        drop(file);
        // The tables are written when they are needed; nothing is kept back for root, who is not the one inside.
        let made = run(
            Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-E", "root_owner=0:0"]).arg(&making),
            &making,
        );
        made.and_then(|()| fs::rename(&making, image).map_err(SandboxError::io("rename", &making)))
    }

    /// Whether it is mounted.
    ///
    /// # Errors
    /// The list of mounts cannot be read.
    pub fn is_mounted(&self) -> Result<bool, SandboxError> {
        let Ok(at) = fs::canonicalize(&self.at) else { return Ok(false) };
        Ok(mounts().map_err(SandboxError::io("read", Path::new("mountinfo")))?.contains(&at))
    }

    /// How full it is; none while it is not mounted.
    pub fn fill(&self) -> Option<StorageUse> {
        self.is_mounted().ok().filter(|mounted| *mounted)?;
        let seen = nix::sys::statvfs::statvfs(&self.at).ok()?;
        let bytes = |blocks: u64| blocks * seen.fragment_size();
        let (whole, left) = (bytes(seen.blocks()), bytes(seen.blocks_available()));
        let left = if left < NOTHING { 0 } else { left };
        Some(StorageUse { used_bytes: whole.saturating_sub(left), quota_bytes: whole })
    }

    /// Takes it away with all that is on it.
    ///
    /// # Errors
    /// It cannot be unmounted or removed.
    pub fn remove(&self) -> Result<(), SandboxError> {
        while self.is_mounted()? {
            let gone = match umount2(&self.at, MntFlags::UMOUNT_NOFOLLOW) {
                // Somebody of the host stands in it: it is gone for all others at once, and for them when they leave.
                Err(Errno::EBUSY) => umount2(&self.at, MntFlags::UMOUNT_NOFOLLOW | MntFlags::MNT_DETACH),
                gone => gone,
            };
            gone.map_err(|errno| SandboxError::io("unmount", &self.at)(errno.into()))?;
        }
        match fs::remove_dir_all(&self.home) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(SandboxError::io("remove", &self.home)(error))
            }
            _ => Ok(()),
        }
    }
}

/// Places where something is mounted.
fn mounts() -> io::Result<Vec<PathBuf>> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(text.lines().filter_map(|line| line.split(' ').nth(4)).map(unescaped).collect())
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

fn run(command: &mut Command, path: &Path) -> Result<(), SandboxError> {
    let failed = SandboxError::io("make a disk of", path);
    let output = command.env_clear().env("PATH", PATH).env("LC_ALL", "C").stdin(Stdio::null()).output();
    match output {
        Err(error) => Err(failed(error)),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(failed(io::Error::other(said.trim().to_owned())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_the_kernel_writes_them() {
        assert_eq!(unescaped(r"/a\040b\134c"), Path::new(r"/a b\c"));
        assert_eq!(unescaped("/plain"), Path::new("/plain"));
    }

    /// A failed test leaves nothing mounted either.
    struct Gone<'a>(&'a Disk);

    impl Drop for Gone<'_> {
        fn drop(&mut self) {
            let _ = self.0.remove();
        }
    }

    #[test]
    fn a_disk_bounds_what_is_on_it_survives_its_mount_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk { home: dir.path().join("home"), at: dir.path().join("at here") };
        let _gone = Gone(&disk);
        assert_eq!(disk.fill(), None);
        disk.ensure(16 << 20).unwrap();
        disk.ensure(16 << 20).unwrap();
        let empty = disk.fill().unwrap();
        assert!(empty.quota_bytes <= 16 << 20 && empty.used_bytes < 1 << 20, "{empty:?}");
        fs::write(disk.at.join("kept"), "x").unwrap();
        let full = fs::write(disk.at.join("big"), vec![1; 32 << 20]).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        let fill = disk.fill().unwrap();
        assert_eq!(fill.used_bytes, fill.quota_bytes);
        // As after a restart of the machine: only the image is left.
        umount2(&disk.at, MntFlags::empty()).unwrap();
        disk.ensure(16 << 20).unwrap();
        assert_eq!(fs::read_to_string(disk.at.join("kept")).unwrap(), "x");
        let standing = File::open(disk.at.join("kept")).unwrap();
        disk.remove().unwrap();
        assert!(!disk.home.exists() && !disk.is_mounted().unwrap());
        drop(standing);
        disk.remove().unwrap();
    }
}
