//! Programs that a desktop is made of, and those that run in it.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{io::AsyncReadExt, net::unix::pipe, sync::watch};

use super::keeper::{Exit, Started};

use crate::error::{Code, Problem, Result};

/// A program to be started.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its path or name, and its arguments.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
    /// Where it starts.
    pub directory: PathBuf,
    /// Where its output goes; else into the pipe that is given with it.
    pub log: Option<PathBuf>,
}

/// Programs that a desktop needs, and the Debian packages that have them.
const PACKAGES: [(&str, &str); 5] = [
    ("Xvfb", "xvfb"),
    ("openbox", "openbox"),
    ("dbus-daemon", "dbus"),
    ("tesseract", "tesseract-ocr"),
    ("ffmpeg", "ffmpeg"),
];

/// A program in `PATH`.
///
/// # Errors
/// `not_installed`, with the package that has it where that is known.
pub fn find_program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    find_in(name, &path).ok_or_else(|| {
        let known = PACKAGES.iter().find(|(program, _)| *program == name);
        let problem = Problem::new(Code::NotInstalled, format!("{name} is not installed"));
        match known {
            Some((_, package)) => problem.hint(format!("install it: apt-get install {package}")),
            None => problem,
        }
    })
}

fn find_in(name: &str, path: &OsStr) -> Option<PathBuf> {
    let executable = |file: &Path| {
        file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|file| executable(file));
    }
    std::env::split_paths(path).map(|directory| directory.join(name)).find(|file| executable(file))
}

/// The end of a program's output, for an error.
pub fn last_words(log: &Path) -> String {
    end_of(&String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()))
}

fn end_of(text: &str) -> String {
    const SHOWN: usize = 600;
    let text = text.trim();
    let from = text.char_indices().rev().nth(SHOWN).map_or(0, |(at, _)| at);
    text[from..].to_owned()
}

/// Most bytes of a program's output that are kept.
const KEPT: usize = 64 << 10;

/// A program that was started in a desktop.
#[derive(Debug, Clone)]
pub struct Running {
    command: String,
    started: Started,
    output: watch::Receiver<Tail>,
}

/// The end of a program's output.
#[derive(Debug, Default)]
struct Tail {
    bytes: VecDeque<u8>,
    complete: bool,
}

impl Running {
    /// A program that writes into a pipe, which is read for as long as anybody has its other end.
    pub(super) fn new(command: String, started: Started, pipe: pipe::Receiver) -> Self {
        let (tail, output) = watch::channel(Tail::default());
        tokio::spawn(keep_tail(pipe, tail));
        Self { command, started, output }
    }

    /// What was to be run.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Its process.
    pub fn started(&self) -> &Started {
        &self.started
    }

    /// How it ended, once it has.
    pub fn exit(&self) -> Option<Exit> {
        *self.started.exit.borrow()
    }

    /// The end of its output; waits a moment for what is on its way when the program has ended.
    pub async fn output(&self) -> String {
        const MOMENT: Duration = Duration::from_millis(200);
        let mut output = self.output.clone();
        if self.exit().is_some() {
            // A process that it left behind may keep the pipe open.
            let _ = tokio::time::timeout(MOMENT, output.wait_for(|tail| tail.complete)).await;
        }
        let bytes: Vec<u8> = output.borrow().bytes.iter().copied().collect();
        end_of(&String::from_utf8_lossy(&bytes))
    }
}

async fn keep_tail(mut pipe: pipe::Receiver, tail: watch::Sender<Tail>) {
    let mut piece = vec![0; 8 << 10];
    while let Ok(length @ 1..) = pipe.read(&mut piece).await {
        tail.send_modify(|tail| {
            tail.bytes.extend(&piece[..length]);
            let more = tail.bytes.len().saturating_sub(KEPT);
            tail.bytes.drain(..more);
        });
    }
    tail.send_modify(|tail| tail.complete = true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_in_the_path_and_a_missing_one_named_with_its_package() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tool");
        std::fs::write(&file, "").unwrap();
        assert_eq!(find_in("tool", directory.path().as_os_str()), None, "nobody may execute it");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find_in("tool", directory.path().as_os_str()), Some(file.clone()));
        assert_eq!(find_in(file.to_str().unwrap(), OsStr::new("")), Some(file));
        assert_eq!(find_program("no-such-program").unwrap_err().code, Code::NotInstalled);
    }
}
