//! Waiting, reading the picture, recording and the live view.

use std::io::Cursor;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::lifetime::{name_of, processes_of};
use crate::programs::Program;
use crate::stage::{Stage, soon};

/// A terminal that shows words in large letters until it is killed.
fn terminal(stage: &Stage, words: &str) -> Program {
    let script = format!("printf '\\033[?25l{words}'; exec tail -f /dev/null");
    Program::start(
        stage,
        &["xterm", "-T", "Words", "-fa", "DejaVu Sans Mono", "-fs", "20", "-e", "sh", "-c", &script],
    )
}

async fn wait(stage: &Stage, arguments: Value) -> String {
    stage.server.text("wait_for", arguments).await
}

#[tokio::test]
async fn waits_end_with_what_happens_and_a_time_out_is_an_answer() {
    let stage = Stage::new().await;
    let start = Instant::now();
    let late = wait(&stage, json!({"until": "window", "text": "Words", "timeout_seconds": 1})).await;
    assert!(late.starts_with("timeout after 1 s: it is not there"), "{late}");
    assert!(start.elapsed() >= Duration::from_secs(1));
    let nothing = wait(&stage, json!({"until": "change", "timeout_seconds": 1})).await;
    assert!(nothing.contains("nothing has changed"), "{nothing}");
    let program = terminal(&stage, "");
    let window = wait(&stage, json!({"until": "window", "text": "words"})).await;
    assert!(window.starts_with("there: window 0x") && window.contains("\"Words\""), "{window}");
    assert!(wait(&stage, json!({"until": "still", "quiet_ms": 200})).await.starts_with("still for 200 ms"));
    let there =
        wait(&stage, json!({"until": "text", "text": "Words", "gone": true, "timeout_seconds": 1})).await;
    assert!(there.contains("it is still there"), "{there}");
    let gone = wait(&stage, json!({"until": "window", "text": "Words", "gone": true}));
    let ended = async { drop(program) };
    let (gone, ()) = tokio::join!(gone, ended);
    assert!(gone.starts_with("gone ("), "{gone}");
    for (arguments, field) in [
        (json!({"until": "window"}), "text"),
        (json!({"until": "element"}), "text"),
        (json!({"until": "forever"}), "until"),
        (json!({"until": "still", "gone": true}), "gone"),
        (json!({"until": "still", "quiet_ms": 0}), "quiet_ms"),
        (json!({"until": "still", "timeout_seconds": 0}), "timeout_seconds"),
        (json!({"until": "change", "region": [1, 2]}), "region"),
        (json!({"until": "window", "text": "Words", "region": [0, 0, 9, 9]}), "region"),
    ] {
        let problem = stage.server.problem("wait_for", arguments.clone()).await;
        assert_eq!(
            (&problem["code"], &problem["field"]),
            (&json!("invalid_argument"), &json!(field)),
            "{arguments}"
        );
    }
    stage.finish().await;
}

#[tokio::test]
async fn a_screen_that_changes_all_the_time_is_not_still_and_its_change_has_a_place() {
    let stage = Stage::new().await;
    let script = "while :; do printf '\\r%s' $RANDOM; done";
    let _busy = Program::start(&stage, &["xterm", "-T", "Busy", "-e", "bash", "-c", script]);
    wait(&stage, json!({"until": "window", "text": "Busy"})).await;
    let changed = wait(&stage, json!({"until": "change"})).await;
    assert!(changed.starts_with("changed: ["), "{changed}");
    let busy = wait(&stage, json!({"until": "still", "quiet_ms": 900, "timeout_seconds": 2})).await;
    assert!(busy.starts_with("timeout after 2 s: the screen goes on changing, last at ["), "{busy}");
    let corner = wait(&stage, json!({"until": "still", "region": [0, 0, 8, 8], "quiet_ms": 300})).await;
    assert!(corner.starts_with("still"), "nothing is painted in the corner: {corner}");
    stage.finish().await;
}

