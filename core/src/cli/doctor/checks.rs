//! What is looked at: the sandbox's own list, then data directory, disk, daemon, programs, backends and slots.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sandboxed_client::daemon::{Auth, status};
use sandboxed_client::{Ownership, Settings};
use sandboxed_domain::harness::{Harness, registry};

use crate::cli::{daemon, inside};
use crate::daemon::max_parallel;
use crate::harness::{CredentialSettings, Programs};
use crate::sandbox::{Check, Need};

use super::desktop;

/// For a program of ours that does not do what it is for.
const REBUILD: &str = "run `sandboxed-sh doctor --fix` from a source checkout";
/// An image, its build and some worktrees: 2 GiB.
const ROOM: u64 = 2 << 30;
/// A small image and a worktree have some ten thousand files.
const FILES: u64 = 50_000;
/// Longest path of a runner's socket below the data directory, and what the kernel allows for all of it.
const SOCKET: (usize, usize) = ("/runs/0123456789ab/control/runner.sock".len(), 107);

/// Everything. Tries most of it, and asks the daemon for its health.
pub(super) async fn all() -> Vec<Check> {
    let settings = Settings::from_env();
    let mut found = match &settings {
        Err(error) => vec![Check::of("settings", Need::Daemon, Err(error.message.clone()), &error.hint)],
        Ok(settings) => {
            let data = &settings.data_dir;
            let mut found = crate::sandbox::checks(data).await;
            found.extend([data_dir(data), disk(data), service(settings).await]);
            found
        }
    };
    found.push(procps());
    // The runner is in the sandbox's list.
    found.push(program("mcp-orchestrator"));
    found.extend(inside::SELECTABLE.iter().map(|name| program(name)));
    found.push(slots());
    found.extend(desktop::checks());
    found.push(npm());
    if let Ok(settings) = settings {
        let programs = Programs::new(&settings.data_dir);
        let credentials = CredentialSettings::from_env().unwrap_or_default();
        found.extend(registry().iter().map(|harness| backend(&programs, &credentials, *harness)));
    }
    found
}

fn backend(programs: &Programs, credentials: &CredentialSettings, harness: &'static dyn Harness) -> Check {
    let status = programs.backend_status(harness, credentials);
    let detail = format!("{} {}", status.reason, status.version).trim().to_owned();
    let place = if status.program.is_empty() { String::new() } else { format!(" ({})", status.program) };
    let mend = if status.installed {
        status.reason.clone()
    } else {
        format!("sandboxed-sh backend install {}", harness.id())
    };
    let result = if status.ready { Ok(detail + &place) } else { Err(detail) };
    Check::of(harness.id(), Need::Agents, result, &mend)
}

/// By which agents' programs are installed.
fn npm() -> Check {
    let mend = "install Node.js with npm, for instance from the distribution: apt-get install npm";
    let found = in_path("npm").map(|file| file.display().to_string());
    Check::of("npm", Need::Agents, found.ok_or_else(|| "no npm in PATH".to_owned()), mend)
}

/// The first file of this name in `PATH`.
pub(super) fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn check(name: &'static str, found: Result<String, String>, mend: &str) -> Check {
    Check::of(name, Need::Daemon, found, mend)
}

fn procps() -> Check {
    let found = in_path("ps").map(|file| file.display().to_string());
    Check::of(
        "procps",
        Need::Agents,
        found.ok_or_else(|| "no ps in PATH".to_owned()),
        "apt-get install procps",
    )
}

fn data_dir(path: &Path) -> Check {
    let probe = path.join(format!(".doctor-write-{}", std::process::id()));
    let length = path.as_os_str().len() + SOCKET.0;
    let found = if length > SOCKET.1 {
        let most = SOCKET.1 - SOCKET.0;
        Err(format!(
            "{} has {} bytes, sockets below it leave room for {most}",
            path.display(),
            length - SOCKET.0
        ))
    } else {
        fs::create_dir_all(path)
            .and_then(|()| fs::write(&probe, "").and_then(|()| fs::remove_file(&probe)))
            .map(|()| path.display().to_string())
            .map_err(|e| format!("{}: {e}", path.display()))
    };
    check(
        "data directory",
        found,
        "set SANDBOXED_SH_DATA_DIR to a short path of a directory that can be written",
    )
}

