//! What version a program of the user's own is.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sandboxed_domain::api::ProgramSource;

use super::programs::{DEFAULT_PATH, Found};

/// How long a program may take to tell its version.
const VERSION_TIME: Duration = Duration::from_secs(10);

/// The version of what was found: an installed one is what it was pinned to; others are asked once for each file as it
/// is. Blocks up to 10 s; empty when it does not answer.
pub(super) fn version(found: &[Found]) -> String {
    type Known = Vec<(PathBuf, SystemTime, String)>;
    static KNOWN: Mutex<Known> = Mutex::new(Vec::new());
    let Some(program) = found.last() else { return String::new() };
    if program.source == ProgramSource::Installed {
        return program.program.version.to_owned();
    }
    let path = program.path();
    let modified = fs::metadata(&path).and_then(|m| m.modified()).unwrap_or(UNIX_EPOCH);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, _, version)) = known.iter().find(|(p, m, _)| *p == path && *m == modified) {
        return version.clone();
    }
    let version = ask(found).unwrap_or_default();
    known.retain(|(p, _, _)| *p != path);
    known.push((path, modified, version.clone()));
    version
}

fn ask(found: &[Found]) -> Option<String> {
    let mut argv = found.iter().map(Found::path);
    let mut child = Command::new(argv.next()?)
        .args(argv)
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
