//! Where everything of a workspace lies in the data directory. Short names: a unix socket's path has 108 bytes.

use std::path::{Path, PathBuf};

use uuid::Uuid;

/// The random end of an id: unique enough for a name, short enough for a path.
pub fn short(id: Uuid) -> String {
    let text = id.simple().to_string();
    text.get(20..).unwrap_or(&text).to_owned()
}

/// The directories of one workspace.
#[derive(Debug, Clone)]
pub struct WorkspacePaths {
    /// Everything but the runs.
    pub root: PathBuf,
    /// Runs, and the runner's record and log.
    pub runs: PathBuf,
    /// Control directory of the runner, in `runs`: its record lies beside it.
    pub control: PathBuf,
    /// The writable layer.
    pub layer: PathBuf,
    /// Mount point of the root.
    pub merged: PathBuf,
    /// Missions' own directories; at the same path inside.
    pub missions: PathBuf,
    /// Worktrees; at the same path inside.
    pub worktrees: PathBuf,
    /// Files exchanged with people; bound at a place of its own inside.
    pub inbox: PathBuf,
    /// Worktrees made in advance, on the same file system; not seen inside.
    pub spares: PathBuf,
}

impl WorkspacePaths {
    /// Of the workspace `id` below the data directory.
    pub fn new(data: &Path, id: Uuid) -> Self {
        let name = if id.is_nil() { "host".to_owned() } else { short(id) };
        let root = data.join("workspaces").join(&name);
        let runs = data.join("runs").join(&name);
        Self {
            control: runs.join("control"),
            runs,
            layer: root.join("layer"),
            merged: root.join("merged"),
            missions: root.join("missions"),
            worktrees: root.join("worktrees"),
            inbox: root.join("inbox"),
            spares: root.join("spares"),
            root,
        }
    }

    /// A mission's own directory.
    pub fn mission(&self, id: Uuid) -> PathBuf {
        self.missions.join(short(id))
    }

    /// A run's directory.
    pub fn run(&self, id: &str) -> PathBuf {
        self.control.join("runs").join(id)
    }

    /// The worktree of a mission.
    pub fn worktree(&self, mission: Uuid) -> PathBuf {
        self.worktrees.join(short(mission))
    }
}
