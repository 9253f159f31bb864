//! The syscall filter, call by call.

use std::io;
use std::process::Command;

use sandbox_runner::seccomp::{self, Verdict};

use crate::support::PROGRAM;

/// Numbers that a kernel may know today and for a while.
const NUMBERS: std::ops::RangeInclusive<i64> = 0..=480;
/// The x32 ABI's mark on a number.
const X32: i64 = 0x4000_0000;

/// Runs `check` in a child with the filter on; what it returns is its exit status, which must be zero.
fn filtered(check: fn() -> i32) {
    // SAFETY: the child makes system calls and ends by _exit; it allocates only for the filter, and the C library makes
    // its allocator usable after fork.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: ends the child, whatever happened.
        unsafe {
            libc::setsid();
            libc::_exit(if seccomp::install().is_ok() { check() } else { 250 })
        }
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "killed by signal {}", libc::WTERMSIG(status));
    assert_eq!(libc::WEXITSTATUS(status), 0);
}

fn call(number: i64, arguments: [i64; 4]) -> i32 {
    let [a, b, c, d] = arguments;
    // SAFETY: every pointer among the arguments is invalid and small or -1, so the kernel refuses to follow it.
    let result = unsafe { libc::syscall(number, a, b, c, d, -1, -1) };
    if result < 0 { io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 }
}

fn complain(number: i64, got: i32, wanted: i32) -> i32 {
    use std::io::Write;
    let _ = writeln!(io::stderr(), "call {number} gave {got} instead of {wanted}");
    1
}

fn sweep() -> i32 {
    for number in NUMBERS.chain(NUMBERS.map(|n| n | X32)) {
        let wanted = match seccomp::verdict(number) {
            Verdict::Refuse => libc::EPERM,
            Verdict::Absent => libc::ENOSYS,
            Verdict::Allow | Verdict::Arguments => continue,
        };
        let got = call(number, [-1; 4]);
        if got != wanted {
            return complain(number, got, wanted);
        }
    }
    0
}

#[test]
fn every_call_that_is_not_allowed_is_refused() {
    filtered(sweep);
}

fn arguments() -> i32 {
    let namespaces = [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ];
    for flag in namespaces.map(i64::from) {
        for (number, flags) in [(libc::SYS_unshare, flag), (libc::SYS_clone, flag | i64::from(libc::SIGCHLD))]
        {
            let got = call(number, [flags, 0, 0, 0]);
            if got != libc::EPERM {
                return complain(number, got, libc::EPERM);
            }
        }
    }
    let high = 1 << 32;
    let cases = [
        (libc::SYS_unshare, [0x80, 0, 0, 0], libc::EPERM),
        (libc::SYS_unshare, [i64::from(libc::CLONE_FS), 0, 0, 0], 0),
        (libc::SYS_ioctl, [-1, 0x5412, 0, 0], libc::EPERM),
        (libc::SYS_ioctl, [-1, 0x5412 | high, 0, 0], libc::EPERM),
        (libc::SYS_ioctl, [-1, 0x541c, 0, 0], libc::EPERM),
        (libc::SYS_ioctl, [-1, 0x5401, 0, 0], libc::EBADF),
        (libc::SYS_personality, [0x0040_0000, 0, 0, 0], libc::EPERM),
        (libc::SYS_personality, [0xffff_ffff, 0, 0, 0], 0),
        (libc::SYS_personality, [0x4_0000, 0, 0, 0], 0),
        (libc::SYS_socket, [i64::from(libc::AF_VSOCK), 1, 0, 0], libc::EAFNOSUPPORT),
        (libc::SYS_socket, [i64::from(libc::AF_PACKET), 3, 0, 0], libc::EAFNOSUPPORT),
        (libc::SYS_socket, [i64::from(libc::AF_ALG), 5, 0, 0], libc::EAFNOSUPPORT),
        (libc::SYS_socket, [i64::from(libc::AF_NETLINK), 3, 9, 0], libc::EAFNOSUPPORT),
        (libc::SYS_socket, [i64::from(libc::AF_NETLINK), 3, 0, 0], 0),
        (libc::SYS_socket, [i64::from(libc::AF_UNIX), 1, 0, 0], 0),
        (libc::SYS_socket, [i64::from(libc::AF_INET6), 1, 0, 0], 0),
        (libc::SYS_prlimit64, [1, 7, 0, 0], libc::EPERM),
        (libc::SYS_prlimit64, [0, 7, 0, 0], 0),
        (libc::SYS_setpriority, [0, 1, 0, 0], libc::EPERM),
        (libc::SYS_sched_setaffinity, [1, 0, 0, 0], libc::EPERM),
        (libc::SYS_clone3, [0, 0, 0, 0], libc::ENOSYS),
    ];
    for (number, arguments, wanted) in cases {
        let got = call(number, arguments);
        if got != wanted {
            return complain(number, got, wanted);
        }
    }
    0
}

#[test]
fn calls_are_judged_by_their_arguments() {
    filtered(arguments);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_32_bit_abi_kills_who_uses_it() {
    // SAFETY: as in `filtered`; the instruction is the old way into the kernel, here for getpid.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let installed = seccomp::install().is_ok();
        // SAFETY: clobbers only rax, which is declared.
        unsafe {
            let mut _pid = 20i64;
            if installed {
                std::arch::asm!("int 0x80", inout("rax") _pid);
            }
            libc::_exit(0)
        }
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSYS, "{status:#x}");
}

#[test]
fn the_printed_table_is_the_one_in_force() {
    let output = Command::new(PROGRAM).arg("seccomp-table").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.lines().count() > 300);
    for line in text.lines() {
        let [name, number, word] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert_eq!(seccomp::verdict(number.parse().unwrap()).word(), word, "{name}");
    }
    assert!(text.contains(&format!("mount {} eperm\n", libc::SYS_mount)));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_table_is_the_one_that_was_looked_through() {
    let output = Command::new(PROGRAM).arg("seccomp-table").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runner/seccomp.x86_64");
    let written = std::fs::read_to_string(golden).unwrap_or_default();
    let changed: Vec<_> = text.lines().filter(|line| !written.lines().any(|w| w == *line)).collect();
    assert!(text == written, "look through {changed:?}, then run `sandbox-runner seccomp-table > {golden}`");
}
