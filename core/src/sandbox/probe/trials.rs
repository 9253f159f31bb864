//! What is tried rather than looked up: the steps of a launch one by one, each in a process of the runner's that ends
//! with it, and then a whole sandbox. All of it happens in a new directory of the data directory and is removed again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sandboxed_domain::sandbox::{LAST_UID_BASE, Limits, Network, Registration, SandboxSpec};
use tokio::process::Command;

use super::check::{Check, Need};
use super::{files, host, ids};
use crate::sandbox::cgroup::CgroupTree;
use crate::sandbox::machine::Sandbox;
use crate::sandbox::runner_path::runner_path;

/// Longest that one step or start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A step that a program of the runner's tries, by its word there.
struct Trial {
    word: &'static str,
    name: &'static str,
    need: Need,
    mend: &'static str,
    /// Whether it is tried in a directory of the data directory.
    in_dir: bool,
}

const TRIALS: [Trial; 7] = [
    Trial {
        word: "user-namespace",
        name: "user namespaces",
        need: Need::Sandboxes,
        mend: "sysctl -w user.max_user_namespaces=65536",
        in_dir: false,
    },
    Trial {
        word: "network-namespace",
        name: "network namespaces",
        need: Need::Sandboxes,
        mend: "sysctl -w user.max_net_namespaces=65536",
        in_dir: false,
    },
    Trial {
        word: "idmapped-mount",
        name: "idmapped mounts",
        need: Need::Sandboxes,
        mend: "put SANDBOXED_SH_DATA_DIR on ext4, XFS or btrfs, on Linux 5.19 or later",
        in_dir: true,
    },
    Trial {
        word: "overlay",
        name: "overlay",
        need: Need::Sandboxes,
        mend: "put SANDBOXED_SH_DATA_DIR on ext4, XFS or btrfs, on Linux 5.19 or later",
        in_dir: true,
    },
    Trial {
        word: "seccomp",
        name: "seccomp",
        need: Need::Sandboxes,
        mend: "boot a kernel with CONFIG_SECCOMP_FILTER",
        in_dir: false,
    },
    Trial {
        word: "pidfd",
        name: "pidfd",
        need: Need::Sandboxes,
        mend: "boot a Linux kernel of version 5.19 or later",
        in_dir: false,
    },
    Trial {
        word: "socket-scope",
        name: "abstract sockets",
        need: Need::Isolation,
        mend: "boot Linux 6.12 or later, or use another network than the host's",
        in_dir: false,
    },
];

/// Looks at everything that sandboxes need and tries it, below `data`, which must be writable. Takes some hundred
/// milliseconds.
pub async fn checks(data: &Path) -> Vec<Check> {
    let mut found = host::host_checks();
    found.push(host::runner());
    found.extend(ids::checks());
    match Place::make(data) {
        Err(error) => {
            let found_here = Err(format!("{}: {error}", data.display()));
            let mend = "set SANDBOXED_SH_DATA_DIR to a directory that can be written";
            found.push(Check::of("file system", Need::Sandboxes, found_here, mend));
        }
        Ok(place) => {
            found.extend(files::checks(&place.directory("files")));
            for trial in &TRIALS {
                put(&mut found, tried(trial, &place).await);
            }
            found.push(limits(&place));
            let ready = found.iter().all(|check| check.ok || !check.required);
            let nat = host::nat_checks();
            found.push(sandbox("sandbox", Need::Sandboxes, Network::Host, ready, &place).await);
            let ready = ready && nat.iter().all(|check| check.ok);
            found.extend(nat);
            found.push(sandbox("network nat", Need::Nat, Network::Nat, ready, &place).await);
        }
    }
    found.push(host::cgroup_latency());
    found.push(host::image_builder());
    found.push(host::git());
    found
}

/// What was tried goes before what was seen at a glance, unless that has found the cause already.
fn put(found: &mut Vec<Check>, tried: Check) {
    match found.iter_mut().find(|check| check.name == tried.name) {
        Some(glance) if glance.ok => *glance = tried,
        Some(_) => {}
        None => found.push(tried),
    }
}

/// A new directory, and a name that no sandbox has; both go with it.
struct Place {
    dir: PathBuf,
    name: String,
}

impl Place {
    fn make(data: &Path) -> std::io::Result<Self> {
        let name = format!("doctor-{}", std::process::id());
        let dir = data.join(format!(".{name}"));
        fs::create_dir_all(&dir)?;
        Ok(Self { dir, name })
    }

