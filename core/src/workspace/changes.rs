//! What a fork has that its workspace has not, and carrying it over.
//!
//! A fork's own layer holds exactly its changes. They are carried over inside the workspace's sandbox, by its own root
//! and its own programs: whatever links a worker left on either side lead no further than that.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, fgetxattr, openat2};
use sandboxed_domain::api::{ApiError, ErrorCode, LayerChange, LayerChangeKind};
use sandboxed_domain::policy::{GLOBAL_DIR, INBOX_DIR};
use tar::{Builder, EntryType, Header};

use super::records::Workspaces;
use crate::sandbox::layer::{Entry, Kind, Marks, walk};
use crate::store::{WorkspaceRow, blocking, io_error};

/// A file this much longer than what it takes on disk would fill the disk of whoever writes it out.
const SPARSE: u64 = 64 << 20;
/// What belongs to the sandbox and not to its files.
const NOT_FILES: [&str; 5] =
    ["/opt/sandboxed-sh", "/etc/resolv.conf", "/etc/hostname", GLOBAL_DIR, INBOX_DIR];

/// Everything needed to tell the changes of one fork.
#[derive(Debug, Clone)]
struct Sides {
    /// The fork's own layer.
    upper: PathBuf,
    /// What it stands on, the uppermost first; the image last.
    below: Vec<PathBuf>,
    /// The workspace's own layer now.
    parent: PathBuf,
    /// Marks of the copy of that layer that the fork began with; none: there was nothing in it.
    began_with: Option<PathBuf>,
    /// Places that are mounts.
    mounts: Vec<PathBuf>,
}

impl Workspaces {
    /// What a fork changed, by path.
    ///
    /// # Errors
    /// It is no fork, or its files cannot be read.
    pub async fn changes(
        &self,
        fork: &WorkspaceRow,
        parent: &WorkspaceRow,
    ) -> Result<Vec<LayerChange>, ApiError> {
        let sides = self.sides(fork, parent);
        let upper = sides.upper.clone();
        blocking(move || sides.changes()).await?.map_err(|error| io_error(&upper, &error))
    }

    /// Writes the files of the chosen changes as an archive, and the list of what is removed, in two new files of the
    /// workspace's missions' directory, where its sandbox sees them. Their paths.
    ///
    /// # Errors
    /// The file system's.
    pub async fn pack(
        &self,
        fork: &WorkspaceRow,
        parent: &WorkspaceRow,
        chosen: Vec<LayerChange>,
    ) -> Result<(PathBuf, PathBuf), ApiError> {
        let sides = self.sides(fork, parent);
        let missions = self.paths(parent.id).missions;
        self.make_directories(parent.id)?;
        let name = format!(".apply-{}", uuid::Uuid::now_v7().simple());
        let (archive, list) =
            (missions.join(format!("{name}.tar")), missions.join(format!("{name}.removed")));
        let files = (archive.clone(), list.clone());
        let packed = blocking(move || sides.pack(&chosen, &archive, &list)).await?;
        packed.map_err(|error| io_error(&missions, &error))?;
        Ok(files)
    }

    fn sides(&self, fork: &WorkspaceRow, parent: &WorkspaceRow) -> Sides {
        let image = fork.spec.image.as_deref().and_then(|id| self.image_root(id));
        let own = self.paths(fork.id);
        let copied = fork.spec.lowers.len() > parent.spec.lowers.len();
        let mounts = fork.spec.binds.iter().map(PathBuf::from);
        Sides {
            upper: own.layer.join("upper"),
            below: self.lowers(fork).into_iter().chain(image).collect(),
            parent: self.paths(parent.id).layer.join("upper"),
            began_with: fork.spec.lowers.first().filter(|_| copied).map(|name| self.marks(name)),
            mounts: mounts.chain([own.missions, own.worktrees]).chain(NOT_FILES.map(PathBuf::from)).collect(),
        }
    }
}

