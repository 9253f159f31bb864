//! A window manager that is there before it does anything: nothing that programs ask of it meanwhile may be lost.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tempfile::TempDir;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, CreateWindowAux, EventMask, PropMode,
    WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;
use x11rb::{COPY_DEPTH_FROM_PARENT, COPY_FROM_PARENT};

use crate::stage::{Server, connect, program};

/// Says where the desktop is, in place of a window manager.
fn script(said: &Path) -> String {
    format!("#!/bin/sh\necho \"$DISPLAY $XAUTHORITY\" > {}\nexec sleep infinity\n", said.display())
}

/// Says that it is there, and leaves the first request until there is a second one, as openbox does with what it reads while
/// it starts.
fn manage(said: &str, obeys: &AtomicBool) -> anyhow::Result<()> {
    let (display, authority) = said.trim().split_once(' ').unwrap();
    let conn = connect(display, Path::new(authority));
    let root = conn.setup().roots[0].root;
    let asked = ChangeWindowAttributesAux::new().event_mask(EventMask::SUBSTRUCTURE_REDIRECT);
    conn.change_window_attributes(root, &asked)?.check()?;
    let (own, class) = (conn.generate_id()?, WindowClass::INPUT_OUTPUT);
    let aux = CreateWindowAux::new();
    conn.create_window(COPY_DEPTH_FROM_PARENT, own, root, -9, -9, 1, 1, 0, class, COPY_FROM_PARENT, &aux)?;
    let number = |name: &[u8]| anyhow::Ok(conn.intern_atom(false, name)?.reply()?.atom);
    let (check, supported) = (number(b"_NET_SUPPORTING_WM_CHECK")?, number(b"_NET_SUPPORTED")?);
    let (question, answer) = (number(b"_NET_REQUEST_FRAME_EXTENTS")?, number(b"_NET_FRAME_EXTENTS")?);
    conn.change_property32(PropMode::REPLACE, root, supported, AtomEnum::ATOM, &[question])?;
    for window in [own, root] {
        conn.change_property32(PropMode::REPLACE, window, check, AtomEnum::WINDOW, &[own])?;
    }
    conn.flush()?;
    let mut left = Vec::new();
    while left.len() < 2 {
        match conn.wait_for_event()? {
            Event::ClientMessage(message) if message.type_ == question => left.push(message.window),
            _ => {}
        }
    }
    obeys.store(true, Ordering::SeqCst);
    for window in left {
        conn.change_property32(PropMode::REPLACE, window, answer, AtomEnum::CARDINAL, &[0; 4])?;
    }
    conn.sync()?;
    Ok(())
}

#[tokio::test]
async fn a_desktop_is_ready_when_its_window_manager_does_what_it_is_asked_for() {
    let (dir, programs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (said, manager) = (programs.path().join("said"), programs.path().join("openbox"));
    assert!(std::process::Command::new("mkfifo").arg(&said).status().unwrap().success());
    std::fs::write(&manager, script(&said)).unwrap();
    std::fs::set_permissions(&manager, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut command = program(dir.path());
    command.env("PATH", format!("{}:{path}", programs.path().display()));
    let server = Server::start(command).await;
    let obeys = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&obeys);
    let managed = tokio::task::spawn_blocking(move || manage(&std::fs::read_to_string(said).unwrap(), &told));
    server.data("start_desktop", json!({})).await;
    assert!(obeys.load(Ordering::SeqCst), "it is not ready before");
    managed.await.unwrap().unwrap();
    server.leave().await;
}
