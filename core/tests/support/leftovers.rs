//! What a daemon, its sandboxes and runs would leave behind, found by identity: data directory and instance name.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Where to look for what is left of one data directory.
#[derive(Debug, Clone)]
pub struct Leftovers {
    root: String,
    instance: String,
}

impl Leftovers {
    /// Of a data directory (which must be there) in the test's directory `root`.
    pub fn of(root: &Path, data: &Path) -> Self {
        let real = fs::canonicalize(data).unwrap();
        let digest = Sha256::digest(real.as_os_str().as_encoded_bytes());
        let instance = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Self { root: root.display().to_string(), instance }
    }

    /// First part of the names of this daemon's machines.
    pub fn machine_prefix(&self) -> String {
        format!("sbx-{}-", self.instance)
    }

    /// Everything found, one line each.
    pub fn find(&self) -> Vec<String> {
        let mut found = self.processes();
        found.extend(self.mounts());
        found.extend(self.groups());
        found.extend(self.nspawn());
        found
    }

    fn processes(&self) -> Vec<String> {
        let own = std::process::id().to_string();
        let group = format!("/sandboxed-sh/{}", self.instance);
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let pid = entry.file_name().to_string_lossy().into_owned();
            if pid == own || !pid.bytes().all(|b| b.is_ascii_digit()) {
                continue;
            }
            let text = |file: &str| {
                let bytes = fs::read(entry.path().join(file)).unwrap_or_default();
                String::from_utf8_lossy(&bytes).replace('\0', " ")
            };
            // A zombie has ended; only its parent has not looked yet.
            if text("stat").rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')) {
                continue;
            }
            let cwd = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
            let (cmdline, groups) = (text("cmdline"), text("cgroup"));
            if cmdline.contains(&self.root) || cwd.starts_with(&self.root) || groups.contains(&group) {
                found.push(format!("process {pid}: {cmdline} (in {})", cwd.display()));
            }
        }
        found
    }

    fn mounts(&self) -> Vec<String> {
        let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let of_ours = |line: &&str| line.contains(&self.root) || line.contains(&self.machine_prefix());
        text.lines().filter(of_ours).map(|line| format!("mount {line}")).collect()
    }

    fn groups(&self) -> Vec<String> {
        let tops = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let mut places: Vec<PathBuf> = tops.map(|top| top.path().join("sandboxed-sh")).collect();
        places.push("/sys/fs/cgroup/sandboxed-sh".into());
        let groups = places.into_iter().map(|place| place.join(&self.instance)).filter(|path| path.exists());
        groups.map(|path| format!("cgroup {}", path.display())).collect()
    }

    fn nspawn(&self) -> Vec<String> {
        let prefix = self.machine_prefix();
        let mut found = Vec::new();
        for kind in ["propagate", "locks", "unix-export"] {
            let directory = Path::new("/run/systemd/nspawn").join(kind);
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                // A lock file's name has a dot or a word before the machine's.
                if entry.file_name().to_string_lossy().contains(&prefix) {
                    found.push(format!("nspawn {}", entry.path().display()));
                }
            }
        }
        found
    }
}
