//! A server with a desktop, and a client that calls its tools.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use rmcp::{
    RoleClient, ServiceExt,
    model::{CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, ContentBlock},
    service::{PeerRequestOptions, RequestHandle, RunningService},
    transport::TokioChildProcess,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// Longer than anything a test waits for; its end is a failure.
const PATIENCE: Duration = Duration::from_secs(90);

/// What comes of `future`, which must be soon.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

/// The program, with a directory for its desktops.
pub fn program(runtime: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_desktop-mcp"));
    command.env("XDG_RUNTIME_DIR", runtime).kill_on_drop(true);
    command
}

/// A server and its client.
pub struct Server {
    client: RunningService<RoleClient, ()>,
    pid: Pid,
}

impl Server {
    pub async fn start(command: Command) -> Self {
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

    /// Structured content of a call that succeeds.
    pub async fn data(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.call(tool, arguments.clone()).await;
        assert!(!answer.is_error(), "{tool} {arguments}: {answer:?}");
        let data = answer.0.structured_content.clone().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&answer.text()).unwrap(), data);
        data
    }

    /// Text of a call that succeeds and has no structured content, which would replace it.
    pub async fn text(&self, tool: &str, arguments: Value) -> String {
        let answer = self.call(tool, arguments.clone()).await;
        assert!(
            !answer.is_error() && answer.0.structured_content.is_none(),
            "{tool} {arguments}: {answer:?}"
        );
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

    /// Begins a call that may be taken back.
    pub async fn begin(&self, tool: &str, arguments: Value) -> RequestHandle<RoleClient> {
        let params = CallToolRequestParams::new(tool.to_owned())
            .with_arguments(arguments.as_object().unwrap().clone());
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let options = PeerRequestOptions::no_options();
        soon(self.client.send_cancellable_request(request, options)).await.unwrap()
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        self.pid
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

    /// The picture's kind and bytes.
    pub fn picture(&self) -> Option<(String, Vec<u8>)> {
        let image = self.0.content.iter().find_map(ContentBlock::as_image)?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(&image.data).unwrap();
        Some((image.mime_type.clone(), bytes))
    }
}

/// Width, height and RGB of a PNG.
pub fn pixels(png: &[u8]) -> (usize, usize, Vec<[u8; 3]>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    assert_eq!(info.color_type, png::ColorType::Rgb);
    let pixels = bytes.as_chunks::<3>().0.to_vec();
    (info.width as usize, info.height as usize, pixels)
}

/// A server with one desktop.
pub struct Stage {
    pub dir: TempDir,
    pub server: Server,
    pub desktop: Value,
}

impl Stage {
    pub async fn new() -> Self {
        Self::sized(json!({})).await
    }

    pub async fn sized(size: Value) -> Self {
        let dir = TempDir::new().unwrap();
        let server = Server::start(program(dir.path())).await;
        let desktop = server.data("start_desktop", size).await;
        Self { dir, server, desktop }
    }

    /// Starts a program that shows a window.
    pub async fn launch(&self, command: &str) -> Value {
        let launched =
            self.server.data("launch_program", json!({"command": command, "wait_seconds": 60})).await;
        assert_eq!(launched["status"], "window", "{command}: {launched}");
        launched
    }

    /// Gives a window the keyboard.
    pub async fn focus(&self, window: &str) {
        let focus = json!({"window": window, "action": "focus"});
        assert_eq!(self.server.data("manage_window", focus).await["status"], "done");
    }

    /// The client leaves; nothing of the desktop is left.
    pub async fn finish(self) {
        let traces = Traces::of(&self.desktop);
        self.server.leave().await;
        assert_eq!(std::fs::read_dir(self.dir.path()).unwrap().count(), 0, "the desktop's directory is gone");
        traces.assert_gone();
    }
}

/// Socket of a display.
pub fn socket(display: &str) -> PathBuf {
    format!("/tmp/.X11-unix/X{}", display.trim_start_matches(':')).into()
}

/// What an X server has outside of the desktop's directory. Its number may be another's soon after.
pub struct Traces {
    socket: PathBuf,
    made: (u64, i64),
}

impl Traces {
    pub fn of(desktop: &Value) -> Self {
        let socket = socket(desktop["display"].as_str().unwrap());
        let made = made(&socket).unwrap();
        Self { socket, made }
    }

    pub fn assert_gone(&self) {
        assert_ne!(made(&self.socket), Some(self.made), "the socket is gone");
    }
}

/// Number and time of making of a file.
fn made(path: &Path) -> Option<(u64, i64)> {
    let data = std::fs::metadata(path).ok()?;
    Some((data.ino(), data.ctime() * 1_000_000_000 + data.ctime_nsec()))
}
