//! Programs that a desktop is made of, and those that run in it.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
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

/// Most characters of what a program of the desktop itself wrote, for an error.
const SHOWN: usize = 600;

/// The end of a program's output, for an error.
pub fn last_words(log: &Path) -> String {
    end_of(&String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()), SHOWN)
}

/// At most so many characters, and a sign before them when there are more.
fn end_of(text: &str, most: usize) -> String {
    let text = text.trim();
    match text.char_indices().rev().nth(most) {
        Some((before, first)) => format!("…{}", &text[before + first.len_utf8()..]),
        None => text.to_owned(),
    }
}

/// Most bytes of a program's output that are kept: four for each of the characters that are ever told.
const KEPT: usize = 16 << 10;
/// What is in a pipe at most, in bytes.
const PIPE: usize = 64 << 10;

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
    /// Whether all is there that the program itself has written.
    complete: bool,
}

impl Running {
    /// A program that writes into a pipe, which is read for as long as anybody has its other end.
    pub(super) fn new(command: String, started: Started, pipe: pipe::Receiver) -> Self {
        let (tail, output) = watch::channel(Tail::default());
        tokio::spawn(keep_tail(pipe, started.clone(), tail));
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

    /// The end of its output, at most so many characters; all of it there when the program has ended.
    pub async fn output(&self, most: usize) -> String {
        let mut output = self.output.clone();
        if self.exit().is_some() {
            // Without who reads it nothing more comes.
            let _ = output.wait_for(|tail| tail.complete).await;
        }
        let bytes: Vec<u8> = output.borrow().bytes.iter().copied().collect();
        end_of(&String::from_utf8_lossy(&bytes), most)
    }
}

/// Reads what a program writes, so that it never waits for a reader, and keeps the end of it.
async fn keep_tail(mut pipe: pipe::Receiver, mut started: Started, tail: watch::Sender<Tail>) {
    let mut piece = vec![0; 8 << 10];
    let keep = |piece: &[u8]| {
        tail.send_modify(|tail| {
            tail.bytes.extend(piece);
            let more = tail.bytes.len().saturating_sub(KEPT);
            tail.bytes.drain(..more);
        });
    };
    loop {
        let read = tokio::select! {
            read = pipe.read(&mut piece) => read,
            _ = started.ended() => break,
        };
        let Ok(length @ 1..) = read else { break };
        keep(&piece[..length]);
    }
    // What it wrote is in the pipe. What it has left behind may go on, and fill it again and again.
    let mut left = PIPE;
    while left > 0
        && let Ok(length @ 1..) = rustix::io::read(&pipe, &mut piece[..])
    {
        keep(&piece[..length]);
        left = left.saturating_sub(length);
    }
    tail.send_modify(|tail| tail.complete = true);
    while let Ok(length @ 1..) = pipe.read(&mut piece).await {
        keep(&piece[..length]);
    }
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

    #[test]
    fn of_much_the_end_is_told_and_that_there_was_more() {
        assert_eq!(end_of(" one two\n", 7), "one two");
        assert_eq!(end_of("one tw漢", 3), "…tw漢");
        assert_eq!(end_of("", 3), "");
    }
}
