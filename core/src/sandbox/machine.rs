//! One sandbox: start, adopt, stop.
//!
//! ```text
//! daemon ── sandbox-runner launch ══ exec ══> systemd-nspawn ── sandbox-runner init (PID 1) ── runs
//! ```
//! The launcher is a session of its own and becomes nspawn, so the sandbox does not end with the daemon; the next one
//! finds it by `machine.json`. nspawn is never killed while its PID 1 lives: that would leave the container running.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sandbox_runner::launch::LaunchPlan;
use sandboxed_domain::sandbox::{SandboxPlan, SandboxSpec, plan};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::cgroup::{CgroupTree, MachineCgroup};
use super::error::SandboxError;
use super::handle::{RunnerHandle, blocking};
use super::probe::ensure_supported;
use super::process::{PidFd, ProcessIdentity, children};
use super::record::{Record, RunnerFiles};
use super::runner_path::check_runner;
use super::starting::Starting;

/// How long a sandbox may take to be ready unless said otherwise; it takes some tens of milliseconds when the machine
/// is idle.
pub const START_PATIENCE: Duration = Duration::from_secs(30);
/// How long the kernel may take to end what was killed.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// How much longer than the grace of its runs the runner may take to write its records.
const SHUTDOWN_MARGIN: Duration = Duration::from_secs(2);

/// How a sandbox ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Its runner ended it.
    ByItself,
    /// It had to be killed.
    Killed,
}

/// A running sandbox.
#[derive(Debug)]
pub struct Sandbox {
    record: Record,
    runner: RunnerHandle,
    cgroup: MachineCgroup,
}

impl Sandbox {
    /// Starts a sandbox and waits until its runner answers. What an earlier one of the same control directory left is
    /// cleaned first; whatever fails leaves nothing behind.
    ///
    /// # Errors
    /// [`SandboxError::Unsupported`] when this host cannot; [`SandboxError::AlreadyRunning`]; [`SandboxError::Launch`],
    /// [`SandboxError::DiedEarly`], [`SandboxError::StartTimedOut`] with the end of the log.
    pub async fn start(
        spec: &SandboxSpec,
        tree: &CgroupTree,
        patience: Duration,
    ) -> Result<Self, SandboxError> {
        blocking(ensure_supported).await?;
        check_runner(&spec.runner)?;
        let plan = plan(spec)?;
        let files = RunnerFiles::new(&spec.control);
        let cgroup = tree.machine(&spec.machine)?;
        clear_the_place(&files, &cgroup, &spec.machine).await?;
        prepare_layers(spec)?;
        cgroup.create(&spec.limits)?;
        match launch(spec, &plan, &files, &cgroup, patience).await {
            Ok(record) => Ok(Self::new(record, files, cgroup)),
            Err(error) => {
                if let Err(left) = clean(&files, cgroup, &spec.machine).await {
                    tracing::warn!(machine = spec.machine, error = %left, "a sandbox that failed left something");
                }
                Err(error)
            }
        }
    }

    /// Finds a sandbox that an earlier daemon started. None when there is none or it is gone; what it left is cleaned.
    ///
    /// # Errors
    /// [`SandboxError::Record`] when the record cannot be read; [`SandboxError::Cgroup`] when something would not end.
    pub async fn adopt(control: &Path, tree: &CgroupTree) -> Result<Option<Self>, SandboxError> {
        let files = RunnerFiles::new(control);
        let Some(record) = files.load()? else { return Ok(None) };
        let cgroup = tree.machine(&record.name)?;
        if record.init.open().is_some() {
            return Ok(Some(Self::new(record, files, cgroup)));
        }
        clean(&files, cgroup, &record.name).await?;
        Ok(None)
    }

    fn new(record: Record, files: RunnerFiles, cgroup: MachineCgroup) -> Self {
        let runner = RunnerHandle::new(&record.name, files, Some(cgroup.clone()));
        Self { record, runner, cgroup }
    }

    /// Its runs.
    pub fn runner(&self) -> &RunnerHandle {
        &self.runner
    }

    /// Its groups.
    pub fn cgroup(&self) -> &MachineCgroup {
        &self.cgroup
    }

    /// What was written down when it started.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Whether its PID 1 lives.
    pub fn is_alive(&self) -> bool {
        self.record.init.open().is_some()
    }

