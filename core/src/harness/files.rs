//! Writing what an adapter planned: whole files by rename, never through a link, never over somebody's changes without
//! telling.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with, syncfs};
use sandboxed_domain::api::{ApiError, ErrorCode};
use sandboxed_domain::harness::{
    FileStamp, FileStep, PlannedFile, RemovalStep, WrittenFile, content_digest, file_step, removal_step,
};
use sandboxed_git::write_only_below;

use crate::store::{io_error, stamp_clock, stamp_of};

/// Largest file that is compared; what we write is far smaller.
const LARGEST: u64 = 8 << 20;
/// Most new files that are brought to the disk one by one; of more the whole file system is.
const MOST_SYNCED_ALONE: usize = 16;

/// What was done, to be written down.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// What is to be remembered anew, by path: of files that were written, or that were read and are as planned.
    pub files: BTreeMap<String, WrittenFile>,
    /// Files that somebody else had changed, and what became of them.
    pub changed: Vec<(String, FileStep)>,
    /// Files that were written once, are not planned any more and are gone now, or are not ours any more.
    pub forgotten: Vec<String>,
    /// Those of them that somebody changed: they stay.
    pub kept: Vec<String>,
}

/// Makes the planned directories and files. All of them lie below `root`, which workers can write to, so no part of a
/// path below it may be a link, and what becomes one after it was looked at leads nowhere. On the host workspace
/// (`trusted`) a user's links are the user's business. `known` is what is remembered of earlier times: a file that is
/// planned as it was then and was not touched since is not read again, unless it is the platform's own.
///
/// # Errors
/// A path outside `root`, a link on the way, or the file system's word.
pub fn write_files(
    root: &Path,
    directories: &[String],
    files: &[PlannedFile],
    known: &BTreeMap<String, WrittenFile>,
    trusted: bool,
) -> Result<Written, ApiError> {
    let work = || write_all(root, directories, files, known, trusted);
    if trusted { work() } else { write_only_below(&[root], work).map_err(|error| io_error(root, &error))? }
}

fn write_all(
    root: &Path,
    directories: &[String],
    files: &[PlannedFile],
    known: &BTreeMap<String, WrittenFile>,
    trusted: bool,
) -> Result<Written, ApiError> {
    let mut folders = Folders { root, trusted, made: HashSet::new() };
    for directory in directories {
        folders.make(Path::new(directory))?;
    }
    let mut written = Written::default();
    let mut new = BTreeMap::new();
    for file in files {
        let path = Path::new(&file.path);
        if let Some(parent) = path.parent() {
            folders.make(parent)?;
        }
        let known = known.get(&file.path);
        let untouched = |known: &WrittenFile| file.keep_existing && is_untouched(path, file, known);
        if !known.is_some_and(untouched) {
            let late = write_one(file, known, &mut written).map_err(|source| io_error(path, &source))?;
            new.extend(late.then_some((path, file)));
        }
    }
    put_in_place(root, &new, known, &mut written)?;
    let planned: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    for (path, wrote) in known.iter().filter(|(path, _)| !planned.contains(path.as_str())) {
        let target = Path::new(path);
        let found = match parents_are_folders(root, target, trusted) {
            true => read(target).map_err(|source| io_error(target, &source))?,
            // A worker put something else in the way: what lies behind it is not ours.
            false => None,
        };
        match removal_step(found.as_ref().map(|found| found.digest.as_str()), &wrote.digest) {
            RemovalStep::Remove => remove(root, target).map_err(|source| io_error(target, &source))?,
            RemovalStep::Forget => {}
            RemovalStep::Keep => written.kept.push(path.clone()),
        }
        written.forgotten.push(path.clone());
    }
    Ok(written)
}

/// Whether a file has the content that is planned, told without reading it.
fn is_untouched(path: &Path, file: &PlannedFile, known: &WrittenFile) -> bool {
    let found = path.symlink_metadata();
    found.is_ok_and(|found| known.is_still(file.content.digest(), &stamp_of(&found)))
}

/// Does what is to be done about one planned file, and notes it. One where there was nothing is written beside its
/// place, which is the answer.
fn write_one(
    file: &PlannedFile,
    known: Option<&WrittenFile>,
    written: &mut Written,
) -> std::io::Result<bool> {
    let path = Path::new(&file.path);
    let wanted = file.content.digest();
    let found = read(path)?;
    let before = found.as_ref().map(|found| found.digest.as_str());
    let step = file_step(before, wanted, known.map(|known| known.digest.as_str()), file.keep_existing);
    let new = found.is_none();
    if matches!(step, FileStep::Write | FileStep::Replace) {
        let (handle, temporary) = write_beside(path, file)?;
        if !new {
            handle.sync_all()?;
            fs::rename(temporary, path)?;
        }
    }
    if matches!(step, FileStep::Keep | FileStep::Replace) {
        written.changed.push((file.path.clone(), step));
    }
    // What is written now is trusted when it was read once: until then somebody may have been faster than a look.
    let stamp = found.and_then(|found| found.stamp).filter(|_| step == FileStep::Leave && file.keep_existing);
    let now = WrittenFile { digest: wanted.to_owned(), stamp };
    if step != FileStep::Keep && known != Some(&now) {
        written.files.insert(file.path.clone(), now);
    }
    Ok(new)
}

