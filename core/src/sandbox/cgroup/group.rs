//! One group in all hierarchies at once: members, killing, removal, figures.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sandboxed_domain::sandbox::Limits;

use super::hierarchy::{Controller, Hierarchies, Hierarchy, Version};
use super::watch::LimitWatch;
use super::{CgroupError, limits};
use crate::sandbox::process::PidFd;

/// What a group uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of memory now.
    pub memory_bytes: u64,
    /// Most bytes of memory so far.
    pub memory_peak_bytes: u64,
    /// Processor time so far, in microseconds.
    pub cpu_micros: u64,
    /// Processes and threads now.
    pub pids: u64,
}

/// The file that stops a group at once, and what to write into it.
#[derive(Debug)]
pub struct StopControl {
    /// Open for writing.
    pub fd: OwnedFd,
    /// `1` into `cgroup.kill`; where the kernel has only v1, `0` into `pids.max`, so that nothing new begins.
    pub payload: &'static str,
}

/// How long processes that were killed may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// A group: the same relative path in every hierarchy.
#[derive(Debug, Clone)]
pub struct Group {
    hierarchies: Hierarchies,
    relative: PathBuf,
}

impl Group {
    /// Names a group; nothing is made.
    pub(super) fn new(hierarchies: &Hierarchies, relative: PathBuf) -> Self {
        Self { hierarchies: hierarchies.clone(), relative }
    }

    /// Makes it where it is missing, then sets its limits; repeating this is harmless.
    pub(super) fn create(&self, wanted: &Limits) -> Result<(), CgroupError> {
        for hierarchy in self.hierarchies.iter() {
            create_in(hierarchy, &self.relative)?;
        }
        limits::apply(self, wanted)
    }

    /// Whether it is there in any hierarchy.
    pub fn exists(&self) -> bool {
        self.dirs().any(|dir| dir.exists())
    }

    fn dirs(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.hierarchies.iter().map(|h| h.root.join(&self.relative))
    }

    fn hierarchy(&self, controller: Controller) -> Result<&Hierarchy, CgroupError> {
        self.hierarchies.with(controller).ok_or(CgroupError::ControllerMissing { controller })
    }

    pub(super) fn version(&self, controller: Controller) -> Result<Version, CgroupError> {
        Ok(self.hierarchy(controller)?.version)
    }

    /// Its directory in the hierarchy of a controller.
    pub(super) fn path(&self, controller: Controller) -> Result<PathBuf, CgroupError> {
        Ok(self.hierarchy(controller)?.root.join(&self.relative))
    }

    pub(super) fn write(&self, controller: Controller, file: &str, value: &str) -> Result<(), CgroupError> {
        let path = self.path(controller)?.join(file);
        write_control(&path, value).map_err(CgroupError::io("write", &path))
    }

    pub(super) fn write_if_there(&self, of: Controller, file: &str, value: &str) -> Result<(), CgroupError> {
        if self.path(of)?.join(file).exists() { self.write(of, file, value) } else { Ok(()) }
    }

    fn read(&self, controller: Controller, file: &str) -> Result<String, CgroupError> {
        let path = self.path(controller)?.join(file);
        fs::read_to_string(&path).map_err(CgroupError::io("read", &path))
    }

    fn number(&self, controller: Controller, v1: &str, v2: &str) -> Result<u64, CgroupError> {
        let file = if self.version(controller)? == Version::V1 { v1 } else { v2 };
        Ok(self.read(controller, file)?.trim().parse().unwrap_or_default())
    }

    /// The `cgroup.procs` files, into which the number of another process is written to move it.
    pub fn procs_paths(&self) -> Vec<PathBuf> {
        self.dirs().map(|dir| dir.join("cgroup.procs")).collect()
    }

    /// The files that a process with one thread joins by writing `0`. On v1 that is `tasks`: a thread that moves itself
    /// waits for nobody, while a write to `cgroup.procs` waits until every processor has passed a quiet moment, which
    /// takes some milliseconds. v2 has no such file where memory is limited.
    pub fn join_paths(&self) -> Vec<PathBuf> {
        let file = |version| if version == Version::V1 { "tasks" } else { "cgroup.procs" };
        self.hierarchies.iter().map(|h| h.root.join(&self.relative).join(file(h.version))).collect()
    }

