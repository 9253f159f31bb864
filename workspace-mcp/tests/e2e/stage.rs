//! A workspace with a server, and a client that calls its tools.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use sandboxed_testkit::mcp::McpServer;
pub use sandboxed_testkit::mcp::soon;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// The program in a workspace.
pub fn program(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_workspace-mcp"));
    command.arg("--root").arg(root).kill_on_drop(true);
    command
}

/// A server and its client, with what jobs need.
pub struct Server(McpServer);

impl Deref for Server {
    type Target = McpServer;

    fn deref(&self) -> &McpServer {
        &self.0
    }
}

impl Server {
    pub async fn start(root: &Path) -> Self {
        Self::start_with(root, &[]).await
    }

    pub async fn start_with(root: &Path, args: &[&str]) -> Self {
        let mut command = program(root);
        command.args(args);
        Self::start_command(command).await
    }

    pub async fn start_command(command: Command) -> Self {
        Self(McpServer::start(command).await)
    }

    /// Starts a job and does not wait for it.
    pub async fn start_job(&self, mut arguments: Value) -> Value {
        arguments["yield_seconds"] = json!(0);
        let answer = self.call("run_command", arguments).await;
        assert!(!answer.is_error(), "{answer:?}");
        answer.fact("job_id")
    }

    /// Waits until the output of a job has `text` in it; all of the output.
    pub async fn job_says(&self, job: &Value, text: &str) -> String {
        let (mut said, mut offset) = (String::new(), json!(0));
        while !said.contains(text) {
            let wait = json!({"job_id": job, "offset": offset, "wait_seconds": 60, "wait_for": "output"});
            let answer = self.call("read_output", wait).await;
            assert!(
                !answer.is_error() && answer.fact("next_offset") != offset,
                "{text:?} did not come: {said:?}"
            );
            said.push_str(answer.block(0));
            offset = answer.fact("next_offset");
        }
        said
    }

    /// The client hangs up; the server ends by itself.
    pub async fn leave(self) {
        self.0.leave().await;
    }

    /// The server is killed and can tidy nothing up.
    pub async fn kill(self) {
        self.0.kill().await;
    }
}

/// A workspace with a server of its own.
pub struct Stage {
    pub dir: TempDir,
    pub server: Server,
}

impl Stage {
    pub async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let server = Server::start(dir.path()).await;
        Self { dir, server }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The client leaves, and with it everything that it started.
    pub async fn finish(self) {
        let Self { dir, server } = self;
        server.leave().await;
        runner_left(dir.path()).await;
    }
}

/// Waits until the runner of a workspace has ended: its last act is to remove its socket.
pub async fn runner_left(root: &Path) {
    let control = root.join(".workspace-mcp/jobs");
    if control.exists() {
        until(&control, || !control.join("runner.sock").exists()).await;
    }
}

/// Waits until a condition holds that a change in a directory brings about.
pub async fn until(dir: &Path, holds: impl Fn() -> bool) {
    use futures::StreamExt;
    let inotify = inotify::Inotify::init().unwrap();
    inotify.watches().add(dir, inotify::WatchMask::ALL_EVENTS).unwrap();
    let mut events = inotify.into_event_stream([0; 4096]).unwrap();
    soon(async {
        while !holds() {
            events.next().await.unwrap().unwrap();
        }
    })
    .await;
}
