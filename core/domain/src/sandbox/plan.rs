//! A spec as layers, arguments and environment. The plan is carried out by `sandbox-runner launch`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::paths::{check_layer, check_target, quote_bind};
use super::spec::{Bind, IdMap, Network, Registration, SandboxSpec, SpecError};
use super::uids::{FIRST_UID_BASE, LAST_UID_BASE, UIDS_PER_SANDBOX, is_base};

/// Where the runner is inside.
pub const INSIDE_RUNNER: &str = "/run/sandboxed-sh/runner";
/// Where the control directory is inside until the runner has opened what it needs and detached it.
pub const INSIDE_CONTROL: &str = "/run/sandboxed-sh/control";

/// Most frozen layers: the options of a mount have room for one page.
pub const MOST_LOWERS: usize = 16;

/// What the workload keeps: enough for a package manager and a server on a low port, nothing of the kernel's.
pub const WORKLOAD_CAPABILITIES: [&str; 8] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",
    "CAP_SETUID",
];

/// What the runner needs besides, until it has detached its control directory and dropped the rest.
const SETUP_CAPABILITIES: [&str; 2] = ["CAP_SETPCAP", "CAP_SYS_ADMIN"];

/// What nspawn (252 to 257) keeps by default, CAP_NET_ADMIN being added with a private network.
const NSPAWN_CAPABILITIES: [&str; 27] = [
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_IPC_OWNER",
    "CAP_KILL",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT",
    "CAP_SYS_NICE",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TTY_CONFIG",
];

/// The root file system: an image that nobody writes, under a layer of the sandbox's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlayPlan {
    /// Root of the image.
    pub image: PathBuf,
    /// Frozen layers above the image, the uppermost first.
    pub lowers: Vec<PathBuf>,
    /// Holds `upper` and `work`.
    pub layer: PathBuf,
    /// Where it is put together.
    pub stage: PathBuf,
    /// Where on the stage the root is mounted.
    pub root: PathBuf,
    /// Host id of the sandbox's root; files of both layers are stored as root's and shifted on the way.
    pub uid_base: u32,
    /// How many ids.
    pub uid_count: u32,
}

/// A place in the root that must be there before something is bound on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    /// What is bound; tells a file from a directory.
    pub source: PathBuf,
    /// Where in the sandbox.
    pub target: PathBuf,
}

/// What the launcher does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxPlan {
    /// The root file system.
    pub overlay: OverlayPlan,
    /// Places to make in the root: nspawn cannot, being nobody there.
    pub mount_points: Vec<MountPoint>,
    /// What is bound with its owner as root, and where on the stage nspawn finds it like that.
    pub shifted: Vec<(PathBuf, PathBuf)>,
    /// nspawn and its arguments.
    pub argv: Vec<String>,
    /// nspawn's whole environment.
    pub env: BTreeMap<String, String>,
}

/// What nspawn drops by itself: all that neither the workload nor the runner's set-up needs.
pub fn dropped_capabilities() -> Vec<&'static str> {
    let kept: BTreeSet<_> = WORKLOAD_CAPABILITIES.iter().chain(&SETUP_CAPABILITIES).collect();
    NSPAWN_CAPABILITIES.iter().filter(|c| !kept.contains(c)).copied().collect()
}

/// Turns a spec into a plan.
///
/// # Errors
/// [`SpecError`] names the field that cannot be expressed.
pub fn plan(spec: &SandboxSpec) -> Result<SandboxPlan, SpecError> {
    check_name("machine", &spec.machine)?;
    check_name("hostname", &spec.hostname)?;
    if !is_base(spec.uid_base) {
        let (first, last) = (FIRST_UID_BASE, LAST_UID_BASE);
        return Err(SpecError::UidBase { base: spec.uid_base, first, last });
    }
    check_layer("image", &spec.image)?;
    check_layer("layer", &spec.layer)?;
    for lower in &spec.lowers {
        check_layer("frozen layer", lower)?;
    }
    if spec.lowers.len() > MOST_LOWERS {
        return Err(SpecError::Layers { count: spec.lowers.len(), most: MOST_LOWERS });
    }
    check_layer("root", &spec.merged)?;
    let root = spec.merged.join("root");
    let mut stage = Stage { place: &spec.merged, shifted: Vec::new() };

    let mut argv: Vec<String> = base_arguments().map(str::to_owned).collect();
    argv.extend(registration_arguments(spec.registration).map(str::to_owned));
    argv.push(format!("--directory={}", root.display()));
    argv.push(format!("--machine={}", spec.machine));
    argv.push(format!("--hostname={}", spec.hostname));
    argv.push(format!("--private-users={}:{UIDS_PER_SANDBOX}", spec.uid_base));
    argv.push(format!("--drop-capability={}", dropped_capabilities().join(",")));
    argv.extend(network_arguments(&spec.network).map(str::to_owned));
    argv.push(stage.bind_argument(&own_bind(&spec.runner, INSIDE_RUNNER).read_only())?);
    argv.push(stage.bind_argument(&own_bind(&spec.control, INSIDE_CONTROL))?);
    argv.extend(stage.bind_arguments(&spec.binds)?);
    argv.extend([INSIDE_RUNNER, "init", "--control", INSIDE_CONTROL].map(str::to_owned));

    let overlay = OverlayPlan {
        image: spec.image.clone(),
        lowers: spec.lowers.clone(),
        layer: spec.layer.clone(),
        stage: spec.merged.clone(),
        root,
        uid_base: spec.uid_base,
        uid_count: UIDS_PER_SANDBOX,
    };
    let shifted = stage.shifted;
    Ok(SandboxPlan { overlay, mount_points: mount_points(spec), shifted, argv, env: environment() })
}

