//! The command line at a real terminal: what it shows there, and what somebody types.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::sync::watch;

use crate::support::Daemon;

/// Longest wait for words or for the end.
const SOON: Duration = Duration::from_secs(300);

/// A verb with its input and its talk on a terminal; its data goes elsewhere.
pub struct AtTerminal {
    child: Child,
    keys: File,
    shown: watch::Receiver<String>,
}

impl AtTerminal {
    pub fn run(daemon: &Daemon, arguments: &[&str]) -> Self {
        let (screen, peer) = sandbox_runner::terminal::open(40, 120).unwrap();
        let other = || -> OwnedFd { peer.try_clone().unwrap() };
        let child = Command::new(env!("CARGO_BIN_EXE_sandboxed-sh"))
            .args(arguments)
            .env("SANDBOXED_SH_DATA_DIR", daemon.data())
            .env("SANDBOXED_SH_API_URL", daemon.settings().endpoint.to_string())
            .env("TERM", "xterm")
            .stdin(Stdio::from(other()))
            .stdout(Stdio::piped())
            .stderr(Stdio::from(other()))
            .spawn()
            .unwrap();
        drop(peer);
        // It is made for a loop that asks when there is something; a thread may wait.
        nix::fcntl::fcntl(&screen, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_RDWR)).unwrap();
        let keys = screen.try_clone().unwrap();
        Self { child, keys, shown: watched(screen) }
    }

    /// Waits until words are shown; all that was.
    pub async fn shows(&mut self, words: &str) -> String {
        let seen = self.shown.wait_for(|text| text.contains(words));
        let found = tokio::time::timeout(SOON, seen).await.ok().and_then(Result::ok).map(|text| text.clone());
        found.unwrap_or_else(|| panic!("{words:?} is not shown: {}", *self.shown.borrow()))
    }

    pub fn type_in(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Its exit status, what it wrote to stdout, and all that was shown.
    pub async fn ends(mut self) -> (Option<i32>, String, String) {
        let mut stdout = self.child.stdout.take().unwrap();
        let ended = tokio::task::spawn_blocking(move || {
            let mut data = String::new();
            stdout.read_to_string(&mut data).unwrap();
            (self.child.wait().unwrap().code(), data)
        });
        let (code, data) = tokio::time::timeout(SOON, ended).await.unwrap().unwrap();
        // The screen ends with its last program.
        while self.shown.changed().await.is_ok() {}
        let shown = self.shown.borrow().clone();
        (code, data, shown)
    }
}

fn watched(mut screen: File) -> watch::Receiver<String> {
    let (show, shown) = watch::channel(String::new());
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        // A terminal whose last program has ended reads as an error.
        while let Ok(count @ 1..) = screen.read(&mut chunk) {
            show.send_modify(|text| text.push_str(&String::from_utf8_lossy(&chunk[..count])));
        }
    });
    shown
}
