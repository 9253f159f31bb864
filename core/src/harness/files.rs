//! Writing what an adapter planned: whole files by rename, never through a link, never over somebody's changes without
//! telling.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path};

use sandboxed_domain::api::{ApiError, ErrorCode};
use sandboxed_domain::harness::{FileStep, PlannedFile, file_step};
use sandboxed_git::write_only_below;
use sha2::{Digest, Sha256};

use crate::store::io_error;

/// Largest file that is compared; what we write is far smaller.
const LARGEST: u64 = 8 << 20;

/// What was done, to be written down.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Digests of the files that are now as planned, by path.
    pub digests: BTreeMap<String, String>,
    /// Files that somebody else had changed, and what became of them.
    pub changed: Vec<(String, FileStep)>,
}

/// Makes the planned directories and files. All of them lie below `root`, which workers can write to, so no part of a
/// path below it may be a link, and what becomes one after it was looked at leads nowhere. On the host workspace
/// (`trusted`) a user's links are the user's business. `known` are the digests of what was written before.
///
/// # Errors
/// A path outside `root`, a link on the way, or the file system's word.
pub fn write_files(
    root: &Path,
    directories: &[String],
    files: &[PlannedFile],
    known: &BTreeMap<String, String>,
    trusted: bool,
) -> Result<Written, ApiError> {
    let work = || write_all(root, directories, files, known, trusted);
    if trusted { work() } else { write_only_below(&[root], work).map_err(|error| io_error(root, &error))? }
}

fn write_all(
    root: &Path,
    directories: &[String],
    files: &[PlannedFile],
    known: &BTreeMap<String, String>,
    trusted: bool,
) -> Result<Written, ApiError> {
    for directory in directories {
        make_directory(root, Path::new(directory), trusted)?;
    }
    let mut written = Written::default();
    for file in files {
        let path = Path::new(&file.path);
        if let Some(parent) = path.parent() {
            make_directory(root, parent, trusted)?;
        }
        let wanted = digest(file.content.as_bytes());
        let found = digest_of(path).map_err(|source| io_error(path, &source))?;
        let wrote = known.get(&file.path).map(String::as_str);
        let step = file_step(found.as_deref(), &wanted, wrote, file.keep_existing);
        if matches!(step, FileStep::Write | FileStep::Replace) {
            write_whole(path, file).map_err(|source| io_error(path, &source))?;
        }
        if matches!(step, FileStep::Keep | FileStep::Replace) {
            written.changed.push((file.path.clone(), step));
        }
        if step != FileStep::Keep {
            written.digests.insert(file.path.clone(), wanted);
        }
    }
    Ok(written)
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest of what is there; none when there is nothing. What is no plain file, or far too large, is another's.
fn digest_of(path: &Path) -> std::io::Result<Option<String>> {
    // A pipe in the place of a file must not be waited for.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) => {
            return Ok(Some(String::new()));
        }
        Err(error) => return Err(error),
    };
    let found = file.metadata()?;
    if !found.is_file() || found.len() > LARGEST {
        return Ok(Some(String::new()));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(Some(digest(&bytes)))
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

    fn write(root: &Path, files: &[PlannedFile], known: &BTreeMap<String, String>) -> Written {
        write_files(root, &[], files, known, false).unwrap()
    }

    #[test]
    fn what_is_as_it_should_be_is_not_touched_and_what_we_wrote_is_renewed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/file");
        let first = write(root.path(), &[planned(&path, true)], &BTreeMap::new());
        assert_eq!(first.changed, []);
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(write(root.path(), &[planned(&path, true)], &first.digests), first);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
        let newer = PlannedFile { content: "newer".to_owned(), ..planned(&path, true) };
        let second = write(root.path(), &[newer], &first.digests);
        assert_eq!((second.changed, fs::read_to_string(&path).unwrap()), (vec![], "newer".to_owned()));
    }

    #[test]
    fn somebodys_changes_are_kept_or_replaced_and_told() {
        let root = tempfile::tempdir().unwrap();
        let (kept, renewed) = (root.path().join("kept"), root.path().join("renewed"));
        let files = [planned(&kept, true), planned(&renewed, false)];
        let first = write(root.path(), &files, &BTreeMap::new());
        fs::write(&kept, "theirs").unwrap();
        fs::write(&renewed, "theirs").unwrap();
        let second = write(root.path(), &files, &first.digests);
        let told = [&kept, &renewed].map(|path| path.display().to_string()).into_iter();
        let told: Vec<_> = told.zip([FileStep::Keep, FileStep::Replace]).collect();
        assert_eq!(second.changed, told);
        assert_eq!(fs::read_to_string(&kept).unwrap(), "theirs");
        assert_eq!(fs::read_to_string(&renewed).unwrap(), "ours");
        assert_eq!(second.digests.keys().collect::<Vec<_>>(), [&renewed.display().to_string()]);
    }

    #[test]
    fn what_is_no_file_is_neither_read_nor_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let written = write(root.path(), &[planned(&path, false)], &BTreeMap::new());
        assert_eq!(written.changed.len(), 1);
        assert_eq!(fs::read_to_string(&path).unwrap(), "ours");
    }

    #[test]
    fn a_planted_link_leads_nowhere() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("link")).unwrap();
        let error = write_files(
            root.path(),
            &[],
            &[planned(&root.path().join("link/file"), false)],
            &BTreeMap::new(),
            false,
        )
        .unwrap_err();
        assert_eq!(error.code, ErrorCode::PathOutsideWorkspace);
        let target = outside.path().join("target");
        fs::write(&target, "theirs").unwrap();
        std::os::unix::fs::symlink(&target, root.path().join("file")).unwrap();
        write(root.path(), &[planned(&root.path().join("file"), false)], &BTreeMap::new());
        assert_eq!(fs::read_to_string(target).unwrap(), "theirs", "the link was replaced, not followed");
    }

    #[test]
    fn a_path_outside_is_refused() {
        let root = tempfile::tempdir().unwrap();
        for path in ["/etc/x", "../x"] {
            let path = if path.starts_with('/') { path.into() } else { root.path().join(path) };
            assert!(
                write_files(root.path(), &[], &[planned(&path, false)], &BTreeMap::new(), false).is_err()
            );
        }
    }
}
