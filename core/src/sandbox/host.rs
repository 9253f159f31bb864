//! The host workspace's runner: an ordinary process in a session of its own, which outlives the daemon and is found
//! again like a sandbox. Nothing separates its runs from the host; they only have cgroups, where the daemon may make
//! them.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use std::{fs, io};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{getsockopt, sockopt};
use sandbox_runner::protocol::LOCK_FILE;
use sandbox_runner::socket;
use sandboxed_domain::sandbox::Limits;
use tokio::process::Command;

use super::cgroup::{CgroupTree, MachineCgroup};
use super::error::SandboxError;
use super::handle::{RunnerHandle, blocking};
use super::machine::{START_PATIENCE, ended, kill_and_wait};
use super::process::ProcessIdentity;
use super::record::{Record, RunnerFiles};
use super::runner_path::check_runner;
use super::starting::{Starting, answering};

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
        match Self::start(runner, control, tree, patience).await {
            // One that had not taken the lock yet when it was looked for has it now.
            Err(error @ SandboxError::DiedEarly { .. }) => Self::adopt(control, tree).await?.ok_or(error),
            started => started,
        }
    }

    async fn start(
        runner: &Path,
        control: &Path,
        tree: Option<&CgroupTree>,
        patience: Duration,
    ) -> Result<Self, SandboxError> {
        let files = RunnerFiles::new(control);
        let cgroup = group(tree)?;
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

    /// Finds the runner that an earlier daemon started, also one that it had no time to write down; none when it is
    /// gone.
    ///
    /// # Errors
    /// [`SandboxError::Record`] when the record cannot be read; [`SandboxError::StartTimedOut`] when it never answers.
    pub async fn adopt(control: &Path, tree: Option<&CgroupTree>) -> Result<Option<Self>, SandboxError> {
        let files = RunnerFiles::new(control);
        match files.load()? {
            Some(record) if record.init.open().is_some() => {
                let cgroup = tree.map(|tree| tree.machine(HOST)).transpose()?;
                return Ok(Some(Self::new(record, files, cgroup)));
            }
            Some(_) => files.forget()?,
            None => {}
        }
        if !is_served(&files)? {
            return Ok(None);
        }
        answering(HOST, &files, START_PATIENCE).await?;
        let cgroup = group(tree)?;
        let record = record(server(&files)?, cgroup.as_ref())?;
        files.save(&record)?;
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

/// The host's group, made where it is missing.
fn group(tree: Option<&CgroupTree>) -> Result<Option<MachineCgroup>, SandboxError> {
    let cgroup = tree.map(|tree| tree.machine(HOST)).transpose()?;
    if let Some(cgroup) = &cgroup {
        cgroup.create(&Limits::default())?;
    }
    Ok(cgroup)
}

/// Whether a runner holds the control directory's lock.
fn is_served(files: &RunnerFiles) -> Result<bool, SandboxError> {
    let path = files.control().join(LOCK_FILE);
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(SandboxError::io("open", &path)(error)),
    };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_) => Ok(false),
        Err((_, Errno::EWOULDBLOCK)) => Ok(true),
        Err((_, errno)) => Err(SandboxError::io("lock", &path)(errno.into())),
    }
}

/// The process that listens at the socket.
fn server(files: &RunnerFiles) -> Result<i32, SandboxError> {
    let path = files.socket();
    let stream = socket::connect(&path).map_err(SandboxError::io("connect to", &path))?;
    let peer = getsockopt(&stream, sockopt::PeerCredentials);
    Ok(peer.map_err(|errno| SandboxError::io("identify", &path)(errno.into()))?.pid())
}

/// Waits until the new runner answers.
async fn serve(
    starting: &mut Starting,
    cgroup: Option<&MachineCgroup>,
    patience: Duration,
) -> Result<Record, SandboxError> {
    starting.served(patience).await?;
    record(starting.pid, cgroup)
}

/// Moves a runner into its group and says who it is.
fn record(pid: i32, cgroup: Option<&MachineCgroup>) -> Result<Record, SandboxError> {
    for path in cgroup.map(|cgroup| cgroup.main().procs_paths()).unwrap_or_default() {
        fs::write(&path, pid.to_string()).map_err(SandboxError::io("join", &path))?;
    }
    let Some(identity) = ProcessIdentity::of(pid) else {
        let reason = "the host's runner ended while it was identified".to_owned();
        return Err(SandboxError::Task { reason });
    };
    Ok(Record::new(HOST, identity.clone(), identity, None))
}
