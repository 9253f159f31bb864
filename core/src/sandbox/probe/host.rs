//! What can be seen at a glance: programs, the kernel's own lists, mounts. Cheap enough for the first start of a daemon.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use super::check::{Check, Need};
use crate::sandbox::cgroup::{Controller, Hierarchies, Hierarchy, Version};
use crate::sandbox::error::SandboxError;
use crate::sandbox::runner_path::runner_path;

/// First nspawn with `rootidmap`.
const NSPAWN_VERSION: u32 = 252;
/// First kernel that lets overlayfs use idmapped layers, by which a sandbox's files are stored as root's.
const KERNEL: (u32, u32) = (5, 19);

/// What a start needs of the host.
pub(super) fn host_checks() -> Vec<Check> {
    vec![
        root(),
        nspawn(),
        kernel(),
        filesystem("overlay"),
        user_namespaces(),
        seccomp(),
        landlock(),
        cgroups(),
    ]
}

/// Refuses when something that sandboxes need of the host is missing; which runner is used is checked by its path. The
/// good answer is remembered for the life of the process.
///
/// # Errors
/// [`SandboxError::Unsupported`] with every failed check.
pub fn ensure_supported() -> Result<(), SandboxError> {
    static SUPPORTED: OnceLock<()> = OnceLock::new();
    if SUPPORTED.get().is_some() {
        return Ok(());
    }
    let missing: Vec<Check> = host_checks().into_iter().filter(|check| !check.ok).collect();
    if !missing.is_empty() {
        return Err(SandboxError::Unsupported { missing });
    }
    SUPPORTED.get_or_init(|| ());
    Ok(())
}

/// Refuses when a network of its own with a way out cannot be made here.
///
/// # Errors
/// [`SandboxError::Unsupported`] with what is missing.
pub fn ensure_nat() -> Result<(), SandboxError> {
    let missing: Vec<Check> = nat_checks().into_iter().filter(|check| !check.ok).collect();
    if missing.is_empty() { Ok(()) } else { Err(SandboxError::Unsupported { missing }) }
}

/// Only network mode `nat` needs these.
pub(super) fn nat_checks() -> [Check; 2] {
    // An old pasta writes its version to stderr only.
    let present = |name: &'static str, mend: &str| {
        let found = first_line(name, &["--version"])
            .map(|line| if line.is_empty() { "installed".into() } else { line });
        Check::of(name, Need::Nat, found, mend)
    };
    [present("nft", "apt-get install nftables"), present("pasta", "apt-get install passt")]
}

fn check(name: &'static str, found: Result<String, String>, mend: &str) -> Check {
    Check::of(name, Need::Sandboxes, found, mend)
}

fn root() -> Check {
    let user = nix::unistd::geteuid();
    let found = if user.is_root() { Ok("running as root".into()) } else { Err(format!("user id {user}")) };
    check("root", found, "run sandboxed-sh as root, for example as a systemd service")
}

