//! `sandbox-runner try WHAT [DIR]`: does once, in a process of its own, what a launch or a sandbox does, so that
//! `doctor` tells what this kernel and file system really do instead of what their versions promise.
//!
//! Says in one line what it found; exit status 0 when it worked. It never mounts on the host: what it mounts is in a
//! mount namespace of its own and ends with it. `DIR` is an empty directory, which the caller removes.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::ExitCode;

use landlock::RulesetStatus;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{self, ForkResult};

use super::idmap::{Access, Ids, idmap_in_place, user_namespace};
use super::{LaunchFailure, LaunchPlan, act_on_files_as, mount_root, mount_stage, network, own_namespace};
use crate::{scope, seccomp};

/// Ids of the try: the last range that a sandbox could get, so hardly one that runs.
const UID_BASE: u32 = 0x7000_0000 - UID_COUNT;
const UID_COUNT: u32 = 0x1_0000;
const IDS: Ids = Ids { stored: 0, shown: UID_BASE, count: UID_COUNT };

/// Words of `WHAT`.
pub const TRIALS: [&str; 7] =
    ["user-namespace", "idmapped-mount", "overlay", "seccomp", "pidfd", "network-namespace", "socket-scope"];

/// Tries one of [`TRIALS`].
pub fn main(what: &str, dir: Option<&Path>) -> ExitCode {
    let (text, status) = match tried(what, dir) {
        Ok(found) => (found, ExitCode::SUCCESS),
        Err(why) => (why, ExitCode::FAILURE),
    };
    // Nobody is left to tell when stdout is gone.
    let _ = writeln!(std::io::stdout(), "{text}");
    status
}

fn tried(what: &str, dir: Option<&Path>) -> Result<String, String> {
    let dir = || dir.ok_or_else(|| format!("{what} needs a directory"));
    match what {
        "user-namespace" => user_namespace(IDS).map(|_| "made, with ids of its own".into()).map_err(told),
        "idmapped-mount" => idmapped(dir()?),
        "overlay" => overlay(dir()?),
        "seccomp" => filter(),
        "pidfd" => pidfd(),
        "network-namespace" => own_network(),
        "socket-scope" => socket_scope(),
        _ => Err(format!("{what:?} is none of {}", TRIALS.join(", "))),
    }
}

fn told(failure: LaunchFailure) -> String {
    format!("{}: {}", failure.step, failure.message)
}

fn io(what: &Path) -> impl Fn(std::io::Error) -> String + '_ {
    move |error| format!("{}: {error}", what.display())
}

/// A file of root's must be the sandbox's root's through the mount, and the other way about.
fn idmapped(dir: &Path) -> Result<String, String> {
    own_namespace().map_err(told)?;
    let users = user_namespace(IDS).map_err(told)?;
    let place = dir.join("idmapped");
    fs::create_dir(&place).map_err(io(&place))?;
    fs::write(place.join("old"), "").map_err(io(&place))?;
    idmap_in_place(&place, &users, Access::Write).map_err(told)?;
    let seen = fs::metadata(place.join("old")).map_err(io(&place))?.uid();
    if seen != UID_BASE {
        return Err(format!("a file of root's shows user id {seen} instead of {UID_BASE}"));
    }
    act_on_files_as(UID_BASE).map_err(told)?;
    fs::write(place.join("new"), "").map_err(io(&place))?;
    act_on_files_as(0).map_err(told)?;
    Ok("ids are shifted both ways".into())
}