    /// The same, open for writing: for a runner whose own view has no such paths.
    ///
    /// # Errors
    /// [`CgroupError::Io`].
    pub fn join_fds(&self) -> Result<Vec<OwnedFd>, CgroupError> {
        self.join_paths().iter().map(|path| open_for_writing(path)).collect()
    }

    /// One `cgroup.procs` open for reading.
    ///
    /// # Errors
    /// [`CgroupError::Io`].
    pub fn procs_fd(&self) -> Result<OwnedFd, CgroupError> {
        let path = self.path(Controller::Pids)?.join("cgroup.procs");
        Ok(File::open(&path).map_err(CgroupError::io("open", &path))?.into())
    }

    /// The file that stops the group.
    ///
    /// # Errors
    /// [`CgroupError::Io`].
    pub fn stop_control(&self) -> Result<StopControl, CgroupError> {
        if let Some(kill) = self.kill_file() {
            return Ok(StopControl { fd: open_for_writing(&kill)?, payload: "1" });
        }
        let path = self.path(Controller::Pids)?.join("pids.max");
        Ok(StopControl { fd: open_for_writing(&path)?, payload: "0" })
    }

    /// `cgroup.kill`, since Linux 5.14, where v2 holds every process of a group.
    fn kill_file(&self) -> Option<PathBuf> {
        let tracking = self.hierarchies.with(Controller::Pids).filter(|h| h.version == Version::V2)?;
        let kill = tracking.root.join(&self.relative).join("cgroup.kill");
        kill.exists().then_some(kill)
    }

    /// Figures of now.
    ///
    /// # Errors
    /// [`CgroupError::Io`] when it is gone.
    pub fn usage(&self) -> Result<Usage, CgroupError> {
        let memory = Controller::Memory;
        let cpu_micros = match self.version(Controller::CpuAcct)? {
            Version::V1 => self.number(Controller::CpuAcct, "cpuacct.usage", "")? / 1000,
            Version::V2 => {
                field(&self.read(Controller::CpuAcct, "cpu.stat")?, "usage_usec").unwrap_or_default()
            }
        };
        Ok(Usage {
            memory_bytes: self.number(memory, "memory.usage_in_bytes", "memory.current")?,
            memory_peak_bytes: self
                .number(memory, "memory.max_usage_in_bytes", "memory.peak")
                .unwrap_or_default(),
            cpu_micros,
            pids: self.number(Controller::Pids, "pids.current", "pids.current")?,
        })
    }

