//! What a new Library begins with: the skills of the platform, and a word on the folders.

use std::fs;
use std::path::Path;

use sandboxed_domain::api::ApiError;

use crate::store::io_error;

/// Message of the first commit.
pub(super) const FIRST_COMMIT: &str = "Start the Library";

const FILES: [(&str, &str); 3] = [
    ("README.md", include_str!("starter.md")),
    ("skills/orchestrator-boss/SKILL.md", include_str!("../../../skills/orchestrator-boss/SKILL.md")),
    ("skills/orchestrator-worker/SKILL.md", include_str!("../../../skills/orchestrator-worker/SKILL.md")),
];

/// Whether anything but the repository itself is there.
pub(super) fn is_empty(root: &Path) -> bool {
    fs::read_dir(root)
        .is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(|e| e.file_name() == ".git")))
}

/// Writes the files of a new Library.
pub(super) fn write(root: &Path) -> Result<(), ApiError> {
    for (name, text) in FILES {
        let path = root.join(name);
        let parent = path.parent().unwrap_or(root);
        fs::create_dir_all(parent).map_err(|error| io_error(parent, &error))?;
        fs::write(&path, text).map_err(|error| io_error(&path, &error))?;
    }
    Ok(())
}