/// Places on file systems that nspawn itself mounts fresh, or within another bind, need not be in the root.
fn mount_points(spec: &SandboxSpec) -> Vec<MountPoint> {
    let fresh =
        |target: &Path| ["/dev", "/proc", "/run", "/sys", "/tmp"].iter().any(|t| target.starts_with(t));
    let nested =
        |target: &Path| spec.binds.iter().any(|b| b.target != target && target.starts_with(&b.target));
    let needed = |target: &Path| !fresh(target) && !nested(target);
    let resolver = (spec.network == Network::Host).then(|| Path::new("/etc/resolv.conf"));
    let of_binds = spec.binds.iter().map(|b| (b.source.as_path(), b.target.as_path()));
    of_binds
        .chain(resolver.map(|path| (path, path)))
        .filter(|(_, target)| needed(target))
        .map(|(source, target)| MountPoint { source: source.to_owned(), target: target.to_owned() })
        .collect()
}

fn check_name(field: &'static str, value: &str) -> Result<(), SpecError> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = (1..=48).contains(&value.len()) && value.chars().all(inner);
    if fits && !value.starts_with('-') && !value.ends_with('-') {
        return Ok(());
    }
    Err(SpecError::Name { field, value: value.to_owned() })
}

/// The same for every sandbox. `--settings=no`: a file in /etc/systemd/nspawn must not widen what we decided here.
fn base_arguments() -> impl Iterator<Item = &'static str> {
    [
        "systemd-nspawn",
        "--quiet",
        "--settings=no",
        "--console=pipe",
        "--no-new-privileges=yes",
        // The layers are shifted by idmapped mounts already.
        "--private-users-ownership=off",
        "--link-journal=no",
        "--timezone=off",
        // A core dump may hold a key. With a limit of 0 the kernel would still run the host's own handler of dumps, as
        // root outside; 1 is its word for neither file nor handler.
        "--rlimit=CORE=1",
        // Many descriptors are normal for build tools.
        "--rlimit=NOFILE=8192:65536",
    ]
    .into_iter()
}

fn registration_arguments(registration: Registration) -> impl Iterator<Item = &'static str> {
    match registration {
        Registration::Machined => ["--register=yes"].as_slice(),
        Registration::Off => ["--register=no", "--keep-unit"].as_slice(),
    }
    .iter()
    .copied()
}

/// With the host's network come the host's name servers.
fn network_arguments(network: &Network) -> impl Iterator<Item = &'static str> {
    match network {
        Network::Host => ["--resolv-conf=bind-host"].as_slice(),
        Network::None => ["--private-network", "--resolv-conf=off"].as_slice(),
        // The launcher makes the namespace; nspawn keeps what it finds.
        Network::Nat | Network::Allowlist(_) => ["--resolv-conf=off"].as_slice(),
    }
    .iter()
    .copied()
}

fn own_bind(source: &Path, target: &str) -> Bind {
    Bind { source: source.to_owned(), target: target.into(), read_only: false, idmap: IdMap::RootIdmap }
}

/// What the launcher prepares for nspawn to bind.
struct Stage<'a> {
    place: &'a Path,
    shifted: Vec<(PathBuf, PathBuf)>,
}

impl Stage<'_> {
    fn bind_arguments(&mut self, binds: &[Bind]) -> Result<Vec<String>, SpecError> {
        let mut targets = BTreeSet::new();
        let mut arguments = Vec::with_capacity(binds.len());
        for bind in binds {
            check_target(&bind.target)?;
            if !targets.insert(&bind.target) {
                return Err(SpecError::SameTarget { target: bind.target.clone() });
            }
            arguments.push(self.bind_argument(bind)?);
        }
        Ok(arguments)
    }

    fn bind_argument(&mut self, bind: &Bind) -> Result<String, SpecError> {
        let mut source = quote_bind("bind source", &bind.source)?;
        let target = quote_bind("bind target", &bind.target)?;
        if bind.idmap == IdMap::RootIdmap {
            let place = self.place.join(self.shifted.len().to_string());
            source = quote_bind("bind source", &place)?;
            self.shifted.push((bind.source.clone(), place));
        }
        let option = if bind.read_only { "--bind-ro" } else { "--bind" };
        Ok(format!("{option}={source}:{target}:noidmap"))
    }
}

/// Compiling nspawn's filter is most of its start; the runner loads a ready-made one before anything else runs. The
/// lock is on an overlay that exists only in this sandbox's own mount namespace, so it would guard nothing.
fn environment() -> BTreeMap<String, String> {
    [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("SYSTEMD_NSPAWN_LOCK", "0"),
        ("SYSTEMD_SECCOMP", "0"),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .into()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
