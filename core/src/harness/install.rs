//! Installing agents' programs from npm into the data directory: pinned, checked, whole or not at all.
//!
//! Only archives are fetched; nothing of a package is run on the host. Of several installers, in this process or in
//! others, one works and the rest wait for it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use sandboxed_domain::api::ApiError;
use sandboxed_domain::harness::{Harness, Package, Program};
use tokio::process::Command;

use super::programs::{ProgramError, Programs, on_path, platform};
use super::unpack::{sha512, unpack};
use crate::store::{blocking, make_private};

/// How long one archive may take to come.
const FETCH_PATIENCE: Duration = Duration::from_secs(900);
/// How much of npm's complaint is passed on.
const COMPLAINT_BYTES: usize = 600;

/// Why a program was not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// npm is needed and missing.
    #[error("{command} cannot be installed: there is no npm in the daemon's PATH")]
    NoNpm {
        /// The program.
        command: &'static str,
    },
    /// No package for this machine.
    #[error("there is no package of {command} {version} for this processor")]
    NoPackage {
        /// The program.
        command: &'static str,
        /// Its version.
        version: &'static str,
    },
    /// npm failed.
    #[error("npm cannot fetch {package}: {complaint}")]
    Fetch {
        /// Name and version.
        package: String,
        /// The end of what it says.
        complaint: String,
    },
    /// Another archive than the one that was pinned.
    #[error("{package} is not what was pinned: its hash is {actual}")]
    Integrity {
        /// Name and version.
        package: String,
        /// What came.
        actual: String,
    },
    /// The archive lacks the program.
    #[error("{package} has no {file}")]
    Incomplete {
        /// Name and version.
        package: String,
        /// What is missing.
        file: &'static str,
    },
    /// The file system's word.
    #[error("{}: {error}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What.
        error: io::Error,
    },
    /// A thread of ours ended.
    #[error("the installation was broken off")]
    BrokenOff,
}

impl InstallError {
    /// For the API.
    pub fn for_backend(self, harness: &dyn Harness) -> ApiError {
        ProgramError::from(self).for_backend(harness)
    }

    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Io { path: path.to_owned(), error }
    }

    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoNpm { .. } => "install npm (`apt-get install npm`) and put it into the daemon's PATH",
            Self::NoPackage { .. } => "install it yourself and name it by its _CLI_PATH variable",
            Self::Fetch { .. } => "see that npm reaches its registry (`npm ping`), then try again",
            Self::Integrity { .. } => {
                "the registry or something on the way replaced it; nothing was installed"
            }
            Self::Incomplete { .. } => "install it yourself and name it by its _CLI_PATH variable",
            Self::Io { .. } => "make room and see that the data directory can be written",
            Self::BrokenOff => "try again",
        }
    }
}

/// The setting that lets the program of backend `id` be installed at its first use.
pub fn auto_install_variable(id: &str) -> String {
    format!("SANDBOXED_SH_AUTO_INSTALL_{}", id.to_uppercase())
}

/// The setting that lets it be installed when an image is built.
pub fn bootstrap_variable(id: &str) -> String {
    format!("SANDBOXED_SH_BOOTSTRAP_{}", id.to_uppercase())
}

/// Whether a setting says yes.
pub fn is_on(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| ["true", "1", "yes", "on"].contains(&value.trim()))
}

impl Programs {
    /// Whether what installs is there.
    pub fn can_install(&self, program: &'static Program) -> Result<(), InstallError> {
        for part in program.with_interpreter() {
            package(part)?;
        }
        match on_path("npm") {
            Some(_) => Ok(()),
            None => Err(InstallError::NoNpm { command: program.command }),
        }
    }

    /// Installs a program and what interprets it, unless they are there. `told` hears what is done.
    ///
    /// # Errors
    /// Nothing of what failed is left.
    pub async fn install(
        &self,
        program: &'static Program,
        told: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), InstallError> {
        for part in program.with_interpreter() {
            let target = self.cache.join(part.directory());
            let package = package(part)?;
            if !target.join(package.file).is_file() {
                told(format!("installing {} {} from npm", part.command, part.version));
                let npm = on_path("npm").ok_or(InstallError::NoNpm { command: program.command })?;
                install(&self.cache, &npm, part, package).await?;
            }
        }
        Ok(())
    }
}

