//! From a package's archive to files that can be run.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use nix::unistd::syncfs;
use sandboxed_domain::harness::Package;
use sha2::{Digest, Sha512};

/// How much is read at once.
const CHUNK: usize = 1 << 16;
/// More than any package holds: what lies beyond is a bomb.
const MOST_BYTES: u64 = 4 << 30;

/// Hash of a file as npm writes it: `sha512-…`.
///
/// # Errors
/// The file system's word.
pub(super) fn sha512(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hash, mut chunk) = (Sha512::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(format!("sha512-{}", STANDARD.encode(hash.finalize()))),
            n => hash.update(&chunk[..n]),
        }
    }
}

/// Unpacks an archive of npm into the new directory `target`, and the program where the package has it packed. All of
/// it can be read by everybody: sandboxes have other user ids. Links and devices are left out, as npm does.
///
/// # Errors
/// The archive is damaged, or the file system's word.
pub(super) fn unpack(archive: &Path, target: &Path, package: &Package) -> io::Result<()> {
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(archive)?).take(MOST_BYTES));
    make_directory(target, Path::new(""))?;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let Some(path) = below(&entry.path()?) else { continue };
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            make_directory(target, &path)?;
        } else if kind.is_file() {
            let executable = entry.header().mode()? & 0o111 != 0 || path == Path::new(package.file);
            make_directory(target, path.parent().unwrap_or(Path::new("")))?;
            write(&mut entry, &target.join(&path), executable)?;
        }
    }
    unpack_program(target, package)?;
    // Once for all files, before the result gets its name.
    syncfs(File::open(target)?).map_err(Into::into)
}

fn unpack_program(target: &Path, package: &Package) -> io::Result<()> {
    let Some(packed) = package.packed.map(|packed| target.join(packed)) else { return Ok(()) };
    let mut plain = brotli_decompressor::Decompressor::new(File::open(&packed)?, CHUNK).take(MOST_BYTES);
    write(&mut plain, &target.join(package.file), true)?;
    fs::remove_file(packed)
}

/// An entry's path without its first part (`package`), if it stays below it.
fn below(path: &Path) -> Option<PathBuf> {
    let mut parts = path.components();
    parts.next()?;
    let rest: PathBuf = parts.as_path().to_owned();
    let plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && !rest.as_os_str().is_empty()).then_some(rest)
}

/// Makes `root`, `path` below it and what is missing on the way, open to everybody whatever our umask is.
fn make_directory(root: &Path, path: &Path) -> io::Result<()> {
    let levels = path.ancestors().map(|level| root.join(level));
    for level in levels.collect::<Vec<_>>().into_iter().rev() {
        match fs::create_dir(&level) {
            Ok(()) => fs::set_permissions(&level, fs::Permissions::from_mode(0o755))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn write(from: &mut dyn Read, path: &Path, executable: bool) -> io::Result<()> {
    let mode = if executable { 0o755 } else { 0o644 };
    let mut file = File::options().write(true).create(true).truncate(true).mode(mode).open(path)?;
    io::copy(from, &mut file)?;
    // Whatever our umask is.
    file.set_permissions(fs::Permissions::from_mode(mode))
}
