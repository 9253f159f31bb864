//! `sandbox-runner launch`: carries out a [`LaunchPlan`], then becomes nspawn.
//!
//! Everything it mounts lives in a mount namespace of its own, which ends with nspawn and the sandbox: whatever is
//! killed, no mount stays on the host. Files of the layers are stored as root's and shifted to the sandbox's ids by
//! idmapped clones of the layers, because overlayfs itself cannot be idmapped.
//!
//! It is a step between the daemon and nspawn, in a process of its own, since changing the mount namespace, the session
//! and the cgroup of a threaded daemon is not possible.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{self, Gid, Uid};
use serde::{Deserialize, Serialize};

use idmap::{Access, Ids, idmap_in_place, idmap_to, user_namespace};

mod disks;
mod idmap;
mod network;
pub mod trial;

pub use network::{EGRESS_LISTENER_FD, EGRESS_NAMESPACE_FD, EGRESS_OWNER_FD, EGRESS_READY_FD, NetworkPlan};

/// Exit status when a step before nspawn failed.
pub const EXIT_LAUNCH_FAILED: u8 = 70;

/// What `launch` reads from its stdin, as JSON, to the end. nspawn gets the launcher's own environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchPlan {
    /// Root of the image; becomes the lower layer.
    pub image: PathBuf,
    /// Frozen layers above the image, the uppermost first; lower layers as well.
    #[serde(default)]
    pub lowers: Vec<PathBuf>,
    /// Holds `upper` and `work`.
    pub layer: PathBuf,
    /// Where a small file system of the sandbox's own is mounted, on which it is put together.
    pub stage: PathBuf,
    /// Where on the stage the root is mounted.
    pub root: PathBuf,
    /// Host id of the sandbox's root.
    pub uid_base: u32,
    /// How many ids.
    pub uid_count: u32,
    /// What is bound, and the place in the root that must be there for it.
    pub mount_points: Vec<(PathBuf, PathBuf)>,
    /// What is bound so that its owner is the sandbox's root, and where on the stage nspawn finds it like that. nspawn
    /// could do this too, but makes a process for each.
    pub shifted: Vec<(PathBuf, PathBuf)>,
    /// Files of control groups that it joins by writing `0`: `tasks` of version 1, `cgroup.procs` of version 2.
    pub cgroups: Vec<PathBuf>,
    /// nspawn and its arguments.
    pub argv: Vec<String>,
    /// Paths of the host that it needs: disks on which none of them is are left out of its mount namespace.
    #[serde(default)]
    pub needed: Vec<PathBuf>,
    /// A network of its own with a way out; none where nspawn's arguments say all.
    #[serde(default)]
    pub network: Option<NetworkPlan>,
}

/// One JSON line on stderr when a step failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchFailure {
    /// Which step: `read_plan`, `network`, `namespace`, `idmap`, `stage`, `overlay`, `mount_point`, `cgroup`, `oom_score`, `session`, `exec`.
    pub step: String,
    /// Error number of the kernel, when it was the kernel's.
    pub errno: Option<i32>,
    /// What happened, with the path.
    pub message: String,
}

impl LaunchFailure {
    fn new(step: &str, message: impl Into<String>) -> Self {
        Self { step: step.to_owned(), errno: None, message: message.into() }
    }
}

/// Names the step and the thing an error belongs to.
trait Step<T> {
    fn step(self, step: &str, what: impl FnOnce() -> String) -> Result<T, LaunchFailure>;
}

impl<T> Step<T> for nix::Result<T> {
    fn step(self, step: &str, what: impl FnOnce() -> String) -> Result<T, LaunchFailure> {
        self.map_err(|errno| LaunchFailure {
            step: step.to_owned(),
            errno: Some(errno as i32),
            message: format!("{}: {}", what(), errno.desc()),
        })
    }
}

impl<T> Step<T> for std::io::Result<T> {
    fn step(self, step: &str, what: impl FnOnce() -> String) -> Result<T, LaunchFailure> {
        self.map_err(|error| LaunchFailure {
            step: step.to_owned(),
            errno: error.raw_os_error(),
            message: format!("{}: {error}", what()),
        })
    }
}

