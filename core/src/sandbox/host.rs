//! The host workspace's runner: an ordinary process in a session of its own, which outlives the daemon and is found
//! again like a sandbox. Nothing separates its runs from the host; they only have cgroups, where the daemon may make
//! them.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sandboxed_domain::sandbox::Limits;
use tokio::process::Command;

use super::cgroup::{CgroupTree, MachineCgroup};
use super::error::SandboxError;
use super::handle::{RunnerHandle, blocking};
use super::machine::{ended, kill_and_wait};
use super::process::ProcessIdentity;
use super::record::{Record, RunnerFiles};
use super::runner_path::check_runner;
use super::starting::Starting;

/// Name of the host's runner, where a sandbox has its machine name.
pub const HOST: &str = "host";
/// How much longer than the grace of its runs the runner may take to write its records.
const SHUTDOWN_MARGIN: Duration = Duration::from_secs(2);

/// The running host runner.
#[derive(Debug)]
pub struct HostRunner {
    record: Record,
    runner: RunnerHandle,
}

impl HostRunner {
    /// Finds the runner that serves `control`, or starts one from the program `runner`. `tree`: none when the daemon
    /// may not make cgroups; runs then have no limits.
    ///
    /// # Errors
    /// [`SandboxError::DiedEarly`], [`SandboxError::StartTimedOut`], [`SandboxError::Cgroup`].
    pub async fn ensure(
        runner: &Path,
        control: &Path,
        tree: Option<&CgroupTree>,
        patience: Duration,
    ) -> Result<Self, SandboxError> {
        if let Some(found) = Self::adopt(control, tree).await? {
            return Ok(found);
        }
        check_runner(runner)?;
        let files = RunnerFiles::new(control);
        let cgroup = tree.map(|tree| tree.machine(HOST)).transpose()?;
        if let Some(cgroup) = &cgroup {
            cgroup.create(&Limits::default())?;
        }
        let mut command = Command::new(runner);
        command.arg("host").arg("--control").arg(control);
        command.env_clear().current_dir("/").stdin(Stdio::null());
        let mut starting = Starting::spawn(HOST, &files, command)?;
        let record = match serve(&mut starting, cgroup.as_ref(), patience).await {
            Ok(record) => record,
            Err(error) => {
                let _ = starting.child.start_kill();
                starting.leave();
                return Err(error);
            }
        };
        files.save(&record)?;
        starting.leave();
        Ok(Self::new(record, files, cgroup))
    }

    /// Finds the runner that an earlier daemon started; none when it is gone.
    ///
    /// # Errors
    /// [`SandboxError::Record`] when the record cannot be read.
    pub async fn adopt(control: &Path, tree: Option<&CgroupTree>) -> Result<Option<Self>, SandboxError> {
        let files = RunnerFiles::new(control);
        let Some(record) = files.load()? else { return Ok(None) };
        if record.init.open().is_none() {
            files.forget()?;
            return Ok(None);
        }
        let cgroup = tree.map(|tree| tree.machine(HOST)).transpose()?;
        Ok(Some(Self::new(record, files, cgroup)))
    }

    fn new(record: Record, files: RunnerFiles, cgroup: Option<MachineCgroup>) -> Self {
        Self { record, runner: RunnerHandle::new(HOST, files, cgroup) }
    }

    /// Its runs.
    pub fn runner(&self) -> &RunnerHandle {
        &self.runner
    }

    /// Whether it lives.
    pub fn is_alive(&self) -> bool {
        self.record.init.open().is_some()
    }

    /// Waits until it ended, for whatever reason.
    ///
    /// # Errors
    /// [`SandboxError::Io`] when it cannot be watched.
    pub async fn died(&self) -> Result<(), SandboxError> {
        ended(&self.record.init).await
    }

    /// Ends all runs (KILL after `grace`) and the runner.
    ///
    /// # Errors
    /// [`SandboxError::WouldNotEnd`], [`SandboxError::Cgroup`].
    pub async fn stop(&self, grace: Duration) -> Result<(), SandboxError> {
        let asked = self.runner.shutdown(grace).await.is_ok();
        if !asked || tokio::time::timeout(grace + SHUTDOWN_MARGIN, self.died()).await.is_err() {
            kill_and_wait(&self.record.init, HOST).await?;
        }
        let (files, cgroup) = (self.runner.files().clone(), self.runner.cgroup().cloned());
        blocking(move || {
            if let Some(cgroup) = cgroup {
                cgroup.remove()?;
            }
            files.forget()
        })
        .await
    }
}

/// Moves the new runner into its group, waits until it answers and writes down who it is.
async fn serve(
    starting: &mut Starting,
    cgroup: Option<&MachineCgroup>,
    patience: Duration,
) -> Result<Record, SandboxError> {
    for path in cgroup.map(|cgroup| cgroup.main().procs_paths()).unwrap_or_default() {
        std::fs::write(&path, starting.pid.to_string()).map_err(SandboxError::io("join", &path))?;
    }
    starting.served(patience).await?;
    let Some(identity) = ProcessIdentity::of(starting.pid) else {
        let reason = "the host's runner ended while it was identified".to_owned();
        return Err(SandboxError::Task { reason });
    };
    Ok(Record::new(HOST, identity.clone(), identity, None))
}
