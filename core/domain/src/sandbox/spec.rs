//! What a sandbox is asked to be.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::egress::AllowRule;
use super::paths::PathRefused;

/// Whose files those of a bind appear to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdMap {
    /// The owner of the source is root inside, and what root inside creates belongs to that owner.
    RootIdmap,
    /// As on the host: everything appears to belong to `nobody`. Only sensible for reading.
    None,
}

/// A host directory or file that appears inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Path on the host.
    pub source: PathBuf,
    /// Path inside.
    pub target: PathBuf,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whose files they appear to be.
    pub idmap: IdMap,
}

impl Bind {
    /// A writable bind at the same path on both sides, the source's owner being root inside.
    pub fn same_path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { source: path.clone(), target: path, read_only: false, idmap: IdMap::RootIdmap }
    }

    /// The same, without the right to write.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
}

/// What a sandbox can reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// The host's network, its loopback and abstract sockets included.
    Host,
    /// A network namespace of its own with only a loopback device.
    None,
    /// A network namespace of its own from which connections to the public internet go out and none come in.
    Nat,
    /// A network namespace of its own with only a loopback device, and a proxy on it that connects to these hosts.
    Allowlist(Vec<AllowRule>),
}

/// Whether `machinectl` knows the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// systemd is PID 1 of the host: register with machined, which makes a scope.
    Machined,
    /// Everywhere else.
    Off,
}

/// Limits of a cgroup. None: no limit of our own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory; swap is off where the kernel can tell them apart.
    pub memory_bytes: Option<u64>,
    /// Processor time in thousandths of one CPU.
    pub cpu_millis: Option<u32>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

/// A sandbox to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// Machine name: lower-case letters, digits and inner dashes, at most 48 characters; unique on the host.
    pub machine: String,
    /// Host name inside.
    pub hostname: String,
    /// Root of the image; never written.
    pub image: PathBuf,
    /// Frozen layers between the image and the sandbox's own, the uppermost first; never written.
    #[serde(default)]
    pub lowers: Vec<PathBuf>,
    /// Directory of this sandbox's own writable layer; holds `upper` and `work`, which overlayfs wants on one mount.
    pub layer: PathBuf,
    /// Empty directory on which the root and what is bound are put together, in a mount namespace of the sandbox's own.
    pub merged: PathBuf,
    /// Control directory of the runner.
    pub control: PathBuf,
    /// The runner's static binary.
    pub runner: PathBuf,
    /// What of the host appears inside.
    pub binds: Vec<Bind>,
    /// What it can reach.
    pub network: Network,
    /// The program that is the way out of a network of its own; `sandboxed-sh` itself.
    #[serde(default)]
    pub egress: PathBuf,
    /// First host user id of its range, from [`super::next_uid_base`].
    pub uid_base: u32,
    /// Limits of everything in it together.
    pub limits: Limits,
    /// Whether `machinectl` knows it.
    pub registration: Registration,
}

/// Why a spec cannot become a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A path cannot be expressed.
    #[error(transparent)]
    Path(#[from] PathRefused),
    /// The name would not be taken by nspawn or is a path.
    #[error("{field} {value:?} is not a name: 1 to 48 of a-z, 0-9 and inner dashes")]
    Name {
        /// `machine` or `hostname`.
        field: &'static str,
        /// The offending name.
        value: String,
    },
    /// The range is not a multiple of [`super::UIDS_PER_SANDBOX`] within the reserved ids.
    #[error("user id base {base} is not a multiple of 65536 between {first} and {last}")]
    UidBase {
        /// The offending base.
        base: u32,
        /// First allowed.
        first: u32,
        /// Last allowed.
        last: u32,
    },
    /// More layers than overlayfs is told in one go.
    #[error("{count} layers lie above one another, at most {most} can")]
    Layers {
        /// How many.
        count: usize,
        /// At most.
        most: usize,
    },
    /// Two binds want the same place.
    #[error("two binds have the target {target:?}", target = target.display())]
    SameTarget {
        /// The place.
        target: PathBuf,
    },
}
