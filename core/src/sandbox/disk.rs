//! A disk of a workspace's own: a file system in a sparse file, mounted where the workspace's directory is. The kernel
//! bounds it, whoever writes, and others of the machine do not notice.
//!
//! It is mounted on the host, where people and git see worktrees and missions as those of any other workspace. The loop
//! device goes by itself with the last mount; `mount` finds the one that a file has already, so an image is never under
//! two devices.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use sandboxed_domain::api::StorageUse;

use super::error::SandboxError;

/// What is left of less than this counts as nothing: a large write fails as a whole, or for the last of its pages.
const NOTHING: u64 = 2 << 20;
/// Bytes of a disk that is only tried.
const TRIAL: u64 = 8 << 20;
/// Less than this more is not worth the effort; the last part of an image may hold no whole group of blocks.
const SMALLEST_GROWTH: u64 = 1 << 20;
/// The image in its directory.
const IMAGE: &str = "image";
/// Programs that are needed, and the package of each.
const PROGRAMS: [(&str, &str); 4] =
    [("mkfs.ext4", "e2fsprogs"), ("e2fsck", "e2fsprogs"), ("resize2fs", "e2fsprogs"), ("mount", "mount")];
/// How often and after which pauses it is tried to have a disk to oneself. A sandbox that begins elsewhere has all mounts
/// of the host for a moment, and one that has ended goes in its time.
const LET_GO_LOOKS: u32 = 150;
const LET_GO_PAUSE: Duration = Duration::from_millis(20);
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
    /// Mounts it; makes it first where it is not there, with room for `bytes`, and lets one that has less room grow to
    /// that, unless it is in use. One that has more stays as it is. Repeating this is harmless.
    ///
    /// # Errors
    /// A program fails, or the data directory's disk does.
    pub fn ensure(&self, bytes: u64) -> Result<(), SandboxError> {
        for directory in [&self.home, &self.at] {
            fs::create_dir_all(directory).map_err(SandboxError::io("create", directory))?;
        }
        let image = self.home.join(IMAGE);
        if !image.exists() {
            self.make(&image, bytes)?;
        }
        if let Some(length) = growth(&image, bytes).map_err(SandboxError::io("read", &image))? {
            match self.is_let_go(&image)? {
                true => grow(&image, length)?,
                false => tracing::warn!(image = %image.display(), "it is in use, and grows at a later start"),
            }
        }
        if self.is_mounted()? {
            return Ok(());
        }
        // Its blocks go back to the host when files are removed.
        let options = "loop,nodev,nosuid,discard";
        run(Command::new("mount").args(["-t", "ext4", "-o", options]).arg(&image).arg(&self.at), &image)
    }

    /// Unmounts it where nobody stands in it. Whether it is mounted nowhere then: a sandbox that runs has it among its own
    /// mounts, and so has the device.
    fn is_let_go(&self, image: &Path) -> Result<bool, SandboxError> {
        let image = fs::canonicalize(image).map_err(SandboxError::io("find", image))?;
        for _ in 0..LET_GO_LOOKS {
            if self.is_unmounted()? && !has_device(&image) {
                return Ok(true);
            }
            // The kernel tells nobody when either is over.
            std::thread::sleep(LET_GO_PAUSE);
        }
        Ok(false)
    }

    /// Unmounts it unless somebody stands in it. Whether it is.
    fn is_unmounted(&self) -> Result<bool, SandboxError> {
        if !self.is_mounted()? {
            return Ok(true);
        }
        match umount2(&self.at, MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => Ok(true),
            Err(Errno::EBUSY) => Ok(false),
            Err(errno) => Err(SandboxError::io("unmount", &self.at)(errno.into())),
        }
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

/// How long an image should be whose file system has less room than `bytes`; also where an earlier attempt got no
/// further than the file.
fn growth(image: &Path, bytes: u64) -> io::Result<Option<u64>> {
    let file = File::open(image)?;
    let length = file.metadata()?.len().max(bytes);
    let more = length.saturating_sub(file_system_bytes(&file)?);
    Ok((more >= SMALLEST_GROWTH).then_some(length))
}

/// While it is mounted nowhere: to grow one in use takes a right that containers often lack.
fn grow(image: &Path, length: u64) -> Result<(), SandboxError> {
    let file = File::options().write(true).open(image).map_err(SandboxError::io("open", image))?;
    file.set_len(length).map_err(SandboxError::io("size", image))?;
    drop(file);
    // Without this it is not touched. Status 1: something was mended.
    let check = r#"e2fsck -f -p "$1" || [ $? -eq 1 ]"#;
    run(Command::new("sh").args(["-c", check, "sh"]).arg(image), image)?;
    run(Command::new("resize2fs").arg(image), image)
}

/// How large the ext4 file system in an image is, by its superblock.
fn file_system_bytes(image: &File) -> io::Result<u64> {
    let mut block = [0; 0x154];
    image.read_exact_at(&mut block, 1024)?;
    let number = |at: usize| {
        let bytes: [u8; 4] = [block[at], block[at + 1], block[at + 2], block[at + 3]];
        u64::from(u32::from_le_bytes(bytes))
    };
    let blocks = number(0x4) | number(0x150) << 32;
    Ok(blocks << (10 + number(0x18).min(6)))
}

/// Whether a loop device of the machine has this file.
fn has_device(image: &Path) -> bool {
    let blocks = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let mut files =
        blocks.filter_map(|block| fs::read_to_string(block.path().join("loop/backing_file")).ok());
    files.any(|file| Path::new(file.trim_end_matches('\n')) == image)
}

/// Places where something is mounted, as this thread has it: that is what it mounts and unmounts.
fn mounts() -> io::Result<Vec<PathBuf>> {
    let text = fs::read_to_string("/proc/thread-self/mountinfo")?;
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
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};

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

    /// A mount namespace that nobody copies: with the host's, whatever begins elsewhere on this machine would have the
    /// disk among its own mounts, some of it for long.
    fn alone() {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
    }

    #[test]
    fn a_disk_bounds_what_is_on_it_survives_its_mount_and_leaves_nothing() {
        alone();
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
        // Nobody grows it under whoever stands in it; later it does, and whoever wants less gets no less.
        let standing = File::open(disk.at.join("kept")).unwrap();
        disk.ensure(48 << 20).unwrap();
        assert!(disk.fill().unwrap().quota_bytes < 16 << 20);
        drop(standing);
        disk.ensure(48 << 20).unwrap();
        assert!(disk.fill().unwrap().quota_bytes > 32 << 20);
        fs::write(disk.at.join("more"), vec![1; 24 << 20]).unwrap();
        disk.ensure(16 << 20).unwrap();
        assert!(disk.fill().unwrap().quota_bytes > 32 << 20);
        // An attempt that got no further than the file is gone on with.
        File::options().write(true).open(disk.home.join(IMAGE)).unwrap().set_len(80 << 20).unwrap();
        disk.ensure(48 << 20).unwrap();
        assert!(disk.fill().unwrap().quota_bytes > 64 << 20);
        assert_eq!(fs::metadata(disk.at.join("more")).unwrap().len(), 24 << 20);
        let standing = File::open(disk.at.join("kept")).unwrap();
        disk.remove().unwrap();
        assert!(!disk.home.exists() && !disk.is_mounted().unwrap());
        drop(standing);
        disk.remove().unwrap();
    }
}
