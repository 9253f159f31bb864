//! What is told of windows is how they are when the window manager has done what was asked of it.

use serde_json::json;
use x11rb::connection::Connection;
use x11rb::properties::WmSizeHints;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, PropMode, WindowClass};
use x11rb::rust_connection::{DefaultStream, RustConnection};
use x11rb::wrapper::ConnectionExt as _;

use crate::stage::{Stage, socket};

/// A window of this test, which takes any size but for its hints; it goes with this.
pub struct Window(#[expect(dead_code, reason = "held for the window's life")] RustConnection);

impl Window {
    pub async fn open(stage: &Stage, title: &str, hints: WmSizeHints) -> Self {
        let desktop = std::fs::read_dir(stage.dir.path()).unwrap().next().unwrap().unwrap().path();
        let cookie = std::fs::read(desktop.join("Xauthority")).unwrap();
        // The last field of the only entry.
        let (name, cookie) = (b"MIT-MAGIC-COOKIE-1".to_vec(), cookie[cookie.len() - 16..].to_vec());
        let display = stage.desktop["display"].as_str().unwrap();
        let stream = std::os::unix::net::UnixStream::connect(socket(display)).unwrap();
        let (stream, _) = DefaultStream::from_unix_stream(stream).unwrap();
        let conn = RustConnection::connect_to_stream_with_auth_info(stream, 0, name, cookie).unwrap();
        let (root, window) = (conn.setup().roots[0].root, conn.generate_id().unwrap());
        let (kind, plain) = (WindowClass::INPUT_OUTPUT, Default::default());
        conn.create_window(0, window, root, 100, 100, 300, 200, 0, kind, 0, &plain).unwrap();
        let name = AtomEnum::WM_NAME;
        conn.change_property8(PropMode::REPLACE, window, name, AtomEnum::STRING, title.as_bytes()).unwrap();
        hints.set_normal_hints(&conn, window).unwrap();
        conn.map_window(window).unwrap();
        conn.sync().unwrap();
        let there = stage.server.text("wait_for", json!({"until": "window", "text": title})).await;
        assert!(there.starts_with("there"), "{there}");
        Self(conn)
    }
}

#[tokio::test]
async fn a_window_that_is_shown_as_soon_as_the_desktop_is_there_is_managed() {
    for _ in 0..3 {
        let stage = Stage::new().await;
        let _window = Window::open(&stage, "At once", WmSizeHints::new()).await;
        stage.finish().await;
    }
}