impl Sides {
    fn changes(&self) -> io::Result<Vec<LayerChange>> {
        if !self.upper.exists() {
            return Ok(Vec::new());
        }
        let then = self.began_with.as_deref().map_or_else(|| Some(Marks::default()), Marks::load);
        let now = if self.parent.exists() { Marks::of(&self.parent)? } else { Marks::default() };
        let conflict = |path: &Path| then.as_ref().is_none_or(|then| !then.same_at(&now, path));
        let mut found: BTreeMap<PathBuf, LayerChange> = BTreeMap::new();
        walk(&self.upper, &mut |entry| {
            // A directory that holds something is told by that.
            if let Some(parent) = entry.path.parent() {
                let of_directory = found.get(parent).is_some_and(|change| change.directory);
                if of_directory && found.get(parent).is_some_and(|c| c.kind == LayerChangeKind::Added) {
                    found.remove(parent);
                }
            }
            if let Some((kind, directory)) = self.kind(entry)? {
                let change = LayerChange {
                    path: Path::new("/").join(entry.path).to_string_lossy().into_owned(),
                    kind,
                    directory,
                    bytes: if entry.kind == Kind::File { entry.stat.st_size.unsigned_abs() } else { 0 },
                    conflict: conflict(entry.path),
                };
                found.insert(entry.path.to_owned(), change);
            }
            Ok(())
        })?;
        Ok(found.into_values().collect())
    }

    /// What an entry of the upper means; none for a directory that was there, and for mount points.
    fn kind(&self, entry: &Entry<'_>) -> io::Result<Option<(LayerChangeKind, bool)>> {
        let path = Path::new("/").join(entry.path);
        if self.mounts.iter().any(|mount| path.starts_with(mount) || mount.starts_with(&path)) {
            return Ok(None);
        }
        let was_there = self.below.iter().any(|layer| is_in(layer, entry.path));
        Ok(match (entry.kind, was_there) {
            (Kind::Whiteout, there) => there.then_some((LayerChangeKind::Removed, false)),
            (Kind::Directory, true) => is_opaque(entry)?.then_some((LayerChangeKind::Removed, true)),
            (Kind::Directory, false) => Some((LayerChangeKind::Added, true)),
            (_, false) => Some((LayerChangeKind::Added, false)),
            (_, true) => Some((LayerChangeKind::Changed, false)),
        })
    }

    fn pack(&self, chosen: &[LayerChange], archive: &Path, list: &Path) -> io::Result<()> {
        let is_chosen = |path: &Path, kinds: &[LayerChangeKind]| {
            let path = Path::new("/").join(path);
            chosen.iter().any(|c| kinds.contains(&c.kind) && Path::new(&c.path) == path)
        };
        let mut removed = Vec::new();
        for change in chosen.iter().filter(|c| c.kind == LayerChangeKind::Removed) {
            removed.extend_from_slice(change.path.as_bytes());
            removed.push(0);
        }
        let mut file = std::fs::File::create_new(list)?;
        io::Write::write_all(&mut file, &removed)?;
        let mut archive = Builder::new(std::fs::File::create_new(archive)?);
        walk(&self.upper, &mut |entry| {
            let kinds = [LayerChangeKind::Added, LayerChangeKind::Changed];
            if is_chosen(entry.path, &kinds) { append(&mut archive, entry) } else { Ok(()) }
        })?;
        archive.finish()
    }
}

/// Whether a layer has something at a path, no link followed.
fn is_in(layer: &Path, path: &Path) -> bool {
    let open = || {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let layer = rustix::fs::open(layer, flags, Mode::empty())?;
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat2(layer, path, flags, Mode::empty(), how)
    };
    match open() {
        Ok(found) => rustix::fs::fstat(found).is_ok_and(|stat| Kind::of(&stat) != Kind::Whiteout),
        // The last name is a link itself.
        Err(rustix::io::Errno::LOOP) => true,
        Err(_) => false,
    }
}

fn is_opaque(entry: &Entry<'_>) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(entry.parent, entry.name, flags, Mode::empty())?;
    let mut value = [0; 8];
    Ok(fgetxattr(directory, "trusted.overlay.opaque", &mut value[..]).is_ok_and(|n| value[..n] == *b"y"))
}

