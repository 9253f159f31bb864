//! `move_file` and `delete_file`. Deleting is moving into the trash, unless asked otherwise.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, openat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::state::state_dir;
use crate::error::{Code, Problem, Result};
use crate::root::{RelPath, Root, STATE_DIR, TRASH};

/// Deepest tree that is removed; each level holds a descriptor.
const MAX_DEPTH: usize = 256;

/// Parameters of `move_file`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveParams {
    /// File or directory.
    pub from: String,
    /// Its new path. Missing directories are made.
    pub to: String,
    /// Replace a file that is at `to`; default false.
    #[serde(default)]
    pub overwrite: bool,
}

/// Answer of `move_file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MoveResponse {
    /// Where it was.
    pub from: String,
    /// Where it is.
    pub to: String,
}

/// Parameters of `delete_file`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteParams {
    /// File, or directory with all that is in it.
    pub path: String,
    /// Do not keep it in the trash; default false.
    #[serde(default)]
    pub permanently: bool,
}

/// Answer of `delete_file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeleteResponse {
    /// What was deleted.
    pub path: String,
    /// Where it is for 14 days; move_file brings it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub trash: Option<String>,
}

/// Moves a file or directory.
///
/// # Errors
/// `not_found`, `already_exists` and what the system says.
pub fn move_file(root: &Root, params: &MoveParams) -> Result<MoveResponse> {
    let from = root.changeable("from", &params.from)?;
    let to = root.changeable("to", &params.to)?;
    let (from_dir, from_name) =
        root.parent(&from).map_err(|errno| Problem::system("move", &from, errno).field("from"))?;
    // Looked at first, so that no directories are made for a thing that is not there.
    statat(&from_dir, from_name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| Problem::system("move", &from, errno).field("from"))?;
    let fail = |errno| Problem::system("move to", &to, errno).field("to");
    if let Some(parent) = to.parent() {
        root.make_dirs(&parent).map_err(fail)?;
    }
    let (to_dir, to_name) = root.parent(&to).map_err(fail)?;
    let flags = if params.overwrite { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
    renameat_with(&from_dir, from_name, &to_dir, to_name, flags).map_err(|errno| match errno {
        Errno::EXIST => Problem::new(Code::AlreadyExists, format!("{to} is there already"))
            .field("to")
            .hint("choose another name, or set overwrite"),
        Errno::INVAL => Problem::invalid("to", format!("{to} is inside of {from}")),
        Errno::XDEV => Problem::new(Code::IoError, format!("{to} is on another file system"))
            .field("to")
            .hint("use mv with run_command"),
        other => fail(other),
    })?;
    Ok(MoveResponse { from: from.to_string(), to: to.to_string() })
}

/// Deletes a file or directory.
///
/// # Errors
/// `not_found` and what the system says.
pub fn delete_file(root: &Root, params: &DeleteParams) -> Result<DeleteResponse> {
    let path = root.changeable("path", &params.path)?;
    let fail = |errno| Problem::system("delete", &path, errno).field("path");
    let (parent, name) = root.parent(&path).map_err(fail)?;
    statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(fail)?;
    if params.permanently {
        let c_name = std::ffi::CString::new(name.as_encoded_bytes()).map_err(Problem::internal)?;
        remove_tree(&parent, &c_name).map_err(fail)?;
        return Ok(DeleteResponse { path: path.to_string(), trash: None });
    }
    if path.is_within(STATE_DIR) {
        return Err(Problem::invalid("permanently", format!("{path} is in the trash already"))
            .hint("set permanently to remove it for good"));
    }
    let place = into_trash(root, &parent, name).map_err(|errno| match errno {
        Errno::XDEV => {
            Problem::new(Code::IoError, format!("{path} is on another file system than the trash"))
                .field("permanently")
                .hint("set permanently, or move it with mv")
        }
        other => fail(other),
    })?;
    Ok(DeleteResponse { path: path.to_string(), trash: Some(place.to_string()) })
}

/// A new place in the trash: a directory with the day in its name, in which the thing keeps its own.
fn into_trash(root: &Root, parent: &OwnedFd, name: &OsStr) -> Result<RelPath, Errno> {
    state_dir(root, "trash").map_err(|_| Errno::ROFS)?;
    let now = chrono::Utc::now().format("%Y%m%d-%H%M%S");
    for attempt in 0..1000 {
        let place = RelPath::own(TRASH).join(format!("{now}-{attempt:03}"));
        let (trash, own) = root.parent(&place)?;
        match rustix::fs::mkdirat(&trash, own, Mode::from_raw_mode(0o700)) {
            Err(Errno::EXIST) => continue,
            result => result?,
        }
        let dir = root.open_plain(&place, OFlags::PATH | OFlags::DIRECTORY)?;
        let moved = renameat_with(parent, name, &dir, name, RenameFlags::NOREPLACE);
        if moved.is_err() {
            let _ = unlinkat(&trash, own, AtFlags::REMOVEDIR);
        }
        return moved.map(|()| place.join(name));
    }
    Err(Errno::EXIST)
}

/// Removes an entry with all that is in it. Symbolic links are removed, not followed, and each directory is opened from
/// the one above, so nothing that is put in the way leads elsewhere.
pub fn remove_tree(parent: impl AsFd, name: &CStr) -> Result<(), Errno> {
    remove_below(parent, name, 0)
}

fn remove_below(parent: impl AsFd, name: &CStr, depth: usize) -> Result<(), Errno> {
    let parent = parent.as_fd();
    match unlinkat(parent, name, AtFlags::empty()) {
        // The kernel says one or the other for a directory.
        Err(Errno::ISDIR | Errno::PERM) => {}
        result => return result,
    }
    if FileType::from_raw_mode(statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
        != FileType::Directory
    {
        return Err(Errno::PERM);
    }
    if depth >= MAX_DEPTH {
        return Err(Errno::NAMETOOLONG);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = openat(parent, name, flags, Mode::empty())?;
    let mut entries = Dir::read_from(&dir)?;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            remove_below(&dir, entry.file_name(), depth + 1)?;
        }
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}
