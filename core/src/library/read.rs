//! Reading the folder: bounded, no link followed, and only what changed since the last time.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandboxed_domain::harness::FileStamp;
use sandboxed_domain::library::{
    LARGEST_LIBRARY, LARGEST_LIBRARY_FILE, Library, LibraryKind, MOST_LIBRARY_FILES, Problem, SourceFile,
    Unread, check_library,
};

use crate::store::{stamp_clock, stamp_of};

/// Deepest folder.
const DEEPEST: usize = 8;

/// What was found in the folder.
#[derive(Debug, Default)]
struct Listing {
    files: Vec<(String, FileStamp)>,
    /// All folders that were looked into. The stamp of one changes with what it has.
    folders: Vec<(PathBuf, FileStamp)>,
    /// More was there than is looked at.
    cut: bool,
}

impl Listing {
    /// Whether each change after `looked_at` makes another one.
    fn shows_later_changes(&self, looked_at: i64) -> bool {
        let stamps = self.files.iter().map(|(_, stamp)| stamp);
        let mut all = stamps.chain(self.folders.iter().map(|(_, stamp)| stamp));
        !self.cut && all.all(|stamp| stamp.shows_later_changes(looked_at))
    }

    /// Whether everything is as it was, told without looking into a folder.
    fn holds(&self, root: &Path) -> bool {
        let same = |path: &Path, stamp: &FileStamp| {
            path.symlink_metadata().is_ok_and(|found| stamp_of(&found) == *stamp)
        };
        self.folders.iter().all(|(path, stamp)| same(path, stamp))
            && self.files.iter().all(|(path, stamp)| same(&root.join(path), stamp))
    }
}

/// The Library as it was last read.
#[derive(Debug, Default)]
pub(super) struct Cache {
    listing: Listing,
    library: Arc<Library>,
    /// Whether each later change makes another listing.
    settled: bool,
    /// Whether each change of a file since it was read does.
    files_settled: bool,
}

impl Cache {
    /// The Library as it is now. A folder in which nothing changed costs a look at each file's metadata.
    pub(super) fn library(&mut self, root: &Path) -> Arc<Library> {
        self.library_at(root, stamp_clock())
    }

    fn library_at(&mut self, root: &Path, looked_at: i64) -> Arc<Library> {
        if self.settled && self.listing.holds(root) {
            return Arc::clone(&self.library);
        }
        let listing = list(root);
        let same = (&listing.files, listing.cut) == (&self.listing.files, self.listing.cut);
        if !(self.files_settled && same) {
            self.library = Arc::new(read(root, &listing));
            self.files_settled = listing.files.iter().all(|(_, stamp)| stamp.shows_later_changes(looked_at));
        }
        self.settled = listing.shows_later_changes(looked_at);
        self.listing = listing;
        Arc::clone(&self.library)
    }
}

/// The Library that any folder is.
pub fn check_folder(root: &Path) -> Library {
    read(root, &list(root))
}

/// All files of the Library's own folders. What is hidden is not looked at.
fn list(root: &Path) -> Listing {
    let mut listing = Listing::default();
    let Ok(found) = root.symlink_metadata() else { return listing };
    listing.folders.push((root.to_owned(), stamp_of(&found)));
    for kind in LibraryKind::ALL {
        let path = root.join(kind.folder());
        if let Ok(found) = path.symlink_metadata()
            && found.is_dir()
        {
            list_folder(path, &found, kind.folder(), 1, &mut listing);
        }
    }
    listing.files.sort_by(|(a, _), (b, _)| a.cmp(b));
    listing
}

fn list_folder(folder: PathBuf, found: &Metadata, below: &str, depth: usize, listing: &mut Listing) {
    let entries = fs::read_dir(&folder);
    listing.folders.push((folder, stamp_of(found)));
    let Ok(entries) = entries else { return };
    for entry in entries.flatten() {
        if listing.files.len() >= MOST_LIBRARY_FILES {
            listing.cut = true;
            return;
        }
        let name = entry.file_name();
        // A name that is not text is shown as well as it can be; its path leads nowhere, which is then told.
        let name = name.to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        let path = format!("{below}/{name}");
        let Ok(found) = entry.metadata() else { continue };
        if found.is_dir() {
            match depth < DEEPEST {
                true => list_folder(entry.path(), &found, &path, depth + 1, listing),
                false => listing.cut = true,
            }
            continue;
        }
        listing.files.push((path, stamp_of(&found)));
    }
}

fn read(root: &Path, listing: &Listing) -> Library {
    let mut left = LARGEST_LIBRARY;
    let mut cut = listing.cut;
    let mut files = Vec::with_capacity(listing.files.len());
    for (path, _) in &listing.files {
        if left == 0 {
            cut = true;
            break;
        }
        let file = read_file(root, path);
        left = left.saturating_sub(file.content.as_ref().map_or(0, |text| text.len() as u64));
        files.push(file);
    }
    let mut library = check_library(&files);
    if cut {
        let bounds = format!(
            "{MOST_LIBRARY_FILES} files, {LARGEST_LIBRARY} bytes or {DEEPEST} folders in one another"
        );
        library
            .problems
            .insert(0, Problem::new("", format!("more than {bounds}: the rest is not looked at")));
    }
    library
}