fn append(archive: &mut Builder<std::fs::File>, entry: &Entry<'_>) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(entry.stat.st_mode & 0o7777);
    header.set_uid(entry.stat.st_uid.into());
    header.set_gid(entry.stat.st_gid.into());
    header.set_mtime(u64::try_from(entry.stat.st_mtime).unwrap_or_default());
    header.set_size(0);
    match entry.kind {
        Kind::File => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file =
                std::fs::File::from(rustix::fs::openat(entry.parent, entry.name, flags, Mode::empty())?);
            let found = file.metadata()?;
            let length = found.len();
            if length > found.blocks() * 512 + SPARSE {
                let path = entry.path.display();
                return Err(io::Error::other(format!("{path} is mostly holes; carry it over by hand")));
            }
            header.set_size(length);
            header.set_entry_type(EntryType::Regular);
            // One that grows or shrinks meanwhile still has the length that the archive says.
            let content = io::Read::take(io::Read::chain(file, io::repeat(0)), length);
            archive.append_data(&mut header, entry.path, content)
        }
        Kind::Link => {
            let target = rustix::fs::readlinkat(entry.parent, entry.name, Vec::new())?;
            header.set_entry_type(EntryType::Symlink);
            archive.append_link(&mut header, entry.path, OsStr::from_bytes(target.as_bytes()))
        }
        Kind::Directory => {
            header.set_entry_type(EntryType::Directory);
            archive.append_data(&mut header, entry.path, io::empty())
        }
        Kind::Whiteout | Kind::Other => Ok(()),
    }
}

/// Those of `all` that are meant: at or below one of `paths`; all when there are none.
///
/// # Errors
/// `invalid_argument`: a path that nothing is at or below. `conflict`: the workspace changed some of them as well.
pub fn chosen(all: Vec<LayerChange>, paths: &[String], force: bool) -> Result<Vec<LayerChange>, ApiError> {
    let meant = |change: &LayerChange, path: &String| Path::new(&change.path).starts_with(path);
    if let Some(path) = paths.iter().find(|path| !all.iter().any(|change| meant(change, path))) {
        return Err(ApiError::invalid("paths", format!("the fork changed nothing at {path}"))
            .hint("`sandboxed-sh workspace diff` lists what it changed"));
    }
    let chosen: Vec<_> =
        all.into_iter().filter(|c| paths.is_empty() || paths.iter().any(|path| meant(c, path))).collect();
    let both: Vec<_> = chosen.iter().filter(|c| c.conflict).map(|c| c.path.as_str()).take(5).collect();
    if !both.is_empty() && !force {
        return Err(ApiError::new(
            ErrorCode::Conflict,
            format!("the workspace has changed these since the fork as well: {}", both.join(", ")),
        )
        .field("paths")
        .hint("name the paths that are to be carried over, or say force to take the fork's"));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(path: &str, conflict: bool) -> LayerChange {
        LayerChange { path: path.into(), kind: LayerChangeKind::Added, directory: false, bytes: 0, conflict }
    }

    #[test]
    fn paths_choose_what_is_at_or_below_them_and_a_conflict_needs_force() {
        let all = || vec![change("/etc/a", false), change("/etc/b", true), change("/etcetera", false)];
        let names = |chosen: Vec<LayerChange>| chosen.into_iter().map(|c| c.path).collect::<Vec<_>>();
        assert_eq!(names(chosen(all(), &["/etc".into()], true).unwrap()), ["/etc/a", "/etc/b"]);
        assert_eq!(names(chosen(all(), &["/etc/a".into(), "/etcetera".into()], false).unwrap()).len(), 2);
        assert_eq!(names(chosen(all(), &[], true).unwrap()).len(), 3);
        let error = chosen(all(), &[], false).unwrap_err();
        assert!(error.code == ErrorCode::Conflict && error.message.contains("/etc/b"), "{error:?}");
        assert_eq!(chosen(all(), &["/usr".into()], false).unwrap_err().code, ErrorCode::InvalidArgument);
    }
}