    /// A new directory in it; one that cannot be made is told by what is tried there.
    fn directory(&self, name: &str) -> PathBuf {
        let dir = self.dir.join(name);
        let _ = fs::create_dir_all(&dir);
        dir
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left would be seen, and is empty or ours.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

async fn tried(trial: &Trial, place: &Place) -> Check {
    let runner = match runner_path() {
        Ok(runner) => runner,
        Err(error) => return not_tried(trial.name, trial.need, "there is no sandbox-runner", &error.hint()),
    };
    let mut command = Command::new(runner);
    command.args(["try", trial.word]).kill_on_drop(true);
    if trial.in_dir {
        command.arg(place.directory(trial.word));
    }
    let found = match tokio::time::timeout(PATIENCE, command.output()).await {
        Err(_) => Err(format!("nothing came of it within {} s", PATIENCE.as_secs())),
        Ok(Err(error)) => Err(format!("sandbox-runner: {error}")),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            let why = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
            match (output.status.success(), said.is_empty()) {
                (true, _) => Ok(said),
                (false, false) => Err(said),
                (false, true) => Err(format!("{}: {}", output.status, why())),
            }
        }
    };
    Check::of(trial.name, trial.need, found, trial.mend)
}

fn not_tried(name: &'static str, need: Need, why: &str, mend: &str) -> Check {
    Check::of(name, need, Err(format!("not tried: {why}")), mend)
}

/// Makes a group with limits as a sandbox has them, and removes it.
fn limits(place: &Place) -> Check {
    let work = || {
        let machine = CgroupTree::detect(&place.name)?.machine("limits")?;
        let wanted = Limits { memory_bytes: Some(64 << 20), cpu_millis: Some(500), pids: Some(16) };
        let made = machine.create(&wanted).and_then(|()| machine.usage().map(drop));
        machine.remove()?;
        CgroupTree::detect(&place.name)?.remove_if_empty()?;
        made
    };
    let found = work().map(|()| "memory, processor and processes can be limited".to_owned());
    let mend =
        "let this process make groups in /sys/fs/cgroup: not read-only, not in a container without them";
    Check::of("cgroup limits", Need::Sandboxes, found.map_err(|error| error.to_string()), mend)
}

/// Starts a sandbox over a root without programs, lets its runner answer, and ends it.
async fn sandbox(name: &'static str, need: Need, network: Network, ready: bool, place: &Place) -> Check {
    let mend =
        "see the checks above; what they find fine and this does not is a fault of ours, please tell it";
    if !ready {
        return not_tried(name, need, "something that it needs is missing", "mend what is missing first");
    }
    let begun = Instant::now();
    let started = start(network, name, place).await;
    let found =
        started.map(|()| format!("started, answered and ended in {} ms", begun.elapsed().as_millis()));
    Check::of(name, need, found, mend)
}

async fn start(network: Network, name: &str, place: &Place) -> Result<(), String> {
    let dir = place.directory(&format!("sandbox-{}", name.replace(' ', "-")));
    let tree = CgroupTree::detect(&place.name).map_err(|error| error.to_string())?;
    let spec = spec(&dir, network, &place.name).map_err(|error| error.to_string())?;
    let started = Sandbox::start(&spec, &tree, PATIENCE).await;
    let ended = match started {
        Err(error) => Err(error.to_string()),
        Ok(sandbox) => {
            let answered = sandbox.runner().hello().await.map(drop);
            let stopped = sandbox.stop(Duration::ZERO).await.map(drop);
            answered.and(stopped).map_err(|error| error.to_string())
        }
    };
    if let Err(error) = tree.remove_if_empty() {
        tracing::warn!(%error, "a cgroup of a trial is left");
    }
    ended
}

fn spec(dir: &Path, network: Network, machine: &str) -> Result<SandboxSpec, Box<dyn std::error::Error>> {
    let image = dir.join("image");
    for part in ["etc", "usr", "tmp", "root", "var/tmp", "proc", "sys", "dev", "run"] {
        fs::create_dir_all(image.join(part))?;
    }
    fs::write(image.join("etc/os-release"), "ID=trial\n")?;
    let systemd = Path::new("/run/systemd/system").is_dir();
    Ok(SandboxSpec {
        machine: machine.to_owned(),
        hostname: "trial".to_owned(),
        image,
        lowers: Vec::new(),
        layer: dir.join("layer"),
        merged: dir.join("merged"),
        control: dir.join("machine/control"),
        runner: runner_path()?,
        binds: Vec::new(),
        network,
        egress: std::env::current_exe()?,
        uid_base: LAST_UID_BASE,
        limits: Limits { memory_bytes: Some(256 << 20), ..Limits::default() },
        registration: if systemd { Registration::Machined } else { Registration::Off },
    })
}