fn disk(path: &Path) -> Check {
    let existing = path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    let found = nix::sys::statvfs::statvfs(existing).map_err(|e| format!("{}: {e}", existing.display()));
    let found = found.and_then(|fs| {
        let free = fs.blocks_available() * fs.fragment_size();
        #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
        let shown = format!("{:.1} GiB free in {}", free as f64 / f64::from(1 << 30), existing.display());
        // Some file systems have no fixed number of files, and say 0.
        let files_left = if fs.files() == 0 { u64::MAX } else { fs.files_available() };
        match (free >= ROOM, files_left >= FILES) {
            (true, true) => Ok(shown),
            (false, _) => Err(format!("{shown}, 2 GiB are needed")),
            (true, false) => Err(format!("{shown}, but room for only {files_left} files")),
        }
    });
    check("disk space", found, "free some space, or set SANDBOXED_SH_DATA_DIR to another disk")
}

/// A daemon that answers, or an address where one could listen.
async fn service(settings: &Settings) -> Check {
    let mend = "see its log; `sandboxed-sh daemon stop` ends it, missions go on";
    if settings.ownership == Ownership::Foreign {
        let health = match sandboxed_client::Client::from_settings(settings) {
            Ok(client) => client.health().await,
            Err(error) => Err(error),
        };
        let found = health.map(|h| format!("{} answers, build {}", settings.endpoint, h.build_id));
        return check("daemon", found.map_err(|e| e.message), "start it, or unset SANDBOXED_SH_API_URL");
    }
    let found = match status(settings, &daemon::options(Auth::Token)).await {
        Ok(status) if status.running && status.healthy => {
            let build = status.build_id.unwrap_or_default();
            Ok(format!("runs at {} (build {build})", settings.endpoint))
        }
        Ok(status) if status.running => {
            Err(format!("runs but does not answer; log {}", status.log.display()))
        }
        Ok(_) => return address(settings),
        Err(error) => Err(error.message),
    };
    check("daemon", found, mend)
}

fn address(settings: &Settings) -> Check {
    let found = TcpListener::bind((settings.host, settings.port))
        .map(|_| format!("not running, starts at its first use; {} is free", settings.endpoint))
        .map_err(|e| format!("{}: {e}", settings.endpoint));
    let mend =
        format!("end what listens there (ss -ltnp 'sport = :{}') or set SANDBOXED_SH_PORT", settings.port);
    check("daemon", found, &mend)
}

/// It is there, static, and runs.
fn program(name: &'static str) -> Check {
    let found = inside::find(name);
    let mend = found.as_ref().err().map_or(REBUILD, |error| error.hint.as_str()).to_owned();
    let found = found.map_err(|error| error.message).and_then(|path| {
        let output = Command::new(&path).arg("--help").stdin(Stdio::null()).output();
        match output {
            Ok(output) if output.status.success() => Ok(path.display().to_string()),
            Ok(output) => Err(format!("{} --help: {}", path.display(), output.status)),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    });
    Check::of(name, Need::Sandboxes, found, &mend)
}

fn slots() -> Check {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let set = std::env::var_os("SANDBOXED_SH_MAX_PARALLEL").is_some_and(|value| !value.is_empty());
    let why = if set {
        "set by SANDBOXED_SH_MAX_PARALLEL".to_owned()
    } else {
        format!("from {cores} cores and the machine's memory; SANDBOXED_SH_MAX_PARALLEL overrides it")
    };
    let found = max_parallel().map(|slots| format!("{slots} missions at once, {why}"));
    check("parallel missions", found.map_err(|e| e.message), "set SANDBOXED_SH_MAX_PARALLEL to 1 to 1024")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_is_made_and_left_clean() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert!(data_dir(&path).ok);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        fs::write(dir.path().join("file"), "").unwrap();
        let bad = data_dir(&dir.path().join("file/x"));
        assert!(!bad.ok && !bad.mend.is_empty(), "{bad:?}");
        let long = data_dir(&dir.path().join("long".repeat(20)));
        assert!(!long.ok && long.detail.contains("room for 69"), "{long:?}");
    }

    #[test]
    fn a_port_in_use_is_told_with_the_command_that_finds_its_owner() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let settings = Settings::parse(|name| match name {
            "HOME" => Some("/nonexistent".to_owned()),
            "SANDBOXED_SH_PORT" => Some(port.to_string()),
            _ => None,
        })
        .unwrap();
        let found = address(&settings);
        assert!(!found.ok && found.mend.contains(&format!(":{port}")), "{found:?}");
        drop(listener);
        assert!(address(&settings).ok);
    }

    #[test]
    fn free_space_is_read_from_the_nearest_directory_that_exists() {
        assert!(disk(Path::new("/nonexistent/a/b")).detail.contains("GiB free in /"));
    }
}
