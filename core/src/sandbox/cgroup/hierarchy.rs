//! Which cgroup hierarchies the host has, read from its mounts.

use std::fs;
use std::path::{Path, PathBuf};

use super::CgroupError;

/// What a hierarchy can limit or count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the kernel's own names")]
pub enum Controller {
    Memory,
    Cpu,
    CpuAcct,
    Pids,
}

impl Controller {
    const ALL: [Self; 4] = [Self::Memory, Self::Cpu, Self::CpuAcct, Self::Pids];

    /// The kernel's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::CpuAcct => "cpuacct",
            Self::Pids => "pids",
        }
    }
}

/// Version of the interface; their files differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the kernel's own names")]
pub enum Version {
    V1,
    V2,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Version of its files.
    pub version: Version,
    /// Where it is mounted.
    pub root: PathBuf,
    /// What of [`Controller`] it has. Empty for one that only tracks processes (`name=systemd`, or v2 beside v1).
    pub controllers: Vec<Controller>,
}

/// All hierarchies that a process of ours joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchies(Vec<Hierarchy>);

impl Hierarchies {
    /// Reads `/proc/self/mountinfo` and, for v2, the controllers on offer.
    ///
    /// # Errors
    /// [`CgroupError::Io`] when `/proc` cannot be read.
    pub fn detect() -> Result<Self, CgroupError> {
        let path = Path::new("/proc/self/mountinfo");
        let text = fs::read_to_string(path).map_err(CgroupError::io("read", path))?;
        Ok(Self(parse(&text, |root| fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default())))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Hierarchy> {
        self.0.iter()
    }

    /// Those that limit or count something.
    pub fn controlling(&self) -> Self {
        Self(self.0.iter().filter(|h| !h.controllers.is_empty()).cloned().collect())
    }

    /// The hierarchy that has a controller. On v2, processor time is counted without a controller of its own.
    pub fn with(&self, controller: Controller) -> Option<&Hierarchy> {
        self.0.iter().find(|h| h.controllers.contains(&controller))
    }

    /// The v2 hierarchy, whatever it controls.
    pub fn unified(&self) -> Option<&Hierarchy> {
        self.0.iter().find(|h| h.version == Version::V2)
    }

    /// Of memory, cpu and pids, those that this host cannot limit.
    pub fn missing(&self) -> Vec<Controller> {
        let needed = [Controller::Memory, Controller::Cpu, Controller::Pids];
        needed.into_iter().filter(|c| self.with(*c).is_none()).collect()
    }
}

/// Picks our hierarchies out of a mountinfo text; the first mount of a hierarchy counts.
fn parse(mountinfo: &str, unified_controllers: impl Fn(&Path) -> String) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let Some(root) = left.split(' ').nth(4) else { continue };
        let mut right = right.split(' ');
        let (kind, options) = (right.next(), right.nth(1).unwrap_or_default());
        let root = PathBuf::from(root.replace("\\040", " "));
        let hierarchy = match kind {
            Some("cgroup2") => unified(&unified_controllers(&root), root),
            Some("cgroup") => match legacy(options, root) {
                Some(hierarchy) => hierarchy,
                None => continue,
            },
            _ => continue,
        };
        let known = |h: &Hierarchy| h.version == hierarchy.version && h.controllers == hierarchy.controllers;
        if !found.iter().any(known) {
            found.push(hierarchy);
        }
    }
    found
}

fn unified(offered: &str, root: PathBuf) -> Hierarchy {
    let mut controllers: Vec<_> = Controller::ALL
        .into_iter()
        .filter(|c| offered.split_whitespace().any(|word| word == c.as_str()))
        .collect();
    if controllers.contains(&Controller::Cpu) {
        controllers.push(Controller::CpuAcct);
    }
    Hierarchy { version: Version::V2, root, controllers }
}

fn legacy(options: &str, root: PathBuf) -> Option<Hierarchy> {
    let words: Vec<&str> = options.split(',').collect();
    let controllers: Vec<_> = Controller::ALL.into_iter().filter(|c| words.contains(&c.as_str())).collect();
    // systemd's own hierarchy is joined so that nspawn makes its groups below ours.
    let wanted = !controllers.is_empty() || words.contains(&"name=systemd");
    wanted.then_some(Hierarchy { version: Version::V1, root, controllers })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
27 1 254:0 / / rw - ext4 /dev/vda rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime shared:1 - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
99 31 0:36 / /elsewhere rw,relatime - cgroup cgroup rw,pids
";

    #[test]
    fn version_1_beside_an_empty_version_2_is_understood() {
        let all = Hierarchies(parse(HYBRID, |_| "hugetlb".into()));
        assert_eq!(all.with(Controller::Cpu), all.with(Controller::CpuAcct));
        assert_eq!(all.with(Controller::Pids).unwrap().root, Path::new("/sys/fs/cgroup/pids"));
        assert_eq!(all.unified().unwrap().root, Path::new("/sys/fs/cgroup/unified"));
        assert_eq!((all.iter().count(), all.missing()), (5, vec![]));
        assert_eq!(all.controlling().iter().count(), 3);
    }

    #[test]
    fn version_2_alone_is_one_hierarchy() {
        let text = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let all = Hierarchies(parse(text, |_| "cpuset cpu io memory pids".into()));
        assert_eq!((all.iter().count(), all.missing()), (1, vec![]));
        assert_eq!(all.with(Controller::CpuAcct).unwrap().version, Version::V2);
    }

    #[test]
    fn a_missing_controller_is_named() {
        let text = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let all = Hierarchies(parse(text, |_| "cpu pids".into()));
        assert_eq!(all.missing(), [Controller::Memory]);
    }
}
