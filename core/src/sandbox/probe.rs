//! What this host must have for sandboxes, each with the command that mends it. `doctor` shows all of it; a start asks
//! [`ensure_supported`] and never falls back to something weaker.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde::Serialize;

use super::cgroup::{Controller, Hierarchies};
use super::error::SandboxError;
use super::runner_path::runner_path;

/// First nspawn with `rootidmap`.
const NSPAWN_VERSION: u32 = 252;
/// First kernel that lets overlayfs use idmapped layers, by which a sandbox's files are stored as root's.
const KERNEL: (u32, u32) = (5, 19);

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable short name.
    pub name: &'static str,
    /// Whether it is as needed.
    pub ok: bool,
    /// Whether sandboxes cannot run without it; otherwise only a convenience is missing.
    pub required: bool,
    /// What was found.
    pub detail: String,
    /// The command that mends it; empty when it is fine.
    pub mend: String,
}

/// Looks at everything. Starts a few short programs; takes some tens of milliseconds.
pub fn checks() -> Vec<Check> {
    let mut found = host_checks();
    found.push(runner());
    found.push(cgroup_latency());
    found.extend(nat_checks());
    found.push(image_builder());
    found.push(program("git", &["--version"], false, "apt-get install git"));
    found
}

fn host_checks() -> Vec<Check> {
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
fn nat_checks() -> [Check; 2] {
    // An old pasta writes its version to stderr only.
    let present = |name: &'static str, arguments: &[&str], mend: &str| {
        let found =
            first_line(name, arguments).map(|line| if line.is_empty() { "installed".into() } else { line });
        Check { required: false, ..check(name, found, mend) }
    };
    [
        present("nft", &["--version"], "apt-get install nftables (for network mode nat)"),
        present("pasta", &["--version"], "apt-get install passt (for network mode nat)"),
    ]
}

fn check(name: &'static str, found: Result<String, String>, mend: &str) -> Check {
    let ok = found.is_ok();
    let mend = if ok { String::new() } else { mend.to_owned() };
    Check { name, ok, required: true, detail: found.unwrap_or_else(|why| why), mend }
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

fn program(name: &'static str, arguments: &[&str], required: bool, mend: &str) -> Check {
    Check { required, ..check(name, first_line(name, arguments), mend) }
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
        let roots: Vec<_> = all.iter().map(|h| h.root.display().to_string()).collect();
        if missing.is_empty() {
            Ok(roots.join(", "))
        } else {
            Err(format!("missing: {}", missing.join(", ")))
        }
    });
    check("cgroup controllers", found, "boot with cgroup_enable=memory and mount cgroup2 on /sys/fs/cgroup")
}

/// Without `favordynmods` a process that joins a cgroup after a pause waits for an RCU grace period: measured 5.5 ms
/// against 0.2 ms. It is a setting of the whole host, and forks cost slightly more with it, so it is left to its owner.
fn cgroup_latency() -> Check {
    let name = "cgroup latency";
    let Some(root) = Hierarchies::detect().ok().and_then(|all| all.unified().map(|h| h.root.clone())) else {
        let found = Err("no cgroup2 is mounted, so joining a cgroup may take some milliseconds".into());
        return Check {
            required: false,
            ..check(name, found, "mount cgroup2, with the option favordynmods")
        };
    };
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let ours = |line: &&str| line.split(' ').nth(4) == root.to_str();
    let found = if mounts.lines().filter(ours).any(|line| line.contains("favordynmods")) {
        Ok("favordynmods is set".into())
    } else {
        Err("favordynmods is not set: each run starts some 5 ms later".into())
    };
    let mend = format!("mount -o remount,favordynmods {}", root.display());
    Check { required: false, ..check(name, found, &mend) }
}

fn runner() -> Check {
    let found = runner_path();
    let mend = found.as_ref().err().map(SandboxError::hint).unwrap_or_default();
    check("sandbox-runner", found.map(|p| p.display().to_string()).map_err(|e| e.to_string()), &mend)
}

fn image_builder() -> Check {
    let found =
        first_line("mmdebstrap", &["--version"]).or_else(|_| first_line("debootstrap", &["--version"]));
    let found = found.map_err(|_| "neither mmdebstrap nor debootstrap".to_owned());
    Check { required: false, ..check("image builder", found, "apt-get install mmdebstrap") }
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
        for check in checks() {
            assert_eq!(check.ok, check.mend.is_empty(), "{check:?}");
        }
    }
}
