//! `desktop-mcp` in a mission's sandbox, with the test as its client: through the server's own input and output.

use std::path::PathBuf;

use sandboxed_domain::api::ExecParams;
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::mcp::McpServer;
use sandboxed_testkit::stub::Script;
use serde_json::json;
use tokio::process::Command;
use uuid::Uuid;

use crate::agents::{Stage, end_of, processes_of};
use crate::missions::workspace;

/// The mission: the server, with pipes that the test has the other ends of.
const SERVER: &str =
    "cd \"$HOME\" && mkfifo in out && touch ready && exec /opt/sandboxed-sh/bin/desktop-mcp < in > out";
/// The other ends, as a server that is a child.
const PIPES: &str = "cat out & cat > in; wait";
/// What is left in the sandbox of desktops and of programs.
const LEFT: &str = "find /tmp /dev/shm -mindepth 1 -maxdepth 1 ! -name .X11-unix ! -name 'sbx-*'; \
    find /tmp/.X11-unix -mindepth 1; for one in /proc/[0-9]*/exe; do readlink $one; done | grep -Ev '/(dash|readlink|grep)$'";

/// A server in a sandbox.
pub struct Inside {
    stage: Stage,
    workspace: String,
    mission: Uuid,
    /// The server.
    pub server: McpServer,
    /// The directory in which it runs.
    pub files: PathBuf,
}

impl Inside {
    /// Starts it in a workspace of its own.
    pub async fn start(name: &str) -> Self {
        let stage = Stage::new(&[], Script::default()).await;
        let workspace = workspace(&stage, name).await;
        let worker =
            json!({"title": "desktop", "backend": "command", "prompt": SERVER, "workspace_id": workspace});
        let mission = stage.worker(worker).await;
        let ready = stage.made(mission, "ready").await;
        let files = ready.parent().unwrap().to_owned();
        let mut pipes = Command::new("sh");
        pipes.args(["-c", PIPES]).current_dir(&files).kill_on_drop(true);
        let server = McpServer::start(pipes).await;
        Self { stage, workspace, mission, server, files }
    }

    /// Hangs up; nothing is left of the mission, in the sandbox and outside.
    pub async fn finish(self) {
        let Self { stage, workspace, mission, server, .. } = self;
        server.leave().await;
        let record = stage.end(mission).await;
        assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
        let left = processes_of(mission);
        assert!(left.is_empty(), "{left:#?}");
        let look = ExecParams { argv: ["sh", "-c", LEFT].map(str::to_owned).into(), ..Default::default() };
        let found = stage.daemon.client().exec(&workspace, &look).await.unwrap();
        assert_eq!((found.stdout.as_str(), found.stderr.as_str()), ("", ""), "in the sandbox");
        stage.finish().await;
    }
}
