//! Mounts whose files appear to belong to others than they do: clones of a mount with a map of ids.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{self, ForkResult, Pid};

use super::{LaunchFailure, Step};

/// Which ids of files appear as which others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    /// First id as it is stored.
    pub stored: u32,
    /// First id as it appears.
    pub shown: u32,
    /// How many.
    pub count: u32,
}

/// A user namespace with such a map: a mount's idmapping is described by one. It needs a process to be made, which ends
/// at once.
pub(super) fn user_namespace(ids: Ids) -> Result<OwnedFd, LaunchFailure> {
    let what = || "user namespace".to_owned();
    let (ready_read, ready_write) = unistd::pipe2(OFlag::O_CLOEXEC).step("idmap", what)?;
    // SAFETY: this program is single-threaded here, so the child may use everything.
    match unsafe { unistd::fork() }.step("idmap", what)? {
        ForkResult::Child => hold_user_namespace(ready_write),
        ForkResult::Parent { child } => {
            drop(ready_write);
            let namespace = map_and_open(child, File::from(ready_read), ids);
            let _ = kill(child, Signal::SIGKILL);
            let _ = waitpid(child, None);
            namespace
        }
    }
}

/// The child's part: enter a new user namespace, say so, and wait to be killed.
fn hold_user_namespace(ready: OwnedFd) -> ! {
    let errno = match unshare(CloneFlags::CLONE_NEWUSER) {
        Ok(()) => 0,
        Err(errno) => errno as i32,
    };
    let _ = unistd::write(&ready, &errno.to_ne_bytes());
    loop {
        unistd::pause();
    }
}

fn map_and_open(child: Pid, mut ready: File, ids: Ids) -> Result<OwnedFd, LaunchFailure> {
    let mut errno = [0; 4];
    ready.read_exact(&mut errno).step("idmap", || "helper process".into())?;
    match i32::from_ne_bytes(errno) {
        0 => {}
        raw => return Err(Errno::from_raw(raw)).step("idmap", || "unshare user namespace".into()),
    }
    let Ids { stored, shown, count } = ids;
    for file in ["uid_map", "gid_map"] {
        let path = format!("/proc/{child}/{file}");
        fs::write(&path, format!("{stored} {shown} {count}\n")).step("idmap", || path)?;
    }
    let path = format!("/proc/{child}/ns/user");
    Ok(File::open(&path).step("idmap", || path)?.into())
}

const OPEN_TREE_CLONE: libc::c_uint = 1;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 4;
const MOUNT_ATTR_RDONLY: u64 = 0x1;
const MOUNT_ATTR_NODEV: u64 = 0x4;
const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;

/// `struct mount_attr` of the kernel, in its first version.
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Covers a directory with an idmapped clone of itself, in this mount namespace only.
pub(super) fn idmap_in_place(dir: &Path, users: &OwnedFd, access: Access) -> Result<(), LaunchFailure> {
    let what = || dir.display().to_string();
    let attributes = MOUNT_ATTR_NODEV | if access == Access::Read { MOUNT_ATTR_RDONLY } else { 0 };
    let tree = shifted(dir, users, attributes)?;
    put(&tree, dir).step("idmap", || format!("move_mount {}", what()))
}

/// Puts an idmapped clone of `source` in another place of this mount namespace.
pub(super) fn idmap_to(source: &Path, users: &OwnedFd, place: &Path) -> Result<(), LaunchFailure> {
    let tree = shifted(source, users, 0)?;
    put(&tree, place).step("idmap", || format!("move_mount {} to {}", source.display(), place.display()))
}

/// What is done with a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// A clone of what is mounted at `path`, without what is mounted below, not yet mounted itself.
fn shifted(path: &Path, users: &OwnedFd, attributes: u64) -> Result<OwnedFd, LaunchFailure> {
    let what = || path.display().to_string();
    let name = c_path(path)?;
    let flags = OPEN_TREE_CLONE | OFlag::O_CLOEXEC.bits() as libc::c_uint;
    // SAFETY: `name` is a C string that outlives the call.
    let tree = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, name.as_ptr(), flags) };
    let tree = Errno::result(tree).step("idmap", || format!("open_tree {}", what()))?;
    // SAFETY: open_tree returned a new descriptor that nobody else owns.
    let tree = unsafe { OwnedFd::from_raw_fd(tree as RawFd) };
    let attr = MountAttr {
        attr_set: MOUNT_ATTR_IDMAP | attributes,
        attr_clr: 0,
        propagation: 0,
        userns_fd: users.as_raw_fd() as u64,
    };
    let (fd, size) = (tree.as_raw_fd(), size_of::<MountAttr>());
    // SAFETY: the empty path means `fd` itself; `attr` is a valid mount_attr of the given size.
    let set = unsafe {
        libc::syscall(libc::SYS_mount_setattr, fd, c"".as_ptr(), libc::AT_EMPTY_PATH, &raw const attr, size)
    };
    Errno::result(set).step("idmap", || format!("mount_setattr {}", what()))?;
    Ok(tree)
}

fn put(tree: &OwnedFd, place: &Path) -> nix::Result<()> {
    let place = CString::new(place.as_os_str().as_encoded_bytes()).map_err(|_| Errno::EINVAL)?;
    let (fd, flags) = (tree.as_raw_fd(), MOVE_MOUNT_F_EMPTY_PATH);
    // SAFETY: both paths are C strings that outlive the call.
    let moved = unsafe {
        libc::syscall(libc::SYS_move_mount, fd, c"".as_ptr(), libc::AT_FDCWD, place.as_ptr(), flags)
    };
    Errno::result(moved).map(drop)
}

fn c_path(path: &Path) -> Result<CString, LaunchFailure> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|e| LaunchFailure::new("idmap", e.to_string()))
}