fn first_line(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|e| format!("{program}: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err(format!("{program}: {}", output.status));
    }
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Agents work with it, and so do worktrees.
pub(super) fn git() -> Check {
    Check::of("git", Need::Repositories, first_line("git", &["--version"]), "apt-get install git")
}

fn nspawn() -> Check {
    let found = first_line("systemd-nspawn", &["--version"]).and_then(|line| match nspawn_version(&line) {
        Some(version) if version >= NSPAWN_VERSION => Ok(line),
        Some(version) => Err(format!("version {version}, needed is {NSPAWN_VERSION} or later")),
        None => Err(format!("unknown version: {line}")),
    });
    check("systemd-nspawn", found, "apt-get install systemd-container")
}

/// `systemd 252 (252.39-1~deb12u2)` → 252; also `systemd 256~rc1`.
fn nspawn_version(line: &str) -> Option<u32> {
    let word = line.split_whitespace().nth(1)?;
    word.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn kernel() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim().to_owned();
    let found = match kernel_version(&release) {
        Some(version) if version >= KERNEL => Ok(release),
        _ => Err(format!("Linux {release}; idmapped overlay layers need {}.{}", KERNEL.0, KERNEL.1)),
    };
    check("kernel", found, "boot a Linux kernel of version 5.19 or later")
}

fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn filesystem(name: &'static str) -> Check {
    let known = || {
        let text = fs::read_to_string("/proc/filesystems").unwrap_or_default();
        text.lines().any(|line| line.split_whitespace().last() == Some(name))
    };
    // A module that nobody has used yet is not listed.
    let found = if known() || (first_line("modprobe", &[name]).is_ok() && known()) {
        Ok("available".into())
    } else {
        Err("not known to the kernel".into())
    };
    check(name, found, &format!("modprobe {name}"))
}

fn user_namespaces() -> Check {
    let path = "/proc/sys/user/max_user_namespaces";
    let most = fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let found = match most {
        Some(0) => Err(format!("{path} is 0")),
        Some(most) => Ok(format!("up to {most}")),
        None => Err("the kernel has none".into()),
    };
    check("user namespaces", found, "sysctl -w user.max_user_namespaces=65536")
}

fn seccomp() -> Check {
    let found = if Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() {
        Ok("filters available".into())
    } else {
        Err("the kernel has no syscall filters".into())
    };
    check("seccomp", found, "boot a kernel with CONFIG_SECCOMP_FILTER")
}

/// The daemon's own work among workers' files is held to its places by it.
fn landlock() -> Check {
    let found = if sandboxed_git::confine::is_available() {
        Ok("the daemon's writes among workers' files are confined".into())
    } else {
        Err("the kernel does not confine the daemon's own writes among workers' files".into())
    };
    check(
        "landlock",
        found,
        "boot a kernel with CONFIG_SECURITY_LANDLOCK, and landlock among its lsm= parameter",
    )
}

fn cgroups() -> Check {
    let found = Hierarchies::detect().map_err(|e| e.to_string()).and_then(|all| {
        let missing: Vec<_> = all.missing().into_iter().map(Controller::as_str).collect();
        if missing.is_empty() { Ok(layout(&all)) } else { Err(format!("missing: {}", missing.join(", "))) }
    });
    check("cgroup controllers", found, "boot with cgroup_enable=memory and mount cgroup2 on /sys/fs/cgroup")
}

/// `version 1: memory, cpu, pids; version 2 beside it`
fn layout(all: &Hierarchies) -> String {
    let of = |version: Version| {
        let own: Vec<&Hierarchy> = all.iter().filter(|h| h.version == version).collect();
        let names = own.iter().flat_map(|h| &h.controllers).map(|c| c.as_str());
        (!own.is_empty()).then(|| names.collect::<Vec<_>>().join(", "))
    };
    let part = |number: u8, names: Option<String>| match names.as_deref() {
        None => None,
        Some("") => Some(format!("version {number} without controllers")),
        Some(names) => Some(format!("version {number}: {names}")),
    };
    [part(1, of(Version::V1)), part(2, of(Version::V2))].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Without `favordynmods` a process that joins a cgroup after a pause waits for an RCU grace period: measured 5.5 ms
/// against 0.2 ms. It is a setting of the whole host, and forks cost slightly more with it, so it is left to its owner.
pub(super) fn cgroup_latency() -> Check {
    let name = "cgroup latency";
    let Some(root) = Hierarchies::detect().ok().and_then(|all| all.unified().map(|h| h.root.clone())) else {
        let found = Err("no cgroup2 is mounted, so joining a cgroup may take some milliseconds".into());
        return Check::of(name, Need::Speed, found, "mount cgroup2, with the option favordynmods");
    };
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let ours = |line: &&str| line.split(' ').nth(4) == root.to_str();
    let found = if mounts.lines().filter(ours).any(|line| line.contains("favordynmods")) {
        Ok("favordynmods is set".into())
    } else {
        Err("favordynmods is not set: each run starts some 5 ms later".into())
    };
    let mend = format!("mount -o remount,favordynmods {}", root.display());
    Check::of(name, Need::Speed, found, &mend)
}

pub(super) fn runner() -> Check {
    let found = runner_path();
    let mend = found.as_ref().err().map(SandboxError::hint).unwrap_or_default();
    check("sandbox-runner", found.map(|p| p.display().to_string()).map_err(|e| e.to_string()), &mend)
}

/// Images are made by one of two programs.
pub fn image_builder() -> Check {
    let found =
        first_line("mmdebstrap", &["--version"]).or_else(|_| first_line("debootstrap", &["--version"]));
    let found = found.map_err(|_| "neither mmdebstrap nor debootstrap".to_owned());
    Check::of("image builder", Need::Images, found, "apt-get install mmdebstrap")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_their_makers_write_them() {
        assert_eq!(nspawn_version("systemd 252 (252.39-1~deb12u2)"), Some(252));
        assert_eq!(nspawn_version("systemd 256~rc1-2 (256)"), Some(256));
        assert_eq!(nspawn_version("bwrap"), None);
        assert_eq!(kernel_version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(kernel_version("5.4"), Some((5, 4)));
        assert!(kernel_version("5.4") < Some(KERNEL) && kernel_version("5.19.0") >= Some(KERNEL));
    }

    #[test]
    fn a_failed_check_says_how_to_mend_it() {
        let all = host_checks().into_iter().chain(nat_checks());
        for check in all.chain([runner(), cgroup_latency(), image_builder(), git()]) {
            assert_eq!(check.ok, check.mend.is_empty(), "{check:?}");
        }
    }
}