/// Moves new files to their places when they are on the disk. What somebody put there meanwhile is somebody's.
fn put_in_place(
    root: &Path,
    new: &BTreeMap<&Path, &PlannedFile>,
    known: &BTreeMap<String, WrittenFile>,
    written: &mut Written,
) -> Result<(), ApiError> {
    sync(root, new.keys().copied()).map_err(|source| io_error(root, &source))?;
    for (path, file) in new {
        let temporary = beside(path);
        let placed = renameat_with(CWD, &temporary, CWD, *path, RenameFlags::NOREPLACE);
        let placed = match placed.map_err(std::io::Error::from) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                written.files.remove(&file.path);
                let again = fs::remove_file(&temporary)
                    .and_then(|()| write_one(file, known.get(&file.path), written));
                // Gone again, and so it is written again.
                again.and_then(|late| if late { fs::rename(&temporary, path) } else { Ok(()) })
            }
            outcome => outcome,
        };
        placed.map_err(|source| io_error(path, &source))?;
    }
    Ok(())
}

/// Has the files beside these paths on the disk.
fn sync<'a>(root: &Path, mut paths: impl ExactSizeIterator<Item = &'a Path>) -> std::io::Result<()> {
    // Each alone would wait for the file system's journal, one after the other.
    if paths.len() > MOST_SYNCED_ALONE {
        return Ok(syncfs(fs::File::open(root)?)?);
    }
    let open = |path| fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(beside(path));
    paths.try_for_each(|path| open(path)?.sync_all())
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

/// What lies somewhere.
struct Found {
    /// Of its content; nothing, where it is no plain file or far too large, which makes it another's.
    digest: String,
    /// Where a later change would show in it.
    stamp: Option<FileStamp>,
}

/// Reads what is there; none when there is nothing.
fn read(path: &Path) -> std::io::Result<Option<Found>> {
    let foreign = Ok(Some(Found { digest: String::new(), stamp: None }));
    let looked_at = stamp_clock();
    // A pipe in the place of a file must not be waited for.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) => return foreign,
        Err(error) => return Err(error),
    };
    let found = file.metadata()?;
    if !found.is_file() || found.len() > LARGEST {
        return foreign;
    }
    let stamp = Some(stamp_of(&found)).filter(|stamp| stamp.shows_later_changes(looked_at));
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(Some(Found { digest: content_digest(&bytes), stamp }))
}

/// Where a file lies until it is whole.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

/// Writes a file beside its place.
fn write_beside(path: &Path, file: &PlannedFile) -> std::io::Result<(fs::File, PathBuf)> {
    let temporary = beside(path);
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
    Ok((handle, temporary))
}

/// Directories on the way to files, each made or looked at once.
struct Folders<'a> {
    root: &'a Path,
    trusted: bool,
    made: HashSet<PathBuf>,
}

impl Folders<'_> {
    /// Makes `path` and what is missing on the way from the root.
    fn make(&mut self, path: &Path) -> Result<(), ApiError> {
        if self.made.contains(path) {
            return Ok(());
        }
        let outside = || {
            let message = format!("{} is not below {}", path.display(), self.root.display());
            ApiError::new(ErrorCode::PathOutsideWorkspace, message)
        };
        let below = path.strip_prefix(self.root).map_err(|_| outside())?;
        let mut current = self.root.to_owned();
        for part in below.components() {
            let Component::Normal(part) = part else { return Err(outside()) };
            current.push(part);
            if !self.made.contains(&current) {
                make_one(&current, self.trusted)?;
                self.made.insert(current.clone());
            }
        }
        Ok(())
    }
}

fn make_one(path: &Path, trusted: bool) -> Result<(), ApiError> {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(found) if found.is_symlink() && trusted && path.is_dir() => Ok(()),
        Ok(_) => Err(ApiError::new(
            ErrorCode::PathOutsideWorkspace,
            format!("{} is in the way: not a directory", path.display()),
        )
        .field(path.display().to_string())
        .hint("a worker replaced it; remove it and resume")),
        Err(_) => fs::DirBuilder::new().mode(0o700).create(path).map_err(|source| io_error(path, &source)),
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
