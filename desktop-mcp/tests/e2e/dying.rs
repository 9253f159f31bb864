//! Clients that vanish and X servers that die in the middle of what takes time.

use std::io::Cursor;
use std::path::Path;
use std::process::Stdio;

use rmcp::ServiceExt;
use rmcp::model::{CallToolRequest, ClientRequest};
use rmcp::service::PeerRequestOptions;
use rustix::process::{Signal, kill_process};
use sandboxed_testkit::mcp::call;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::lifetime::{gone, name_of, processes_of};
use crate::stage::{Stage, Traces, program, soon};

/// Frames of a whole animation.
fn frames(file: &Path) -> u32 {
    let bytes = std::fs::read(file).unwrap();
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(bytes)).unwrap();
    let mut pixels = vec![0; decoder.output_buffer_size().unwrap()];
    for _ in 0..decoder.num_frames() {
        decoder.read_frame(&mut pixels).unwrap();
    }
    decoder.num_frames()
}

/// What is seen has been recorded: a picture is taken ten times a second, and nothing changes for much longer.
fn recorded() -> Value {
    json!({"until": "still", "quiet_ms": 2000, "timeout_seconds": 60})
}

fn request(tool: &str, arguments: &Value) -> ClientRequest {
    ClientRequest::CallToolRequest(CallToolRequest::new(call(tool, arguments)))
}

/// Its pipes close as those of a killed client do, while it records, waits and holds a key.
#[tokio::test]
async fn a_client_that_vanishes_in_the_middle_leaves_a_whole_recording_and_nothing_else() {
    let (dir, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = files.path().join("seen.webp");
    let mut server = program(dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let pipes = (server.stdout.take().unwrap(), server.stdin.take().unwrap());
    let client = soon(().serve(pipes)).await.unwrap();
    let ask = async |tool: &str, arguments: Value| {
        let handle =
            client.send_cancellable_request(request(tool, &arguments), PeerRequestOptions::no_options());
        let answer = soon(soon(handle).await.unwrap().await_response()).await.unwrap();
        serde_json::to_value(answer).unwrap()
    };
    let started = ask("start_desktop", json!({"width": 320, "height": 240})).await;
    let traces = Traces::of(&started["structuredContent"]);
    let recording = ask("record", json!({"action": "start", "file": file})).await;
    assert_ne!(recording["isError"], true, "{recording}");
    let command = json!({"command": "exec xterm -geometry 20x5+0+0", "wait_seconds": 60});
    ask("launch_program", command).await;
    ask("wait_for", recorded()).await;
    for (tool, arguments) in [
        ("wait_for", json!({"until": "window", "text": "never", "timeout_seconds": 300})),
        ("computer", json!({"action": "hold_key", "text": "shift", "duration": 50})),
    ] {
        let sent =
            client.send_cancellable_request(request(tool, &arguments), PeerRequestOptions::no_options());
        drop(soon(sent).await.unwrap());
    }
    let processes = processes_of(dir.path());
    assert!(processes.iter().any(|pid| name_of(*pid) == "xterm"), "{processes:?}");
    drop(client);
    soon(server.wait()).await.unwrap();
    gone(processes).await;
    traces.assert_gone();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
    assert!(frames(&file) >= 2, "the recording is whole, and the terminal is in it");
}

#[tokio::test]
async fn whatever_waits_when_the_x_server_dies_is_told_and_so_is_whoever_asks_later() {
    let mut stage = Stage::new().await;
    let files = TempDir::new().unwrap();
    let file = files.path().join("seen.webp");
    stage.server.text("record", json!({"action": "start", "file": file})).await;
    stage.launch("exec xterm -geometry 20x5+0+0").await;
    stage.server.text("wait_for", recorded()).await;
    // By name: whether it begins before the end or after, that is told.
    let mut waiting = Vec::new();
    for arguments in [
        json!({"desktop": "d1", "until": "still", "quiet_ms": 60_000, "timeout_seconds": 300}),
        json!({"desktop": "d1", "until": "change", "region": [900, 700, 910, 710], "timeout_seconds": 300}),
        json!({"desktop": "d1", "until": "window", "text": "never", "timeout_seconds": 300}),
        json!({"desktop": "d1", "until": "element", "text": "never", "timeout_seconds": 300}),
        json!({"desktop": "d1", "until": "text_in_picture", "text": "never", "timeout_seconds": 300}),
    ] {
        waiting.push((arguments.clone(), stage.server.begin("wait_for", arguments).await));
    }
    let server = processes_of(stage.dir.path()).into_iter().find(|pid| name_of(*pid) == "Xvfb").unwrap();
    kill_process(server, Signal::KILL).unwrap();
    for (arguments, handle) in waiting {
        let answer = serde_json::to_value(soon(handle.await_response()).await.unwrap()).unwrap();
        let text = answer["content"][0]["text"].as_str().unwrap();
        assert!(answer["isError"] == true && text.contains("desktop_ended"), "{arguments}: {answer}");
    }
    for (tool, arguments) in [
        ("snapshot", json!({})),
        ("act_on", json!({"action": "click", "text": "OK"})),
        ("find_text", json!({"text": "any"})),
        ("wait_for", json!({"until": "still"})),
        ("record", json!({"action": "start", "file": files.path().join("other.webp")})),
        ("record", json!({"action": "stop"})),
        ("computer", json!({"action": "type", "text": "x"})),
        ("set_clipboard", json!({"text": "x"})),
        ("get_clipboard", json!({})),
        ("launch_program", json!({"command": "true"})),
        ("manage_window", json!({"window": "x", "action": "focus"})),
        ("resize_desktop", json!({"width": 640, "height": 480})),
        ("stream", json!({})),
    ] {
        let mut arguments = arguments;
        arguments["desktop"] = json!("d1");
        let problem = stage.server.problem(tool, arguments).await;
        assert_eq!(problem["code"], "desktop_ended", "{tool}: {problem}");
    }
    stage.desktop = stage.server.data("start_desktop", json!({})).await;
    stage.finish().await;
    assert!(frames(&file) >= 2, "what was recorded until then is whole");
}

#[tokio::test]
async fn a_client_that_vanishes_while_a_desktop_starts_leaves_nothing() {
    for step in ["Xauthority", "Xvfb.log", "openbox.log", "run/bus"] {
        let dir = TempDir::new().unwrap();
        let mut server = program(dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let pipes = (server.stdout.take().unwrap(), server.stdin.take().unwrap());
        let client = soon(().serve(pipes)).await.unwrap();
        let start = request("start_desktop", &json!({}));
        let sent = client.send_cancellable_request(start, PeerRequestOptions::no_options());
        drop(soon(sent).await.unwrap());
        let reached = || {
            let mut found = std::fs::read_dir(dir.path()).unwrap().flatten();
            found.any(|desktop| desktop.path().join(step).exists())
        };
        soon(async {
            while !reached() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        drop(client);
        soon(server.wait()).await.unwrap();
        gone(processes_of(dir.path())).await;
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
    }
}
