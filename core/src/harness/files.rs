//! Writing what an adapter planned: whole files by rename, never through a link, never over a user's own.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path};

use sandboxed_domain::api::{ApiError, ErrorCode};
use sandboxed_domain::harness::PlannedFile;

use crate::store::io_error;

/// Makes the planned directories and files. All of them lie below `root`, which workers can write to, so no part of a
/// path below it may be a link. On the host workspace (`trusted`) a user's links are the user's business.
///
/// # Errors
/// A path outside `root`, a link on the way, or the file system's word.
pub fn write_files(
    root: &Path,
    directories: &[String],
    files: &[PlannedFile],
    trusted: bool,
) -> Result<(), ApiError> {
    for directory in directories {
        make_directory(root, Path::new(directory), trusted)?;
    }
    for file in files {
        let path = Path::new(&file.path);
        if let Some(parent) = path.parent() {
            make_directory(root, parent, trusted)?;
        }
        if file.keep_existing && path.symlink_metadata().is_ok() {
            continue;
        }
        write_whole(path, file).map_err(|source| io_error(path, &source))?;
    }
    Ok(())
}

fn write_whole(path: &Path, file: &PlannedFile) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut handle = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(file.mode)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&temporary)?;
    handle.write_all(file.content.as_bytes())?;
    handle.sync_all()?;
    fs::rename(&temporary, path)
}

/// Makes `path` and what is missing on the way from `root`.
fn make_directory(root: &Path, path: &Path, trusted: bool) -> Result<(), ApiError> {
    let outside = || {
        ApiError::new(
            ErrorCode::PathOutsideWorkspace,
            format!("{} is not below {}", path.display(), root.display()),
        )
    };
    let below = path.strip_prefix(root).map_err(|_| outside())?;
    let mut current = root.to_owned();
    for part in below.components() {
        let Component::Normal(part) = part else { return Err(outside()) };
        current.push(part);
        match current.symlink_metadata() {
            Ok(found) if found.is_dir() => {}
            Ok(found) if found.is_symlink() && trusted && current.is_dir() => {}
            Ok(_) => {
                return Err(ApiError::new(
                    ErrorCode::PathOutsideWorkspace,
                    format!("{} is in the way: not a directory", current.display()),
                )
                .field(current.display().to_string())
                .hint("a worker replaced it; remove it and resume"));
            }
            Err(_) => fs::DirBuilder::new()
                .mode(0o700)
                .create(&current)
                .map_err(|source| io_error(&current, &source))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(path: &Path, keep_existing: bool) -> PlannedFile {
        PlannedFile {
            path: path.display().to_string(),
            content: "ours".to_owned(),
            mode: 0o600,
            keep_existing,
        }
    }

    #[test]
    fn a_users_own_file_stays_and_ours_is_renewed() {
        let root = tempfile::tempdir().unwrap();
        let (kept, renewed) = (root.path().join("a/kept"), root.path().join("a/renewed"));
        fs::create_dir(root.path().join("a")).unwrap();
        fs::write(&kept, "theirs").unwrap();
        fs::write(&renewed, "old").unwrap();
        write_files(root.path(), &[], &[planned(&kept, true), planned(&renewed, false)], false).unwrap();
        assert_eq!(fs::read_to_string(kept).unwrap(), "theirs");
        assert_eq!(fs::read_to_string(renewed).unwrap(), "ours");
    }

    #[test]
    fn a_planted_link_leads_nowhere() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("link")).unwrap();
        let error = write_files(root.path(), &[], &[planned(&root.path().join("link/file"), false)], false)
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::PathOutsideWorkspace);
        let target = outside.path().join("target");
        fs::write(&target, "theirs").unwrap();
        std::os::unix::fs::symlink(&target, root.path().join("file")).unwrap();
        write_files(root.path(), &[], &[planned(&root.path().join("file"), false)], false).unwrap();
        assert_eq!(fs::read_to_string(target).unwrap(), "theirs", "the link was replaced, not followed");
    }

    #[test]
    fn a_path_outside_is_refused() {
        let root = tempfile::tempdir().unwrap();
        for path in ["/etc/x", "../x"] {
            let path = if path.starts_with('/') { path.into() } else { root.path().join(path) };
            assert!(write_files(root.path(), &[], &[planned(&path, false)], false).is_err());
        }
    }
}
