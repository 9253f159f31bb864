//! Real programs in a desktop, started as a person would in it.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::stage::Stage;

/// A program that runs in a desktop; it is killed with this.
pub struct Program(pub Child);

impl Program {
    pub fn start(stage: &Stage, argv: &[&str]) -> Self {
        let mut entries = std::fs::read_dir(stage.dir.path()).unwrap();
        let desktop = entries.next().unwrap().unwrap().path();
        let mut command = Command::new(argv[0]);
        command
            .args(&argv[1..])
            .env("DISPLAY", stage.desktop["display"].as_str().unwrap())
            .env("XAUTHORITY", desktop.join("Xauthority"))
            .env("XDG_RUNTIME_DIR", desktop.join("run"))
            .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", desktop.join("run/bus").display()))
            .env("GDK_BACKEND", "x11")
            .env("HOME", &desktop)
            .env_remove("NO_AT_BRIDGE");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        Self(command.spawn().unwrap())
    }

    /// What it wrote until it ended.
    pub async fn output(self) -> String {
        let output = tokio::time::timeout(Duration::from_secs(60), self.0.wait_with_output()).await;
        String::from_utf8(output.expect("it ends").unwrap().stdout).unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}
