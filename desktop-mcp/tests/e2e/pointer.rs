//! What is told of the pointer is where it is, also while a window manager holds it.

use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use serde_json::json;
use x11rb::properties::WmSizeHints;

use crate::lifetime::{name_of, processes_of};
use crate::stage::{Stage, soon};
use crate::windows::Window;

#[tokio::test]
async fn the_pointer_is_told_where_it_is_when_a_click_before_is_held_back() {
    let stage = Stage::new().await;
    let _window = Window::open(&stage, "Any", WmSizeHints::new()).await;
    stage.focus("Any").await;
    let manager = processes_of(stage.dir.path()).into_iter().find(|pid| name_of(*pid) == "openbox").unwrap();
    let there = |action: &str, x: i32| json!({"action": action, "coordinate": [x, 400]});
    // It looks at each click into a window before the window gets it.
    kill_process(manager, Signal::STOP).unwrap();
    let clicked = stage.server.text("computer", there("left_click", 640)).await;
    assert_eq!(clicked, "Clicked. The pointer is at (640, 400).");
    let start = Instant::now();
    let held = stage.server.text("computer", there("mouse_move", 20)).await;
    let told = "The pointer is at (640, 400), not where it was put: a program holds it or has moved it.";
    assert_eq!(held, told);
    assert!(start.elapsed() > Duration::from_secs(1), "what may come is waited for");
    let moved = stage.server.begin("computer", there("mouse_move", 30)).await;
    kill_process(manager, Signal::CONT).unwrap();
    let moved = serde_json::to_value(soon(moved.await_response()).await.unwrap()).unwrap();
    assert_eq!(moved["content"][0]["text"], "The pointer is at (30, 400).");
    stage.finish().await;
}
