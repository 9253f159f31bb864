//! From the tables to programs in the kernel.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Op,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::tables::{Verdict, table};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// `CLONE_NEW*` as `clone` takes them. `CLONE_NEWTIME` is missing: there its bit belongs to the exit signal.
const CLONE_NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];
const CLONE_NEWTIME: i32 = 0x80;
/// `ioctl`s that put words into another process's terminal.
const TERMINAL_INJECTION: [u64; 2] = [0x5412, 0x541c]; // TIOCSTI, TIOCLINUX
/// Plain Linux, 32-bit `uname`, 2.6 `uname`, both, no address randomisation (debuggers), and the question what it is.
const PERSONALITIES: [u64; 6] = [0, 0x8, 0x2_0000, 0x2_0008, 0x4_0000, 0xffff_ffff];
const FAMILIES: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
/// Calls that change another process of the same user, with the argument that names it. PID 1 has the user of the
/// workload's root, and limits set on it would keep it from recording how the workload ended.
const TARGETED: [(i64, u8); 6] = [
    (libc::SYS_prlimit64, 0),
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_setpriority, 1),
];

/// Why the filter is not on.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The program could not be made from the tables.
    #[error("the filter could not be built: {0}")]
    Build(#[from] BackendError),
    /// The kernel refused it.
    #[error("the kernel did not take the filter: {0}")]
    Load(#[from] seccompiler::Error),
}

/// Puts the filter on the calling thread and all that it will start; it cannot be taken off. Sets no-new-privileges.
///
/// # Errors
/// When the kernel has no syscall filters; part of the filter may then be on.
pub fn install() -> Result<(), InstallError> {
    let programs = [
        program(allowlist(), SeccompAction::Errno(errno(libc::ENOSYS)), SeccompAction::Allow)?,
        program(denylist()?, SeccompAction::Allow, SeccompAction::Errno(errno(libc::EPERM)))?,
        program(families()?, SeccompAction::Allow, SeccompAction::Errno(errno(libc::EAFNOSUPPORT)))?,
        program(core_limit()?, SeccompAction::Allow, SeccompAction::Errno(0))?,
    ];
    for program in &programs {
        seccompiler::apply_filter(program)?;
    }
    Ok(())
}

fn program(
    rules: Rules,
    otherwise: SeccompAction,
    on_match: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, otherwise, on_match, arch)?.try_into()
}

fn errno(number: i32) -> u32 {
    number.unsigned_abs()
}

fn allowlist() -> Rules {
    let exists = table().filter(|entry| entry.verdict != Verdict::Refuse);
    exists.map(|entry| (entry.number, Vec::new())).collect()
}

fn denylist() -> Result<Rules, BackendError> {
    let refused = table().filter(|entry| entry.verdict == Verdict::Refuse);
    let mut rules: Rules = refused.map(|entry| (entry.number, Vec::new())).collect();
    let bit = |bit: &i32| {
        let bit = u64::from(bit.unsigned_abs());
        rule([(0, Op::MaskedEq(bit), bit)])
    };
    let clone = CLONE_NAMESPACES.iter().map(bit).collect::<Result<_, _>>()?;
    let unshare = CLONE_NAMESPACES.iter().chain([&CLONE_NEWTIME]).map(bit).collect::<Result<_, _>>()?;
    let ioctl = TERMINAL_INJECTION.map(|request| rule([(1, Op::Eq, request)]));
    rules.insert(libc::SYS_clone, clone);
    rules.insert(libc::SYS_unshare, unshare);
    rules.insert(libc::SYS_ioctl, ioctl.into_iter().collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_personality, vec![rule(PERSONALITIES.map(|known| (0, Op::Ne, known)))?]);
    for (call, argument) in TARGETED {
        rules.insert(call, vec![rule([(argument, Op::Eq, 1)])?]);
    }
    Ok(rules)
}

/// Audit sockets answer as if the kernel had no audit, which is what audit's user space understands.
fn families() -> Result<Rules, BackendError> {
    const NETLINK_AUDIT: u64 = 9;
    let family = |family: i32| u64::from(family.unsigned_abs());
    let unknown = rule(FAMILIES.map(|known| (0, Op::Ne, family(known))))?;
    let audit = rule([(0, Op::Eq, family(libc::AF_NETLINK)), (2, Op::Eq, NETLINK_AUDIT)])?;
    let pair = rule([(0, Op::Ne, family(libc::AF_UNIX))])?;
    Ok(Rules::from([(libc::SYS_socket, vec![unknown, audit]), (libc::SYS_socketpair, vec![pair])]))
}

/// Setting the limit of core dumps succeeds and does nothing. It is 1 byte, by which the kernel neither writes a dump
/// nor hands it to the host's own handler, which runs as root outside; 0 would not keep it from that.
fn core_limit() -> Result<Rules, BackendError> {
    const CORE: u64 = libc::RLIMIT_CORE as u64;
    let sets = rule([(1, Op::Eq, CORE), (2, Op::Ne, 0)])?;
    let mut rules = Rules::from([(libc::SYS_prlimit64, vec![sets])]);
    if let Some(old) = table().find(|entry| entry.name == "setrlimit") {
        rules.insert(old.number, vec![rule([(0, Op::Eq, CORE)])?]);
    }
    Ok(rules)
}

/// All of `conditions` hold, on the lower 32 bits, which is all that these calls look at.
fn rule(conditions: impl IntoIterator<Item = (u8, Op, u64)>) -> Result<SeccompRule, BackendError> {
    let conditions = conditions.into_iter();
    let conditions =
        conditions.map(|(index, op, value)| SeccompCondition::new(index, Length::Dword, op, value));
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}
