//! Finding the agents' programs on the host: the native binaries that can be bound into a sandbox.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sandboxed_domain::api::{ApiError, ErrorCode};

/// `PATH` of runs inside a sandbox.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a program may take to tell its version.
const VERSION_TIME: Duration = Duration::from_secs(10);

/// The environment variable that names a program's binary.
pub fn path_variable(program: &str) -> String {
    format!("{}_CLI_PATH", program.to_uppercase().replace('-', "_"))
}

/// The program's native binary: from `<NAME>_CLI_PATH`, else from `PATH`, links followed.
///
/// # Errors
/// `backend_not_ready`: not found, or a script where a binary is needed.
pub fn find_program(program: &str) -> Result<PathBuf, ApiError> {
    let variable = path_variable(program);
    let hint = format!("install it and put it on the daemon's PATH, or set {variable} to the binary");
    let missing = |text: String| ApiError::new(ErrorCode::BackendNotReady, text).hint(hint.clone());
    let candidate = match std::env::var_os(&variable).filter(|value| !value.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => on_path(program).ok_or_else(|| missing(format!("{program} is not installed")))?,
    };
    let real =
        fs::canonicalize(&candidate).map_err(|error| missing(format!("{}: {error}", candidate.display())))?;
    let mut magic = [0_u8; 4];
    let read = fs::File::open(&real).and_then(|mut file| file.read_exact(&mut magic));
    match read {
        Ok(()) if &magic == b"\x7fELF" => Ok(real),
        _ => Err(missing(format!("{} is not a native binary", real.display()))),
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// What `--version` says, remembered for each file as it is. Blocks up to 10 s; empty when it does not answer.
pub fn version(path: &Path) -> String {
    type Known = Vec<(PathBuf, SystemTime, String)>;
    static KNOWN: Mutex<Known> = Mutex::new(Vec::new());
    let modified = fs::metadata(path).and_then(|m| m.modified()).unwrap_or(UNIX_EPOCH);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, _, version)) = known.iter().find(|(p, m, _)| p == path && *m == modified) {
        return version.clone();
    }
    let version = ask_version(path).unwrap_or_default();
    known.retain(|(p, _, _)| p != path);
    known.push((path.to_owned(), modified, version.clone()));
    version
}

fn ask_version(path: &Path) -> Option<String> {
    let mut child = Command::new(path)
        .arg("--version")
        .env_clear()
        .env("PATH", DEFAULT_PATH)
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdout = child.stdout.take()?;
    let (answer, text) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = (&mut stdout).take(4096).read_to_string(&mut text);
        let _ = answer.send(read.map(|_| text));
    });
    let text = text.recv_timeout(VERSION_TIME);
    // Nothing to end when it has ended by itself.
    let _ = child.kill();
    let _ = child.wait();
    let text = text.ok()?.ok()?;
    let first = text.lines().next()?;
    first.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
}
