//! Capabilities of a sandbox's processes, all within its user namespace.

use std::io;

/// What package managers and servers need as root of a container, and nothing that reaches mounts, devices, other
/// processes' memory or the kernel.
///
/// nspawn itself gives NET_BIND_SERVICE only together with a private network.
const KEPT: [u32; 8] = [
    0,  // CHOWN
    1,  // DAC_OVERRIDE
    3,  // FOWNER
    4,  // FSETID
    5,  // KILL
    6,  // SETGID
    7,  // SETUID
    10, // NET_BIND_SERVICE
];
/// `_LINUX_CAPABILITY_VERSION_3`.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Leaves the kept ones, as far as they are held, in the bounding, permitted and effective sets; the inheritable and
/// ambient sets end up empty.
pub fn drop_all_but_kept() -> io::Result<()> {
    // SAFETY: prctl with plain numbers.
    let cleared = unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    check(cleared.into())?;
    for capability in 0.. {
        // SAFETY: as above. The kernel answers -1 past its last capability.
        if unsafe { libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) } < 0 {
            break;
        }
        if !KEPT.contains(&capability) {
            // SAFETY: as above.
            check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) }.into())?;
        }
    }
    let header = Header { version: VERSION, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: both structures are live and laid out as version 3 of the call wants them.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) })?;
    let kept = KEPT.iter().fold(0, |mask, capability| mask | 1 << capability) & data[0].permitted;
    data = [Data { effective: kept, permitted: kept, inheritable: 0 }, Data::default()];
    // SAFETY: as above.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) })
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