/// One file by its path below the folder.
pub(super) fn read_file(root: &Path, path: &str) -> SourceFile {
    let outcome = open(&root.join(path)).and_then(|(file, executable)| Ok((text(file)?, executable)));
    match outcome {
        Ok((text, executable)) => SourceFile { path: path.to_owned(), executable, content: Ok(text) },
        Err(why) => SourceFile { path: path.to_owned(), executable: false, content: Err(why) },
    }
}

fn open(path: &PathBuf) -> Result<(File, bool), Unread> {
    // A pipe in the place of a file must not be waited for.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => Unread::Link,
        Some(libc::ENXIO) => Unread::Special,
        _ => Unread::Failed,
    })?;
    let found = file.metadata().map_err(|_| Unread::Failed)?;
    if !found.is_file() {
        return Err(Unread::Special);
    }
    if found.len() > LARGEST_LIBRARY_FILE {
        return Err(Unread::TooLarge);
    }
    Ok((file, found.mode() & 0o100 != 0))
}

fn text(file: File) -> Result<String, Unread> {
    let mut bytes = Vec::new();
    file.take(LARGEST_LIBRARY_FILE + 1).read_to_end(&mut bytes).map_err(|_| Unread::Failed)?;
    if bytes.len() as u64 > LARGEST_LIBRARY_FILE {
        return Err(Unread::TooLarge);
    }
    String::from_utf8(bytes).map_err(|_| Unread::Binary)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn rule(root: &Path, name: &str, text: &str) {
        fs::create_dir_all(root.join("rules")).unwrap();
        fs::write(root.join("rules").join(name), text).unwrap();
    }

    /// As it is when no change can hide any more.
    fn settled(cache: &mut Cache, root: &Path) -> Arc<Library> {
        loop {
            let library = cache.library(root);
            if cache.settled {
                return library;
            }
        }
    }

    #[test]
    fn what_did_not_change_is_not_read_again_and_what_did_is() {
        let root = tempfile::tempdir().unwrap();
        let mut cache = Cache::default();
        rule(root.path(), "a.md", "one");
        let first = cache.library_at(root.path(), i64::MIN);
        assert_eq!(first.rules["a"].text, "one");
        // It was written just now: another change at the same tick would look the same.
        let second = cache.library_at(root.path(), i64::MIN);
        assert!(!Arc::ptr_eq(&first, &second) && first == second);
        let settled = settled(&mut cache, root.path());
        assert!(Arc::ptr_eq(&settled, &cache.library(root.path())));
        rule(root.path(), "a.md", "two");
        assert_eq!(cache.library(root.path()).rules["a"].text, "two");
        rule(root.path(), "b.md", "more");
        assert_eq!(cache.library(root.path()).rules.len(), 2);
        fs::remove_file(root.path().join("rules/a.md")).unwrap();
        assert_eq!(cache.library(root.path()).rules.len(), 1);
    }

    #[test]
    fn what_comes_goes_or_changes_anywhere_is_seen_once_all_had_settled() {
        let root = tempfile::tempdir().unwrap();
        let skill = "---\nname: s\ndescription: d\n---\nx\n";
        let edit = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        edit("skills/s/SKILL.md", skill);
        rule(root.path(), "a.md", "one");
        let mut cache = Cache::default();
        let mut seen = || settled(&mut cache, root.path());
        let count = |library: &Library| (library.skills["s"].files.len(), library.rules.len());
        assert_eq!(count(&seen()), (1, 1));
        edit("skills/s/deep/notes.md", "more");
        assert_eq!(count(&seen()), (2, 1));
        edit("skills/s/deep/notes.md", "less");
        assert!(seen().skills["s"].files.iter().any(|file| file.content == "less"));
        edit("rules/b.md", "two");
        fs::remove_dir_all(root.path().join("skills/s/deep")).unwrap();
        assert_eq!(count(&seen()), (1, 2));
        edit("commands/c.md", "a folder that was not there");
        assert_eq!(seen().commands.len(), 1);
        fs::remove_dir_all(root.path().join("commands")).unwrap();
        symlink(root.path().join("rules"), root.path().join("commands")).unwrap();
        assert_eq!(seen().commands.len(), 0);
        let before = seen();
        edit("rules/.hidden", "is nobody's concern");
        assert!(Arc::ptr_eq(&before, &seen()), "nothing is read for it");
    }

    #[test]
    fn links_lead_nowhere() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("secret.md"), "s3cret").unwrap();
        rule(root.path(), "a.md", "one");
        symlink(outside.path().join("secret.md"), root.path().join("rules/b.md")).unwrap();
        symlink(outside.path(), root.path().join("rules/c")).unwrap();
        symlink(outside.path(), root.path().join("commands")).unwrap();
        let library = Cache::default().library(root.path());
        assert_eq!((library.rules.len(), library.commands.len()), (1, 0));
        let paths: Vec<_> = library.problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["rules/b.md", "rules/c"]);
        assert!(!format!("{library:?}").contains("s3cret"));
    }

    #[test]
    fn pipes_are_not_waited_for_and_giants_are_not_read() {
        let root = tempfile::tempdir().unwrap();
        rule(root.path(), "large.md", &"x".repeat(LARGEST_LIBRARY_FILE as usize + 1));
        nix::unistd::mkfifo(&root.path().join("rules/pipe.md"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let library = Cache::default().library(root.path());
        let told: Vec<_> = library.problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(told, [Unread::TooLarge.as_str(), Unread::Special.as_str()]);
    }
}