#[tokio::test]
async fn a_wait_for_the_whole_screen_goes_on_with_its_new_size() {
    let stage = Stage::sized(json!({"width": 320, "height": 240})).await;
    let words = json!({"until": "text_in_picture", "text": "hidden treasure", "timeout_seconds": 80});
    let found = stage.server.begin("wait_for", words).await;
    // By then it has looked at the small screen.
    let reads = || processes_of(stage.dir.path()).into_iter().any(|pid| name_of(pid) == "tesseract");
    soon(async {
        while !reads() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    stage.server.data("resize_desktop", json!({"width": 1280, "height": 800})).await;
    let _terminal = terminal(&stage, "Hidden treasure");
    wait(&stage, json!({"until": "window", "text": "Words", "timeout_seconds": 60})).await;
    let aside = json!({"window": "Words", "action": "move", "x": 500, "y": 300});
    assert_eq!(stage.server.data("manage_window", aside).await["status"], "done");
    let found = serde_json::to_value(soon(found.await_response()).await.unwrap()).unwrap();
    let found = found["content"][0]["text"].as_str().unwrap();
    assert!(found.starts_with("there: \"Hidden treasure\" at "), "{found}");
    stage.finish().await;
}

#[tokio::test]
async fn words_in_the_picture_are_found_with_their_place() {
    let stage = Stage::sized(json!({"width": 480, "height": 320})).await;
    let _terminal = terminal(&stage, "Hidden treasure");
    let found =
        wait(&stage, json!({"until": "text_in_picture", "text": "hidden treasure", "timeout_seconds": 60}))
            .await;
    assert!(found.starts_with("there: \"Hidden treasure\" at "), "{found}");
    let elsewhere = json!({"until": "text_in_picture", "text": "treasure", "region": [0, 200, 480, 320], "gone": true,
        "timeout_seconds": 60});
    let gone = wait(&stage, elsewhere).await;
    assert!(gone.starts_with("gone"), "it is looked for in the region only: {gone}");
    let found = stage.server.text("find_text", json!({"text": "TREASURE"})).await;
    let (x, y) = found.split(" at ").nth(1).unwrap().split(' ').next().unwrap().split_once(',').unwrap();
    let (x, y): (i64, i64) = (x.parse().unwrap(), y.parse().unwrap());
    let windows = stage.server.data("list_windows", json!({})).await;
    let frame: Vec<i64> = serde_json::from_value(windows["windows"][0]["frame"].clone()).unwrap();
    let inside = x > frame[0] && y > frame[1] && x < frame[0] + frame[2] && y < frame[1] + frame[3];
    assert!(inside, "{found} within {frame:?}");
    let none = stage.server.text("find_text", json!({"text": "zebra"})).await;
    assert_eq!(none, "OCR does not find \"zebra\" there.");
    for (arguments, code, field) in [
        (json!({"language": "../eng"}), "invalid_argument", Some("language")),
        (json!({"language": "xyz"}), "invalid_argument", Some("language")),
        (json!({"region": [5000, 0, 5010, 10]}), "off_screen", None),
    ] {
        let problem = stage.server.problem("find_text", arguments.clone()).await;
        assert_eq!(
            (&problem["code"], problem["field"].as_str()),
            (&json!(code), field),
            "{arguments}: {problem}"
        );
    }
    stage.finish().await;
}

#[tokio::test]
async fn a_recording_has_what_happened_and_is_whole_however_it_ends() {
    let stage = Stage::new().await;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let none = stage.server.problem("record", json!({"action": "stop"})).await;
    assert_eq!(none["code"], "not_found");
    stage.server.text("record", json!({"action": "start", "file": file("a.webp")})).await;
    let twice = stage.server.problem("record", json!({"action": "start", "file": file("b.webp")})).await;
    assert_eq!(twice["code"], "already_exists");
    let program = terminal(&stage, "one");
    wait(&stage, json!({"until": "window", "text": "Words"})).await;
    wait(&stage, json!({"until": "still", "quiet_ms": 300})).await;
    drop(program);
    wait(&stage, json!({"until": "window", "text": "Words", "gone": true})).await;
    let report = stage.server.text("record", json!({"action": "stop"})).await;
    assert!(report.contains("end: stopped"), "{report}");
    let bytes = std::fs::read(file("a.webp")).unwrap();
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(bytes)).unwrap();
    assert!(decoder.dimensions() == (1280, 800) && decoder.num_frames() >= 2, "{report}");
    let mut pixels = vec![0; decoder.output_buffer_size().unwrap()];
    for _ in 0..decoder.num_frames() {
        decoder.read_frame(&mut pixels).unwrap();
    }
    for (name, code) in
        [("a.webp", "already_exists"), ("a.exe", "invalid_argument"), ("none/a.webp", "not_found")]
    {
        let problem = stage.server.problem("record", json!({"action": "start", "file": file(name)})).await;
        assert_eq!((&problem["code"], &problem["field"]), (&json!(code), &json!("file")), "{name}");
    }
    for (name, at, magic) in [("b.gif", 0, &b"GIF89a"[..]), ("c.mp4", 4, b"ftyp")] {
        stage.server.text("record", json!({"action": "start", "file": file(name)})).await;
        let program = terminal(&stage, "two");
        wait(&stage, json!({"until": "window", "text": "Words"})).await;
        wait(&stage, json!({"until": "still", "quiet_ms": 300})).await;
        let report = stage.server.text("record", json!({"action": "stop"})).await;
        let bytes = std::fs::read(file(name)).unwrap();
        assert!(bytes[at..].starts_with(magic) && bytes.len() > 1000, "{name}: {report}");
        drop(program);
        wait(&stage, json!({"until": "window", "text": "Words", "gone": true})).await;
    }
    stage.finish().await;
}

/// A viewer of the live picture.
struct Viewer(BufReader<TcpStream>);

impl Viewer {
    async fn ask(url: &str, query: &str) -> (String, Self) {
        let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let mut stream = TcpStream::connect(host).await.unwrap();
        let request = format!("GET /{path}{query} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut viewer = Self(BufReader::new(stream));
        let status = viewer.line().await;
        while !viewer.line().await.is_empty() {}
        (status, viewer)
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        soon(self.0.read_line(&mut line)).await.unwrap();
        line.trim_end().to_owned()
    }

    /// The next frame.
    async fn frame(&mut self) -> Vec<u8> {
        loop {
            if let Some(length) = self.line().await.strip_prefix("Content-Length: ") {
                let mut frame = vec![0; length.parse().unwrap()];
                self.line().await;
                soon(self.0.read_exact(&mut frame)).await.unwrap();
                return frame;
            }
        }
    }
}

#[tokio::test]
async fn the_live_picture_needs_its_token_and_sends_only_what_changes() {
    let stage = Stage::sized(json!({"width": 640, "height": 480})).await;
    let live = stage.server.data("stream", json!({})).await;
    let url = live["url"].as_str().unwrap();
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/d1.mjpeg"), "{url}");
    let token = std::fs::read_to_string(live["token_file"].as_str().unwrap()).unwrap();
    let query = format!("?token={}", token.trim());
    assert!(Viewer::ask(url, "").await.0.contains("401"));
    assert!(Viewer::ask(url, "?token=00").await.0.contains("401"));
    assert!(Viewer::ask(&url.replace("d1", "d7"), &query).await.0.contains("404"));
    let other = stage.server.data("start_desktop", json!({})).await["desktop"].clone();
    let live_too = stage.server.data("stream", json!({"desktop": other})).await;
    assert!(
        Viewer::ask(live_too["url"].as_str().unwrap(), &query).await.0.contains("401"),
        "each has its own"
    );
    stage.server.data("stop_desktop", json!({"desktop": other})).await;
    let (status, mut one) = Viewer::ask(url, &query).await;
    assert!(status.contains("200"), "{status}");
    let (_, mut two) = Viewer::ask(url, &query).await;
    let (first, second) = (one.frame().await, two.frame().await);
    assert!(first.starts_with(&[0xff, 0xd8]) && first.ends_with(&[0xff, 0xd9]));
    assert!(first == second, "one capture for both");
    wait(&stage, json!({"until": "still", "quiet_ms": 300})).await;
    let more = tokio::time::timeout(Duration::from_millis(500), one.frame()).await;
    assert!(more.is_err(), "nothing is sent while the screen is still");
    let _terminal = terminal(&stage, "changed");
    assert_ne!(two.frame().await, first, "what changes is sent");
    // One who does not read takes nothing from the other.
    let script = "while :; do printf '%s ' $RANDOM; done";
    let _busy = Program::start(&stage, &["xterm", "-e", "bash", "-c", script]);
    for _ in 0..20 {
        two.frame().await;
    }
    drop(one);
    stage.finish().await;
}
