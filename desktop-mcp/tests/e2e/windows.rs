//! What is told of windows is how they are when the window manager has done what was asked of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use x11rb::connection::Connection;
use x11rb::properties::WmSizeHints;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, PropMode, WindowClass};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::stage::{Stage, connect};

/// As long as is waited for what does not come.
const PATIENCE: Duration = Duration::from_secs(5);

/// A window of this test, which takes any size but for its hints; it goes with this.
pub struct Window(#[expect(dead_code, reason = "held for the window's life")] RustConnection);

impl Window {
    pub async fn open(stage: &Stage, title: &str, hints: WmSizeHints) -> Self {
        let desktop = std::fs::read_dir(stage.dir.path()).unwrap().next().unwrap().unwrap().path();
        let conn = connect(stage.desktop["display"].as_str().unwrap(), &desktop.join("Xauthority"));
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

async fn manage(stage: &Stage, window: &str, action: &str) -> Value {
    stage.server.data("manage_window", json!({"window": window, "action": action})).await
}

#[tokio::test]
async fn a_window_that_is_shown_as_soon_as_the_desktop_is_there_is_managed() {
    for _ in 0..3 {
        let stage = Stage::new().await;
        let _window = Window::open(&stage, "At once", WmSizeHints::new()).await;
        stage.finish().await;
    }
}

#[tokio::test]
async fn a_window_is_told_with_the_size_that_it_has_when_it_is_maximized_and_restored() {
    let stage = Stage::new().await;
    let _window = Window::open(&stage, "Any", WmSizeHints::new()).await;
    let before = manage(&stage, "Any", "restore").await["window"]["frame"].clone();
    for round in 0..40 {
        // The second time it is so already.
        for (action, frame) in [
            ("maximize", &json!([0, 0, 1280, 800])),
            ("maximize", &json!([0, 0, 1280, 800])),
            ("restore", &before),
            ("restore", &before),
        ] {
            let told = manage(&stage, "Any", action).await;
            let seen = (&told["status"], &told["window"]["frame"]);
            assert_eq!(seen, (&json!("done"), frame), "{action}, round {round}: {told}");
        }
    }
    stage.finish().await;
}

#[tokio::test]
async fn what_a_window_does_not_let_happen_is_told_without_waiting_for_it() {
    let stage = Stage::new().await;
    let steps = WmSizeHints { size_increment: Some((70, 90)), ..WmSizeHints::new() };
    let _steps = Window::open(&stage, "Steps", steps).await;
    let size = Some((300, 200));
    let fixed = WmSizeHints { min_size: size, max_size: size, ..WmSizeHints::new() };
    let _fixed = Window::open(&stage, "Fixed", fixed).await;
    let start = Instant::now();
    let told = manage(&stage, "Steps", "maximize").await;
    let windows = stage.server.data("list_windows", json!({})).await;
    let listed = windows["windows"].as_array().unwrap().iter().find(|window| window["title"] == "Steps");
    assert_eq!((&told["status"], Some(&told["window"])), (&json!("done"), listed));
    let frame: Vec<i64> = serde_json::from_value(told["window"]["frame"].clone()).unwrap();
    assert!(frame[2] > 1280 - 70 && frame[3] > 800 - 90, "as large as it can be: {frame:?}");
    let told = manage(&stage, "Fixed", "maximize").await;
    assert_eq!((&told["status"], told["window"].get("states")), (&json!("otherwise"), None), "{told}");
    let larger = json!({"window": "Fixed", "action": "resize", "width": 600, "height": 600});
    let told = stage.server.data("manage_window", larger).await;
    assert_eq!(told["status"], "otherwise", "{told}");
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    stage.finish().await;
}
