//! A server with a desktop, and a client that calls its tools.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use base64::Engine as _;
pub use sandboxed_testkit::mcp::{Answer, McpServer as Server, soon};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use x11rb::rust_connection::{DefaultStream, RustConnection};

/// The program, with a directory for its desktops.
pub fn program(runtime: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_desktop-mcp"));
    command.env("XDG_RUNTIME_DIR", runtime).kill_on_drop(true);
    command
}

/// Kind and bytes of the picture in an answer.
pub fn picture(answer: &Answer) -> Option<(String, Vec<u8>)> {
    let (kind, data) = answer.picture()?;
    Some((kind.to_owned(), base64::engine::general_purpose::STANDARD.decode(data).unwrap()))
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

/// Connects to a desktop as its programs do.
pub fn connect(display: &str, authority: &Path) -> RustConnection {
    let cookie = std::fs::read(authority).unwrap();
    // The last field of the only entry.
    let cookie = cookie[cookie.len() - 16..].to_vec();
    let stream = UnixStream::connect(socket(display)).unwrap();
    let (stream, _) = DefaultStream::from_unix_stream(stream).unwrap();
    RustConnection::connect_to_stream_with_auth_info(stream, 0, b"MIT-MAGIC-COOKIE-1".to_vec(), cookie)
        .unwrap()
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
