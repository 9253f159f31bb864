//! Writing as the repository's owner, when the daemon is root and the repository a user's: a directory of objects that
//! root made would refuse the user's next commit.

use std::fs;
use std::marker::PhantomData;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Uid, geteuid, setfsgid, setfsuid};

/// While it lives, this thread touches files as somebody else. Other threads are not affected; it cannot leave its own.
pub(super) struct AsOwner {
    before: Option<(Uid, Gid)>,
    _this_thread: PhantomData<*const ()>,
}

impl AsOwner {
    /// Becomes the owner of `path` for file access, if that is another user and this process may.
    pub(super) fn of(path: &Path) -> Self {
        let owner = fs::metadata(path).ok().filter(|meta| geteuid().is_root() && meta.uid() != 0);
        let before = owner.map(|meta| {
            // The group first: afterwards the right to change it is gone.
            let gid = setfsgid(Gid::from_raw(meta.gid()));
            let uid = setfsuid(Uid::from_raw(meta.uid()));
            keep_reading();
            (uid, gid)
        });
        Self { before, _this_thread: PhantomData }
    }
}

impl Drop for AsOwner {
    fn drop(&mut self) {
        if let Some((uid, gid)) = self.before {
            setfsuid(uid);
            setfsgid(gid);
        }
    }
}

/// Changing the file user takes away every right over other users' files. Reading is given back: libgit2 looks into the
/// daemon user's own configuration, which the owner may not enter. Without it the merge fails with that reason.
fn keep_reading() {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Set {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    /// `_LINUX_CAPABILITY_VERSION_3` of `linux/capability.h`: two sets of 32 bits.
    const VERSION_3: u32 = 0x2008_0522;
    /// `CAP_DAC_READ_SEARCH` of the same file.
    const READ_SEARCH: u32 = 1 << 2;
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut sets = [Set::default(); 2];
    // SAFETY: both pointers are to live, properly laid out values for the whole call; pid 0 is the calling thread.
    let got = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) };
    if got == 0 {
        sets[0].effective |= READ_SEARCH & sets[0].permitted;
        // SAFETY: as above; the kernel only reads, and only this thread's rights change.
        unsafe { libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) };
    }
}