/// Reads the plan, carries it out and becomes nspawn; returns only when that failed.
pub fn main() -> ExitCode {
    let Err(failure) = launch();
    let line = serde_json::to_string(&failure).unwrap_or_else(|_| failure.message.clone());
    // Nobody is left to tell when stderr is gone as well.
    let _ = writeln!(std::io::stderr(), "{line}");
    ExitCode::from(EXIT_LAUNCH_FAILED)
}

fn launch() -> Result<std::convert::Infallible, LaunchFailure> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).step("read_plan", || "stdin".into())?;
    let plan: LaunchPlan =
        serde_json::from_str(&text).map_err(|e| LaunchFailure::new("read_plan", e.to_string()))?;
    if let Some(network) = &plan.network {
        network::enter(network, &plan.cgroups)?;
    }
    let argv = plan
        .argv
        .iter()
        .map(|word| CString::new(word.as_str()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| LaunchFailure::new("read_plan", e.to_string()))?;
    let program = argv.first().ok_or_else(|| LaunchFailure::new("read_plan", "argv is empty"))?;

    own_namespace()?;
    disks::leave_out(&plan.needed)?;
    mount_stage(&plan)?;
    mount_root(&plan)?;
    for procs in &plan.cgroups {
        fs::write(procs, "0").step("cgroup", || procs.display().to_string())?;
    }
    // When memory is short on the host, a sandbox goes before the daemon. nspawn cannot set this in a user namespace.
    fs::write("/proc/self/oom_score_adj", "300").step("oom_score", || "oom_score_adj".into())?;
    detach()?;
    unistd::execvp(program, &argv).step("exec", || plan.argv[0].clone())
}

/// A mount namespace from which nothing reaches the host, while the host's own unmounts still reach it (a private
/// one would keep a removed disk busy). Where the host's are private already that does not help.
fn own_namespace() -> Result<(), LaunchFailure> {
    unshare(CloneFlags::CLONE_NEWNS).step("namespace", || "unshare".into())?;
    let flags = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).step("namespace", || "mount slave /".into())
}

/// Mounts the stage and puts an idmapped clone of each bind on it.
fn mount_stage(plan: &LaunchPlan) -> Result<(), LaunchFailure> {
    let what = || plan.stage.display().to_string();
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("none"), &plan.stage, Some("tmpfs"), flags, Some("mode=0755")).step("stage", what)?;
    fs::create_dir(&plan.root).step("stage", || plan.root.display().to_string())?;
    // One map serves all that have the same owner.
    let mut users: BTreeMap<u32, OwnedFd> = BTreeMap::new();
    for (source, place) in &plan.shifted {
        let found = fs::metadata(source).step("idmap", || source.display().to_string())?;
        let made = if found.is_dir() { fs::create_dir(place) } else { File::create(place).map(drop) };
        made.step("stage", || place.display().to_string())?;
        let users = match users.entry(found.uid()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(owner) => {
                let ids = Ids { stored: *owner.key(), shown: plan.uid_base, count: 1 };
                owner.insert(user_namespace(ids)?)
            }
        };
        idmap_to(source, users, place)?;
    }
    Ok(())
}

/// Puts idmapped clones of the layers in their own places, then the overlay of both on the stage.
fn mount_root(plan: &LaunchPlan) -> Result<(), LaunchFailure> {
    let users = user_namespace(Ids { stored: 0, shown: plan.uid_base, count: plan.uid_count })?;
    let below: Vec<&PathBuf> = plan.lowers.iter().chain([&plan.image]).collect();
    for lower in &below {
        idmap_in_place(lower, &users, Access::Read)?;
    }
    idmap_in_place(&plan.layer, &users, Access::Write)?;
    let options = format!(
        "lowerdir={},upperdir={layer}/upper,workdir={layer}/work",
        below.iter().map(|lower| lower.display().to_string()).collect::<Vec<_>>().join(":"),
        layer = plan.layer.display()
    );
    // The overlay works with the ids of whoever mounts it, and through the clone the host's root is nobody.
    act_on_files_as(plan.uid_base)?;
    let (root, flags) = (&plan.root, MsFlags::MS_NODEV);
    mount(Some("overlay"), root, Some("overlay"), flags, Some(options.as_str()))
        .step("overlay", || format!("{} ({options})", root.display()))?;
    for (source, target) in &plan.mount_points {
        make_mount_point(root, source, target)?;
    }
    act_on_files_as(0)
}

