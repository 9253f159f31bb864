//! A workspace with a server, and a client that calls its tools.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rmcp::{
    RoleClient, ServiceExt,
    model::{CallToolRequestParams, CallToolResult, ContentBlock},
    service::RunningService,
    transport::TokioChildProcess,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// Longer than anything a test waits for; its end is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// What comes of `future`, which must be soon.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

/// The program in a workspace.
pub fn program(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_workspace-mcp"));
    command.arg("--root").arg(root).kill_on_drop(true);
    command
}

/// A server and its client.
pub struct Server {
    client: RunningService<RoleClient, ()>,
    pid: Pid,
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
        let child = TokioChildProcess::new(command).unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        let client = soon(().serve(child)).await.unwrap();
        Self { client, pid }
    }

    pub async fn tools(&self) -> Value {
        serde_json::to_value(soon(self.client.list_all_tools()).await.unwrap()).unwrap()
    }

    pub async fn call(&self, tool: &str, arguments: Value) -> Answer {
        let params = CallToolRequestParams::new(tool.to_owned())
            .with_arguments(arguments.as_object().unwrap().clone());
        Answer(soon(self.client.call_tool(params)).await.unwrap())
    }

    /// Many calls at once; what came of each.
    pub async fn calls(&self, tool: &str, arguments: impl Iterator<Item = Value>) -> Vec<Answer> {
        let call = |arguments: Value| {
            let params = CallToolRequestParams::new(tool.to_owned())
                .with_arguments(arguments.as_object().unwrap().clone());
            self.client.call_tool(params)
        };
        let all = futures::future::join_all(arguments.map(call));
        let all = tokio::time::timeout(PATIENCE * 5, all).await.expect("all are answered");
        all.into_iter().map(|answer| Answer(answer.unwrap())).collect()
    }

    /// The peer, for what a call is not enough for.
    pub fn client(&self) -> &RunningService<RoleClient, ()> {
        &self.client
    }

    /// Structured content of a call that succeeds.
    pub async fn data(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.call(tool, arguments).await;
        assert!(!answer.is_error(), "{tool}: {answer:?}");
        let data = answer.0.structured_content.clone().unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&answer.text()).unwrap(),
            data,
            "text and structure say the same"
        );
        data
    }

    /// Text of a call that succeeds.
    pub async fn text(&self, tool: &str, arguments: Value) -> String {
        let answer = self.call(tool, arguments).await;
        assert!(!answer.is_error(), "{tool}: {answer:?}");
        answer.text()
    }

    /// The error of a call that fails.
    pub async fn problem(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.call(tool, arguments.clone()).await;
        assert!(answer.is_error() && answer.0.structured_content.is_none(), "{tool} {arguments}: {answer:?}");
        let problem: Value =
            serde_json::from_str(&answer.text()).unwrap_or_else(|e| panic!("{e}: {answer:?}"));
        assert!(
            problem["message"].is_string() && problem["hint"].as_str().is_some_and(|hint| hint.len() > 10)
        );
        problem
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
        soon(self.client.cancel()).await.unwrap();
    }

    /// The server is killed and can tidy nothing up.
    pub async fn kill(self) {
        kill_process(self.pid, Signal::KILL).unwrap();
        soon(self.client.waiting()).await.unwrap();
    }
}

/// What a tool answered.
#[derive(Debug)]
pub struct Answer(pub CallToolResult);

impl Answer {
    pub fn is_error(&self) -> bool {
        self.0.is_error == Some(true)
    }

    /// All text, block after block.
    pub fn text(&self) -> String {
        let blocks = self.0.content.iter().filter_map(ContentBlock::as_text);
        blocks.map(|block| block.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// The text of one block.
    pub fn block(&self, index: usize) -> &str {
        &self.0.content[index].as_text().unwrap().text
    }

    /// Path that the answer links to.
    pub fn link(&self) -> Option<String> {
        self.0.content.iter().find_map(ContentBlock::as_resource_link).map(|resource| resource.uri.clone())
    }

    /// A fact for programs.
    pub fn fact(&self, name: &str) -> Value {
        self.0.meta.as_ref().map_or(Value::Null, |meta| meta.0.get(name).cloned().unwrap_or_default())
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