    /// Processes that the kernel killed because memory ran out.
    ///
    /// # Errors
    /// [`CgroupError::Io`] when it is gone.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        let v1 = self.version(Controller::Memory)? == Version::V1;
        let file = if v1 { "memory.oom_control" } else { "memory.events" };
        Ok(field(&self.read(Controller::Memory, file)?, "oom_kill").unwrap_or_default())
    }

    /// Forks that were refused because of the limit on processes.
    ///
    /// # Errors
    /// [`CgroupError::Io`] when it is gone.
    pub fn refused_forks(&self) -> Result<u64, CgroupError> {
        Ok(field(&self.read(Controller::Pids, "pids.events")?, "max").unwrap_or_default())
    }

    /// Tells of limits that are hit from now on. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`CgroupError::Io`] when it is gone.
    pub fn watch_limits(&self) -> Result<LimitWatch, CgroupError> {
        LimitWatch::new(self)
    }

    /// Process ids in it and below it.
    ///
    /// # Errors
    /// [`CgroupError::Io`].
    pub fn processes(&self) -> Result<BTreeSet<i32>, CgroupError> {
        let mut found = BTreeSet::new();
        for dir in self.dirs() {
            for group in with_children(&dir).map_err(CgroupError::io("list", &dir))? {
                let path = group.join("cgroup.procs");
                match fs::read_to_string(&path) {
                    Ok(text) => found.extend(text.lines().filter_map(|l| l.parse::<i32>().ok())),
                    Err(error) if is_gone(&error) => {}
                    Err(error) => return Err(CgroupError::io("read", &path)(error)),
                }
            }
        }
        // Zero stands for processes of another pid namespace.
        found.remove(&0);
        Ok(found)
    }

    /// Kills everything in it and below it and waits until that is gone. Blocks, at most a few seconds.
    ///
    /// # Errors
    /// [`CgroupError::Busy`] when something would not die.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        let deadline = Instant::now() + KILL_PATIENCE;
        loop {
            let members = self.processes()?;
            if members.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(CgroupError::Busy { path: self.relative.clone(), processes: members.len() });
            }
            // Held before the killing, so that each wait is for the process that was seen.
            let held: Vec<PidFd> = members.iter().filter_map(|pid| PidFd::open(*pid).ok()).collect();
            self.signal_all(&held)?;
            for process in &held {
                // Whoever is not gone by then is found by the next look.
                let _ = process.wait_exit(deadline.saturating_duration_since(Instant::now()));
            }
        }
    }

    fn signal_all(&self, held: &[PidFd]) -> Result<(), CgroupError> {
        if let Some(kill) = self.kill_file() {
            return write_control(&kill, "1").map_err(CgroupError::io("kill", &kill));
        }
        if self.hierarchies.with(Controller::Pids).is_some() {
            self.write(Controller::Pids, "pids.max", "0")?;
        }
        for process in held {
            let _ = process.kill();
        }
        Ok(())
    }

    /// Removes it and what is below it, killing what still runs. Blocks, at most a few seconds; what is gone already
    /// is fine.
    ///
    /// # Errors
    /// [`CgroupError::Busy`] or [`CgroupError::Io`].
    pub fn remove(&self) -> Result<(), CgroupError> {
        let deadline = Instant::now() + KILL_PATIENCE;
        for dir in self.dirs() {
            let groups = with_children(&dir).map_err(CgroupError::io("list", &dir))?;
            for group in groups.iter().rev() {
                self.remove_dir(group, deadline)?;
            }
        }
        Ok(())
    }

    fn remove_dir(&self, dir: &Path, deadline: Instant) -> Result<(), CgroupError> {
        loop {
            match fs::remove_dir(dir) {
                Ok(()) => return Ok(()),
                Err(error) if is_gone(&error) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline => {
                    self.kill_all()?;
                    // The last process has ended, but the kernel lets go of the group a moment later and has no
                    // event for that on v1.
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(CgroupError::io("remove", dir)(error)),
            }
        }
    }
}

/// Makes a group and its parents; on v2 the parents hand the wanted controllers down.
fn create_in(hierarchy: &Hierarchy, relative: &Path) -> Result<(), CgroupError> {
    let mut dir = hierarchy.root.clone();
    for component in relative.components() {
        if hierarchy.version == Version::V2 {
            hand_down(hierarchy, &dir)?;
        }
        dir.push(component);
        match fs::create_dir(&dir) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(CgroupError::io("create", &dir)(error)),
        }
    }
    Ok(())
}

fn hand_down(hierarchy: &Hierarchy, dir: &Path) -> Result<(), CgroupError> {
    let path = dir.join("cgroup.subtree_control");
    let enabled = fs::read_to_string(&path).map_err(CgroupError::io("read", &path))?;
    for controller in &hierarchy.controllers {
        // On v2 processor time is counted without a controller of that name.
        let counted = *controller == Controller::CpuAcct;
        if !counted && !enabled.split_whitespace().any(|word| word == controller.as_str()) {
            let word = format!("+{}", controller.as_str());
            write_control(&path, &word).map_err(CgroupError::io("enable controllers", &path))?;
        }
    }
    Ok(())
}

/// A group and all below it, parents first; empty when it is gone.
fn with_children(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![dir.to_owned()];
    let mut next = 0;
    while let Some(parent) = found.get(next).cloned() {
        next += 1;
        match fs::read_dir(&parent) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry?;
                    if entry.file_type()?.is_dir() {
                        found.push(entry.path());
                    }
                }
            }
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// A group that ended between two looks: ENOENT on opening, ENODEV on reading.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

/// Writes to an existing file in one call; a control file must never be created or truncated.
fn write_control(path: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}

fn open_for_writing(path: &Path) -> Result<OwnedFd, CgroupError> {
    let file = OpenOptions::new().write(true).open(path).map_err(CgroupError::io("open", path))?;
    Ok(file.into())
}

/// The number after `name` in a file of `name number` lines.
pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}