/// Makes a place in the root for `source`. The root may hold links that an earlier workload made, so every step is
/// resolved within it.
fn make_mount_point(root: &Path, source: &Path, target: &Path) -> Result<(), LaunchFailure> {
    let what = || format!("{} for {}", target.display(), source.display());
    let is_dir = fs::metadata(source).step("mount_point", || source.display().to_string())?.is_dir();
    let root = File::open(root).step("mount_point", || root.display().to_string())?;
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let mut parent: OwnedFd = root.try_clone().step("mount_point", what)?.into();
    let mut path = PathBuf::new();
    let names: Vec<_> = target.components().filter(|c| matches!(c, Component::Normal(_))).collect();
    for (index, name) in names.iter().enumerate() {
        path.push(name);
        let name = name.as_os_str();
        if index + 1 == names.len() && !is_dir {
            return make_file(&parent, name).step("mount_point", what);
        }
        parent = match openat2(&root, &path, how) {
            Err(Errno::ENOENT) => {
                mkdirat(&parent, name, Mode::from_bits_truncate(0o755)).step("mount_point", what)?;
                openat2(&root, &path, how)
            }
            opened => opened,
        }
        .step("mount_point", what)?;
    }
    Ok(())
}

/// Anything that is there already will do; nspawn says so when it cannot use it.
fn make_file(parent: &OwnedFd, name: &std::ffi::OsStr) -> nix::Result<()> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    match openat(parent, name, flags, Mode::from_bits_truncate(0o644)) {
        Ok(_) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Changes the ids used for files, keeping every capability (leaving id 0 takes those over files away).
fn act_on_files_as(id: u32) -> Result<(), LaunchFailure> {
    unistd::setfsgid(Gid::from_raw(id));
    unistd::setfsuid(Uid::from_raw(id));
    let mut header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let mut data = [CapData::default(); 2];
    // SAFETY: both point to structures of the layout that version 3 has, alive during the call.
    let got = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    Errno::result(got).step("overlay", || "capget".into())?;
    for half in &mut data {
        half.effective = half.permitted;
    }
    // SAFETY: as above.
    let set = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) };
    Errno::result(set).map(drop).step("overlay", || "capset".into())
}

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// `struct __user_cap_header_struct` of the kernel.
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: libc::c_int,
}

/// `struct __user_cap_data_struct` of the kernel: 32 capabilities each.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// New session, no terminal, no input, no descriptor of the daemon's.
fn detach() -> Result<(), LaunchFailure> {
    match unistd::setsid() {
        Ok(_) | Err(Errno::EPERM) => {}
        Err(errno) => return Err(errno).step("session", || "setsid".into()),
    }
    let null = File::open("/dev/null").step("session", || "/dev/null".into())?;
    unistd::dup2_stdin(null.as_fd()).step("session", || "dup2".into())?;
    // SAFETY: close_range only marks descriptors as close-on-exec; those we own are used no more.
    let marked = unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_uint)
    };
    Errno::result(marked).map(drop).step("session", || "close_range".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_which_step_and_what_the_kernel_said() {
        let failed: nix::Result<()> = Err(Errno::EPERM);
        let failure = failed.step("idmap", || "mount_setattr /image".into()).unwrap_err();
        let line = serde_json::to_value(&failure).unwrap();
        let expected = serde_json::json!({
            "step": "idmap", "errno": 1, "message": "mount_setattr /image: Operation not permitted",
        });
        assert_eq!(line, expected);
    }
}
