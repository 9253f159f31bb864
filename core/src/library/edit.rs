//! Files of the Library read and written one by one, through folders that are folders.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sandboxed_domain::api::{ApiError, ErrorCode, LibraryWriteParams};
use sandboxed_domain::library::{LARGEST_LIBRARY_FILE, check_library_path};

use super::read::read_file;
use crate::store::io_error;

/// The text of a file, and whether it is a program.
///
/// # Errors
/// `not_found`, a link, or no text.
pub(super) fn get(root: &Path, path: &str) -> Result<(String, bool), ApiError> {
    check_library_path(path)?;
    let there = parents(root, path)?.is_dir() && root.join(path).symlink_metadata().is_ok();
    if !there {
        return Err(ApiError::new(ErrorCode::NotFound, format!("the Library has no file {path:?}"))
            .field("path")
            .hint("`sandboxed-sh library list` shows what is there"));
    }
    let file = read_file(root, path);
    let text = file.content.map_err(|why| ApiError::invalid("path", format!("{path} {}", why.as_str())))?;
    Ok((text, file.executable))
}

/// Writes a whole file by rename.
///
/// # Errors
/// A path that is none or leads through a link, or too much text.
pub(super) fn put(root: &Path, params: &LibraryWriteParams) -> Result<(), ApiError> {
    let path = params.path.as_str();
    check_library_path(path)?;
    if params.content.len() as u64 > LARGEST_LIBRARY_FILE {
        return Err(ApiError::new(ErrorCode::TooLarge, "more than 1 MiB of text")
            .field("content")
            .hint("a file of the Library is text of at most 1 MiB"));
    }
    let parent = parents(root, path)?;
    let target = root.join(path);
    if target.symlink_metadata().is_ok_and(|found| !found.is_file()) {
        return Err(
            ApiError::new(ErrorCode::Conflict, format!("{path} is there and is no file")).field("path")
        );
    }
    let executable = params.executable.unwrap_or_else(|| read_file(root, path).executable);
    fs::create_dir_all(&parent).map_err(|error| io_error(&parent, &error))?;
    write_whole(&target, &params.content, executable).map_err(|error| io_error(&target, &error))
}

/// Removes a file, and the folders that are empty then.
///
/// # Errors
/// `not_found`.
pub(super) fn delete(root: &Path, path: &str) -> Result<(), ApiError> {
    get_any(root, path)?;
    remove(root, path).map_err(|error| io_error(&root.join(path), &error))
}

fn get_any(root: &Path, path: &str) -> Result<(), ApiError> {
    check_library_path(path)?;
    parents(root, path)?;
    match root.join(path).symlink_metadata() {
        Ok(found) if !found.is_dir() => Ok(()),
        _ => {
            Err(ApiError::new(ErrorCode::NotFound, format!("the Library has no file {path:?}")).field("path"))
        }
    }
}

/// See [`delete`].
pub(super) fn remove(root: &Path, path: &str) -> io::Result<()> {
    let target = root.join(path);
    fs::remove_file(&target)?;
    let mut folder = target.parent();
    // What is not empty stays, and ends this.
    while let Some(empty) = folder.filter(|folder| *folder != root && fs::remove_dir(folder).is_ok()) {
        folder = empty.parent();
    }
    Ok(())
}

/// The folder that a file lies in, when none on the way is something else.
fn parents(root: &Path, path: &str) -> Result<PathBuf, ApiError> {
    let mut folder = root.to_owned();
    let parts: Vec<_> = path.split('/').collect();
    for part in parts.iter().take(parts.len().saturating_sub(1)) {
        folder.push(part);
        if folder.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
            return Err(ApiError::new(ErrorCode::Conflict, format!("{part} in {path} is no folder"))
                .field("path")
                .hint("remove what is in the way"));
        }
    }
    Ok(folder)
}

fn write_whole(target: &Path, text: &str, executable: bool) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".new");
    let temporary = target.with_file_name(name);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).custom_flags(libc::O_NOFOLLOW).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    let mode = if executable { 0o755 } else { 0o644 };
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()?;
    fs::rename(&temporary, target)
}