    /// Waits until its PID 1 ended, for whatever reason.
    ///
    /// # Errors
    /// [`SandboxError::Io`] when it cannot be watched.
    pub async fn died(&self) -> Result<(), SandboxError> {
        ended(&self.record.init).await
    }

    /// Ends all runs (KILL after `grace`) and the sandbox, and cleans what it leaves; its layer and its runs' files
    /// stay. Repeating it is harmless.
    ///
    /// # Errors
    /// [`SandboxError::WouldNotEnd`], [`SandboxError::Cgroup`].
    pub async fn stop(&self, grace: Duration) -> Result<Stopped, SandboxError> {
        let asked = self.runner.shutdown(grace).await.is_ok();
        let init_ended = tokio::time::timeout(grace + SHUTDOWN_MARGIN, self.died());
        let by_itself = if asked { matches!(init_ended.await, Ok(Ok(()))) } else { !self.is_alive() };
        if !by_itself {
            kill_and_wait(&self.record.init, &self.record.name).await?;
        }
        end_outer(&self.record).await?;
        clean(self.runner.files(), self.cgroup.clone(), &self.record.name).await?;
        Ok(if by_itself { Stopped::ByItself } else { Stopped::Killed })
    }
}

/// Ends every sandbox of the instance that nobody knows (a daemon died before it wrote the record, or the record is
/// lost) and returns their names. `known`: machine names to keep, [`super::HOST`] included.
///
/// # Errors
/// [`SandboxError::Cgroup`] when something would not end.
pub async fn remove_leftovers(
    tree: &CgroupTree,
    known: &BTreeSet<String>,
) -> Result<Vec<String>, SandboxError> {
    let mut removed = Vec::new();
    for machine in tree.machines()?.into_iter().filter(|name| !known.contains(name)) {
        let (cgroup, folders) = (tree.machine(&machine)?, nspawn_folders(&machine));
        blocking(move || remove_outside(&cgroup, &folders)).await?;
        removed.push(machine);
    }
    Ok(removed)
}

/// Refuses when the place is taken, and removes what a dead sandbox left.
async fn clear_the_place(
    files: &RunnerFiles,
    cgroup: &MachineCgroup,
    machine: &str,
) -> Result<(), SandboxError> {
    match files.load()? {
        Some(record) if record.init.open().is_some() => {
            Err(SandboxError::AlreadyRunning { machine: machine.to_owned() })
        }
        // Also without a record: a daemon may have died between starting and writing it.
        _ if cgroup.whole().exists() => clean(files, cgroup.clone(), machine).await,
        _ => Ok(()),
    }
}

fn prepare_layers(spec: &SandboxSpec) -> Result<(), SandboxError> {
    let dirs = [spec.layer.join("upper"), spec.layer.join("work"), spec.merged.clone()];
    for dir in dirs {
        fs::create_dir_all(&dir).map_err(SandboxError::io("create", &dir))?;
    }
    Ok(())
}

async fn launch(
    spec: &SandboxSpec,
    plan: &SandboxPlan,
    files: &RunnerFiles,
    cgroup: &MachineCgroup,
    patience: Duration,
) -> Result<Record, SandboxError> {
    let mut command = Command::new(&spec.runner);
    command.arg("launch").env_clear().envs(&plan.env).current_dir("/").stdin(Stdio::piped());
    let mut starting = Starting::spawn(&spec.machine, files, command)?;
    let text = serde_json::to_vec(&launch_plan(spec, plan, cgroup)?)
        .map_err(|e| SandboxError::Task { reason: e.to_string() })?;
    if let Some(mut stdin) = starting.child.stdin.take() {
        // A launcher that cannot read has ended, which is told below with its log.
        let _ = stdin.write_all(&text).await;
    }
    let served = match starting.served(patience).await {
        Ok(()) => identify(spec, starting.pid),
        Err(error) => Err(error),
    };
    match served.and_then(|record| files.save(&record).map(|()| record)) {
        Ok(record) => {
            starting.leave();
            Ok(record)
        }
        Err(error) => {
            // PID 1 first: nspawn then ends by itself.
            for child in children(starting.pid) {
                let _ = PidFd::open(child).and_then(|process| process.kill());
            }
            if tokio::time::timeout(KILL_PATIENCE, starting.child.wait()).await.is_err() {
                let _ = starting.child.start_kill();
            }
            starting.leave();
            Err(error)
        }
    }
}

