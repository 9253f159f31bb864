//! Where the groups of an instance are: one daemon's groups never mix with another's, and what a daemon that died left
//! behind is found by its place alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sandboxed_domain::sandbox::Limits;

use super::CgroupError;
use super::group::{Group, Usage};
use super::hierarchy::Hierarchies;
use super::share;

/// Our folder at the root of every hierarchy. Outside the daemon's own service, so that sandboxes outlive it.
const TOP: &str = "sandboxed-sh";
/// Group of the sandbox itself: nspawn, the runner.
const MAIN: &str = "main";

/// All groups of one daemon.
#[derive(Debug, Clone)]
pub struct CgroupTree {
    hierarchies: Hierarchies,
    relative: PathBuf,
}

impl CgroupTree {
    /// The tree of `instance` (one name for each data directory) on this host; nothing is made yet.
    ///
    /// # Errors
    /// [`CgroupError::Name`] for an instance that is not a plain name.
    pub fn detect(instance: &str) -> Result<Self, CgroupError> {
        check_name(instance)?;
        Ok(Self { hierarchies: Hierarchies::detect()?, relative: Path::new(TOP).join(instance) })
    }

    /// Name of the instance.
    pub fn instance(&self) -> &str {
        self.relative.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// What this host has.
    pub fn hierarchies(&self) -> &Hierarchies {
        &self.hierarchies
    }

    /// The groups of a sandbox.
    ///
    /// # Errors
    /// [`CgroupError::Name`].
    pub fn machine(&self, machine: &str) -> Result<MachineCgroup, CgroupError> {
        check_name(machine)?;
        Ok(MachineCgroup { hierarchies: self.hierarchies.clone(), relative: self.relative.join(machine) })
    }

    /// Names of the sandboxes that have groups here, whoever made them.
    ///
    /// # Errors
    /// [`CgroupError::Io`].
    pub fn machines(&self) -> Result<BTreeSet<String>, CgroupError> {
        children(&self.hierarchies, &self.relative)
    }

    /// Removes the instance's own folder where no sandbox is left in it; ends nothing.
    ///
    /// # Errors
    /// [`CgroupError::Io`].
    pub fn remove_if_empty(&self) -> Result<(), CgroupError> {
        for hierarchy in self.hierarchies.iter() {
            let folder = hierarchy.root.join(&self.relative);
            match fs::remove_dir(&folder) {
                Ok(()) => {}
                // A group with groups in it is busy; so is one that lives in another hierarchy only.
                Err(error)
                    if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::ENOTEMPTY | libc::ENOENT)) => {
                }
                Err(error) => return Err(CgroupError::io("remove", &folder)(error)),
            }
        }
        Ok(())
    }
}

/// The groups of one sandbox.
#[derive(Debug, Clone)]
pub struct MachineCgroup {
    hierarchies: Hierarchies,
    relative: PathBuf,
}

impl MachineCgroup {
    /// Makes the sandbox's groups, the limits being those of everything in it together.
    ///
    /// # Errors
    /// [`CgroupError`].
    pub fn create(&self, limits: &Limits) -> Result<(), CgroupError> {
        let all = self.relative.parent().unwrap_or(Path::new(TOP)).to_owned();
        Group::new(&self.hierarchies, all).create(&share::of_machine())?;
        self.whole().create(limits)?;
        self.main().create(&Limits::default())
    }

    /// The group of everything in the sandbox.
    pub fn whole(&self) -> Group {
        Group::new(&self.hierarchies, self.relative.clone())
    }

    /// The group of the sandbox itself.
    pub fn main(&self) -> Group {
        Group::new(&self.hierarchies, self.relative.join(MAIN))
    }

    /// A run's group, whether or not it is there.
    ///
    /// # Errors
    /// [`CgroupError::Name`].
    pub fn run(&self, run_id: &str) -> Result<Group, CgroupError> {
        check_name(run_id)?;
        if run_id == MAIN {
            return Err(CgroupError::Name { name: run_id.to_owned() });
        }
        // Where v2 only tracks, the sandbox's own group there is enough: v1 tells of a run's processes and ends them.
        Ok(Group::new(&self.hierarchies.controlling(), self.relative.join(run_id)))
    }

    /// Makes a run's group with limits of its own.
    ///
    /// # Errors
    /// [`CgroupError`].
    pub fn create_run(&self, run_id: &str, limits: &Limits) -> Result<Group, CgroupError> {
        let group = self.run(run_id)?;
        group.create(limits)?;
        Ok(group)
    }

    /// Ids of runs that have a group.
    ///
    /// # Errors
    /// [`CgroupError::Io`].
    pub fn runs(&self) -> Result<BTreeSet<String>, CgroupError> {
        let mut names = children(&self.hierarchies, &self.relative)?;
        names.remove(MAIN);
        Ok(names)
    }

    /// Figures of the whole sandbox.
    ///
    /// # Errors
    /// [`CgroupError::Io`] when it is gone.
    pub fn usage(&self) -> Result<Usage, CgroupError> {
        self.whole().usage()
    }

    /// Kills what is left in it and removes all its groups. Blocks, at most a few seconds.
    ///
    /// # Errors
    /// [`CgroupError::Busy`] or [`CgroupError::Io`].
    pub fn remove(&self) -> Result<(), CgroupError> {
        self.whole().remove()
    }
}

fn children(hierarchies: &Hierarchies, relative: &Path) -> Result<BTreeSet<String>, CgroupError> {
    let mut names = BTreeSet::new();
    for hierarchy in hierarchies.iter() {
        let dir = hierarchy.root.join(relative);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(CgroupError::io("list", &dir)(error)),
        };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                names.extend(entry.file_name().into_string());
            }
        }
    }
    Ok(names)
}

/// One path component that is no control file: those all have a dot.
fn check_name(name: &str) -> Result<(), CgroupError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if (1..=128).contains(&name.len()) && name.bytes().all(fits) && name != "tasks" {
        return Ok(());
    }
    Err(CgroupError::Name { name: name.to_owned() })
}