fn package(program: &'static Program) -> Result<&'static Package, InstallError> {
    let Program { command, version, .. } = *program;
    program.package(platform()).ok_or(InstallError::NoPackage { command, version })
}

async fn install(
    cache: &Path,
    npm: &Path,
    program: &'static Program,
    package: &'static Package,
) -> Result<(), InstallError> {
    let name = program.directory();
    let (staging, target) = (cache.join(format!(".{name}.new")), cache.join(&name));
    let wanted = target.join(package.file);
    let lock_path = cache.join(format!(".{name}.lock"));
    let lock = blocking(move || lock(&lock_path)).await.map_err(|_| InstallError::BrokenOff)??;
    if wanted.is_file() {
        return Ok(());
    }
    let spec = format!("{}@{}{}", package.name, program.version, package.suffix);
    start_afresh(&staging)?;
    let archive = match fetch(npm, &staging, &spec).await {
        Ok(archive) => archive,
        Err(error) => {
            let _ = fs::remove_dir_all(&staging);
            return Err(error);
        }
    };
    let work = move || {
        // Held to the end of the work, even if nobody waits for it any more.
        let _lock = lock;
        let done = publish(&archive, &staging, &target, package, &spec);
        let _ = fs::remove_dir_all(&staging);
        done
    };
    blocking(work).await.map_err(|_| InstallError::BrokenOff)?
}

fn lock(path: &Path) -> Result<Flock<File>, InstallError> {
    if let Some(parent) = path.parent() {
        make_private(parent).map_err(|error| InstallError::io(path)(io::Error::other(error.message)))?;
    }
    let take = || {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
    };
    take().map_err(InstallError::io(path))
}

/// An empty directory; what an installer that was killed left there is removed.
fn start_afresh(staging: &Path) -> Result<(), InstallError> {
    match fs::remove_dir_all(staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(InstallError::io(staging)(error));
        }
        _ => {}
    }
    fs::create_dir(staging).map_err(InstallError::io(staging))
}

/// Has npm fetch the archive of `spec` into `staging`. npm knows the registry, the proxies and how to log in.
async fn fetch(npm: &Path, staging: &Path, spec: &str) -> Result<PathBuf, InstallError> {
    let failed = |complaint: String| InstallError::Fetch { package: spec.to_owned(), complaint };
    let mut command = Command::new(npm);
    command
        .args(["pack", "--ignore-scripts", "--loglevel=error", "--no-progress", "--cache"])
        .arg(staging.join("cache"))
        .arg("--pack-destination")
        .args([staging.as_os_str(), spec.as_ref()])
        .current_dir(staging)
        .env_clear()
        .envs(environment())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(FETCH_PATIENCE, command.output()).await;
    let ended = ended.map_err(|_| failed(format!("not there after {} s", FETCH_PATIENCE.as_secs())))?;
    let ended = ended.map_err(|error| failed(error.to_string()))?;
    let archive = fs::read_dir(staging).into_iter().flatten().flatten().map(|entry| entry.path());
    let archive = archive.into_iter().find(|path| path.extension().is_some_and(|end| end == "tgz"));
    match archive {
        Some(archive) if ended.status.success() => Ok(archive),
        _ => {
            let said = String::from_utf8_lossy(&ended.stderr);
            let said = said.trim();
            Err(failed(sandboxed_domain::policy::tail_at(said, COMPLAINT_BYTES).to_owned()))
        }
    }
}

/// What npm needs of our environment; no key of a model is in it.
fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    const PLAIN: [&str; 5] = ["PATH", "HOME", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"];
    std::env::vars_os().filter(|(name, _)| {
        let Some(name) = name.to_str() else { return false };
        let lower = name.to_lowercase();
        PLAIN.contains(&name) || lower.starts_with("npm_config_") || lower.ends_with("_proxy")
    })
}

/// Checks and unpacks the archive, and gives the result its name.
fn publish(
    archive: &Path,
    staging: &Path,
    target: &Path,
    package: &'static Package,
    spec: &str,
) -> Result<(), InstallError> {
    let actual = sha512(archive).map_err(InstallError::io(archive))?;
    if actual != package.integrity {
        return Err(InstallError::Integrity { package: spec.to_owned(), actual });
    }
    let unpacked = staging.join("package");
    unpack(archive, &unpacked, package).map_err(InstallError::io(&unpacked))?;
    let mut first = [0_u8; 1];
    let program = unpacked.join(package.file);
    if File::open(&program).and_then(|mut file| file.read_exact(&mut first)).is_err() {
        return Err(InstallError::Incomplete { package: spec.to_owned(), file: package.file });
    }
    // An incomplete one has no file at that place, or this would not be reached.
    match fs::remove_dir_all(target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(InstallError::io(target)(error)),
        _ => {}
    }
    fs::rename(&unpacked, target).map_err(InstallError::io(target))
}

#[cfg(test)]
#[path = "install_tests.rs"]
mod tests;