/// The very mounts of a launch, and what a workload does with them: reads, writes, deletes, replaces a directory.
fn overlay(dir: &Path) -> Result<String, String> {
    let place = |name: &str| dir.join(name);
    let (image, layer, stage) = (place("image"), place("layer"), place("stage"));
    for made in [&image.join("dir"), &layer.join("upper"), &layer.join("work"), &stage] {
        fs::create_dir_all(made).map_err(io(made))?;
    }
    for file in ["kept", "gone", "dir/inner"] {
        fs::write(image.join(file), "below").map_err(io(&image))?;
    }
    own_namespace().map_err(told)?;
    let merged = stage.join("root");
    let plan = LaunchPlan {
        image,
        lowers: Vec::new(),
        layer: layer.clone(),
        root: merged.clone(),
        stage,
        uid_base: UID_BASE,
        uid_count: UID_COUNT,
        mount_points: Vec::new(),
        shifted: Vec::new(),
        cgroups: Vec::new(),
        argv: Vec::new(),
        needed: Vec::new(),
        network: None,
    };
    mount_stage(&plan).map_err(told)?;
    mount_root(&plan).map_err(told)?;
    act_on_files_as(UID_BASE).map_err(told)?;
    use_layers(&merged).map_err(io(&merged))?;
    act_on_files_as(0).map_err(told)?;
    let upper = layer.join("upper");
    // Through the mount the layer's files are shifted; whiteouts are devices without a number.
    let gone = fs::symlink_metadata(upper.join("gone")).map_err(io(&upper))?;
    if !gone.file_type().is_char_device() {
        return Err("a deleted file left no whiteout".into());
    }
    if merged.join("dir/inner").exists() {
        return Err("a directory that was made anew shows what was in the old one".into());
    }
    Ok("a layer over shifted ones is read, written and deleted in".into())
}

fn use_layers(merged: &Path) -> std::io::Result<()> {
    if fs::read(merged.join("kept"))? != b"below" {
        return Err(std::io::Error::other("a file of the lower layer is not as it was"));
    }
    fs::write(merged.join("kept"), "above")?;
    fs::write(merged.join("new"), "new")?;
    fs::remove_file(merged.join("gone"))?;
    fs::remove_dir_all(merged.join("dir"))?;
    fs::create_dir(merged.join("dir"))
}

/// The filter of sandboxes, and a call that it refuses.
fn filter() -> Result<String, String> {
    seccomp::install().map_err(|error| error.to_string())?;
    let status = fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    if !status.lines().any(|line| line == "Seccomp:\t2") {
        return Err("the kernel took the filter and does not apply it".into());
    }
    match mount(Some("none"), "/", Some("tmpfs"), MsFlags::MS_REMOUNT | MsFlags::MS_BIND, None::<&str>) {
        Err(Errno::EPERM) => Ok("the filter of sandboxes is taken and holds".into()),
        Err(errno) => Err(format!("a forbidden call was answered with {}", errno.desc())),
        Ok(()) => Err("a forbidden call was let through".into()),
    }
}

/// A process is held, ended and waited for by descriptor.
fn pidfd() -> Result<String, String> {
    let failed = |what: &'static str| move |errno: Errno| format!("{what}: {}", errno.desc());
    // SAFETY: this program is single-threaded here, so the child may use everything.
    let child = match unsafe { unistd::fork() }.map_err(failed("fork"))? {
        ForkResult::Child => loop {
            unistd::pause();
        },
        ForkResult::Parent { child } => child,
    };
    // SAFETY: no pointers; the result is checked before it is used.
    let opened = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0) });
    let ended = opened.map_err(failed("pidfd_open")).and_then(|fd| {
        // SAFETY: a new descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        let (fd, none) = (fd.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
        // SAFETY: the descriptor is open during the call; no information goes with the signal.
        let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, libc::SIGTERM, none, 0) };
        Errno::result(sent).map(drop).map_err(failed("pidfd_send_signal"))
    });
    if ended.is_err() {
        let _ = nix::sys::signal::kill(child, Signal::SIGKILL);
    }
    let status = waitpid(child, None).map_err(failed("waitpid"))?;
    ended?;
    match status {
        WaitStatus::Signaled(_, Signal::SIGTERM, _) => Ok("a process is ended by descriptor".into()),
        other => Err(format!("the process ended otherwise: {other:?}")),
    }
}

fn own_network() -> Result<String, String> {
    let failed = |what: &'static str| move |errno: Errno| format!("{what}: {}", errno.desc());
    unshare(CloneFlags::CLONE_NEWNET).map_err(failed("unshare"))?;
    network::loopback_up().map_err(failed("loopback device"))?;
    File::open("/proc/self/ns/net").map_err(|error| error.to_string())?;
    Ok("made, with a loopback".into())
}

fn socket_scope() -> Result<String, String> {
    let status = scope::restrict().map_err(|error| error.to_string())?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok("those of the host do not answer".into()),
        _ => Err("those of the host answer in sandboxes that have its network".into()),
    }
}
