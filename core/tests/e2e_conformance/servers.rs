//! The servers that ship, over HTTP as users serve them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::door;
use crate::support::Daemon;

/// One of our programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Orchestrator,
    Workspace,
    Desktop,
}

impl Program {
    pub const ALL: [Self; 3] = [Self::Orchestrator, Self::Workspace, Self::Desktop];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Orchestrator => "mcp-orchestrator",
            Self::Workspace => "workspace-mcp",
            Self::Desktop => "desktop-mcp",
        }
    }

    /// As it goes into sandboxes.
    pub fn path(self) -> PathBuf {
        Path::new(env!("CARGO_BIN_EXE_sandboxed-sh")).with_file_name("inside").join(self.name())
    }
}

/// A server behind a door.
pub struct Serving {
    pub url: String,
    child: Child,
    daemon: Option<Daemon>,
    _dir: TempDir,
}

impl Serving {
    pub async fn start(program: Program) -> Self {
        let dir = TempDir::new().unwrap();
        let mut command = Command::new(program.path());
        command
            .args(["--http", "127.0.0.1:0"])
            .current_dir(dir.path())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let (mut daemon, mut token) = (None, dir.path().join("token"));
        match program {
            Program::Orchestrator => {
                let started = Daemon::start().await;
                token = started.data().join("token");
                command
                    .args(["--boss", "suite", "--workspace", "host"])
                    .env("SANDBOXED_SH_API_URL", started.settings().endpoint.to_string())
                    .env("SANDBOXED_SH_TOKEN_FILE", &token);
                daemon = Some(started);
            }
            Program::Workspace | Program::Desktop => drop(command.arg("--token-file").arg(&token)),
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let behind = loop {
            let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("it ended: {said}"));
            if let Some((_, rest)) = line.split_once("http://") {
                break format!("http://{}", rest.trim().trim_end_matches("/mcp"));
            }
            said += &line;
        };
        // Nobody reads what it says from here on, and it must not wait for that.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let secret = std::fs::read_to_string(&token).unwrap();
        let address = door::open(&behind, secret.trim()).await;
        Self { url: format!("http://{address}/mcp"), child, daemon, _dir: dir }
    }

    pub async fn finish(mut self) {
        self.child.kill().await.unwrap();
        if let Some(daemon) = self.daemon {
            daemon.finish().await;
        }
    }
}
