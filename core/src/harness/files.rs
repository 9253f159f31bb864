//! Writing what an adapter planned: whole files by rename, never through a link, never over somebody's changes without
//! telling.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path};

use sandboxed_domain::api::{ApiError, ErrorCode};
use sandboxed_domain::harness::{FileStep, PlannedFile, RemovalStep, file_step, removal_step};
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
    /// Files that were written once, are not planned any more and are gone now, or are not ours any more.
    pub forgotten: Vec<String>,
    /// Those of them that somebody changed: they stay.
    pub kept: Vec<String>,
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
    let planned: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    for (path, wrote) in known.iter().filter(|(path, _)| !planned.contains(path.as_str())) {
        let target = Path::new(path);
        let found = match parents_are_folders(root, target, trusted) {
            true => digest_of(target).map_err(|source| io_error(target, &source))?,
            // A worker put something else in the way: what lies behind it is not ours.
            false => None,
        };
        match removal_step(found.as_deref(), wrote) {
            RemovalStep::Remove => remove(root, target).map_err(|source| io_error(target, &source))?,
            RemovalStep::Forget => {}
            RemovalStep::Keep => written.kept.push(path.clone()),
        }
        written.forgotten.push(path.clone());
    }
    Ok(written)
}

/// Whether all between `root` and a file below it are folders, not links.
fn parents_are_folders(root: &Path, path: &Path, trusted: bool) -> bool {
    let Ok(below) = path.strip_prefix(root) else { return false };
    let mut current = root.to_owned();
    below.parent().into_iter().flat_map(Path::components).all(|part| {
        let Component::Normal(part) = part else { return false };
        current.push(part);
        let found = current.symlink_metadata();
        found.is_ok_and(|found| found.is_dir() || (trusted && current.is_dir()))
    })
}

/// Removes a file, and the folders below `root` that are empty then.
fn remove(root: &Path, path: &Path) -> std::io::Result<()> {
    fs::remove_file(path)?;
    let mut folder = path.parent();
    while let Some(empty) = folder.filter(|folder| *folder != root && fs::remove_dir(folder).is_ok()) {
        folder = empty.parent();
    }
    Ok(())
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

    #[test]
    fn what_is_not_planned_any_more_goes_unless_somebody_changed_it() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| planned(&root.path().join(name), true);
        let all = [at("s/a/x"), at("s/a/y"), at("s/b/x"), at("s/c/x")];
        let known = write(root.path(), &all, &BTreeMap::new()).digests;
        fs::write(root.path().join("s/b/x"), "theirs").unwrap();
        fs::write(root.path().join("s/a/theirs"), "theirs").unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("x"), fs::read(root.path().join("s/c/x")).unwrap()).unwrap();
        fs::remove_dir_all(root.path().join("s/c")).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("s/c")).unwrap();
        let written = write(root.path(), &[at("s/a/y")], &known);
        let path = |name: &str| root.path().join(name).display().to_string();
        assert_eq!(written.forgotten, [path("s/a/x"), path("s/b/x"), path("s/c/x")]);
        assert_eq!(written.kept, [path("s/b/x")]);
        assert!(!Path::new(&path("s/a/x")).exists() && Path::new(&path("s/a/theirs")).exists());
        assert!(Path::new(&path("s/a/y")).exists() && outside.path().join("x").exists());
        let known = BTreeMap::from([(path("s/a/y"), known[&path("s/a/y")].clone())]);
        fs::remove_file(path("s/a/theirs")).unwrap();
        write(root.path(), &[], &known);
        assert!(
            !Path::new(&path("s/a")).exists() && Path::new(&path("s")).exists(),
            "only what is empty goes"
        );
    }
}