fn launch_plan(
    spec: &SandboxSpec,
    plan: &SandboxPlan,
    cgroup: &MachineCgroup,
) -> Result<LaunchPlan, SandboxError> {
    Ok(LaunchPlan {
        image: plan.overlay.image.clone(),
        lowers: plan.overlay.lowers.clone(),
        layer: plan.overlay.layer.clone(),
        stage: plan.overlay.stage.clone(),
        root: plan.overlay.root.clone(),
        shifted: plan.shifted.clone(),
        uid_base: plan.overlay.uid_base,
        uid_count: plan.overlay.uid_count,
        mount_points: plan.mount_points.iter().map(|m| (m.source.clone(), m.target.clone())).collect(),
        cgroups: cgroup.main().join_paths(),
        argv: plan.argv.clone(),
        needed: needed(spec),
        network: super::network::plan(spec)?,
    })
}

/// What of the host the sandbox stands on.
fn needed(spec: &SandboxSpec) -> Vec<PathBuf> {
    let own = [&spec.image, &spec.layer, &spec.merged, &spec.control, &spec.runner];
    let below = own.into_iter().chain(&spec.lowers).chain(spec.binds.iter().map(|bind| &bind.source));
    // Mounts are known by where they really are.
    below.map(|path| fs::canonicalize(path).unwrap_or_else(|_| path.clone())).collect()
}

/// nspawn's only child is the container's PID 1.
fn identify(spec: &SandboxSpec, nspawn: i32) -> Result<Record, SandboxError> {
    let init = children(nspawn).first().copied().and_then(ProcessIdentity::of);
    let (Some(outer), Some(init)) = (ProcessIdentity::of(nspawn), init) else {
        let (machine, status) = (spec.machine.clone(), "it ended while it was identified".to_owned());
        let log = RunnerFiles::new(&spec.control).log_tail();
        return Err(SandboxError::DiedEarly { machine, status, log });
    };
    Ok(Record::new(&spec.machine, outer, init, Some(spec.clone())))
}

pub(super) async fn ended(identity: &ProcessIdentity) -> Result<(), SandboxError> {
    let Some(process) = identity.open() else { return Ok(()) };
    process.ended().await.map_err(SandboxError::io("watch", Path::new("pidfd")))
}

pub(super) async fn kill_and_wait(identity: &ProcessIdentity, name: &str) -> Result<(), SandboxError> {
    let Some(process) = identity.open() else { return Ok(()) };
    let _ = process.kill();
    let ended = tokio::time::timeout(KILL_PATIENCE, process.ended()).await;
    if matches!(ended, Ok(Ok(()))) {
        return Ok(());
    }
    Err(SandboxError::WouldNotEnd { machine: name.to_owned(), left: format!("process {}", identity.pid) })
}

/// nspawn ends after its PID 1; one that hangs then may be killed, as nothing is left that it could leave behind.
async fn end_outer(record: &Record) -> Result<(), SandboxError> {
    if tokio::time::timeout(KILL_PATIENCE, ended(&record.outer)).await.is_ok() {
        return Ok(());
    }
    kill_and_wait(&record.outer, &record.name).await
}

/// Removes what a sandbox that ended leaves outside: its groups with whatever is still in them, its record, its socket
/// and nspawn's own folders of its name.
async fn clean(files: &RunnerFiles, cgroup: MachineCgroup, machine: &str) -> Result<(), SandboxError> {
    let (files, folders) = (files.clone(), nspawn_folders(machine));
    blocking(move || {
        remove_outside(&cgroup, &folders)?;
        files.forget()
    })
    .await
}

/// Ends what is in the groups, then removes them and nspawn's folders.
fn remove_outside(cgroup: &MachineCgroup, folders: &[PathBuf]) -> Result<(), SandboxError> {
    cgroup.remove()?;
    for folder in folders {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(SandboxError::io("remove", folder)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What nspawn makes by name; a killed one leaves them.
fn nspawn_folders(machine: &str) -> [PathBuf; 2] {
    ["propagate", "unix-export"].map(|kind| Path::new("/run/systemd/nspawn").join(kind).join(machine))
}
