//! What is done arrives: text in programs, on keyboards of other countries, the clipboard, windows, programs.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::stage::{Stage, soon};

/// A terminal whose program hands everything that it reads to the test.
struct Terminal {
    typed: pipe::Receiver,
}

impl Terminal {
    async fn open(stage: &Stage) -> Self {
        Self::placed(stage, "Terminal", "80x24").await
    }

    async fn placed(stage: &Stage, title: &str, geometry: &str) -> Self {
        let fifo: PathBuf = stage.dir.path().join("typed");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
            .unwrap();
        let typed = pipe::OpenOptions::new().read_write(true).open_receiver(&fifo).unwrap();
        // Raw: what is typed comes as it is, without editing of lines; ready is said when nothing is echoed any more.
        let script = format!("stty raw -echo; echo ready > {0}; exec cat > {0}", fifo.display());
        stage.launch(&format!("xterm -u8 -T {title} -geometry {geometry} -e sh -c '{script}'")).await;
        let mut terminal = Self { typed };
        terminal.read("ready\n").await;
        stage.focus(title).await;
        std::fs::remove_file(fifo).unwrap();
        terminal
    }

    /// Reads what must come.
    async fn read(&mut self, text: &str) {
        let mut bytes = vec![0; text.len()];
        soon(self.typed.read_exact(&mut bytes)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), text);
    }

    /// Types something, and sees that it comes, and nothing but it.
    async fn type_text(&mut self, stage: &Stage, text: &str) {
        let typed = stage.server.text("computer", json!({"action": "type", "text": text})).await;
        assert!(typed.contains(&format!("Typed {} characters", text.chars().count())), "{typed}");
        stage.server.text("computer", json!({"action": "type", "text": "#"})).await;
        self.read(&format!("{}#", text.replace('\n', "\r"))).await;
    }
}

#[tokio::test]
async fn every_character_is_typed_once_on_every_keyboard() {
    let stage = Stage::new().await;
    let mut terminal = Terminal::open(&stage).await;
    let ascii: String = (' '..='~').chain("\n\t".chars()).collect();
    let mixed = "Grüße, ça va? Жизнь Ελληνικά 漢字仮名 한글 עברית €“”…";
    terminal.type_text(&stage, &ascii).await;
    terminal.type_text(&stage, mixed).await;
    terminal.type_text(&stage, &"abcdefghij".repeat(100)).await;
    for layout in ["de", "fr", "ru", "us,ru -option grp:alt_shift_toggle"] {
        let set = format!("setxkbmap -layout {layout}");
        let set = stage.server.data("launch_program", json!({"command": set, "wait_seconds": 20})).await;
        assert_eq!(set["status"], "ended", "{layout}: {set}");
        terminal.type_text(&stage, &ascii).await;
        terminal.type_text(&stage, mixed).await;
    }
    stage.finish().await;
}

#[tokio::test]
async fn keys_go_to_the_window_that_was_clicked_just_before() {
    let stage = Stage::new().await;
    let mut left = Terminal::placed(&stage, "Left", "60x10+10+50").await;
    let mut right = Terminal::placed(&stage, "Right", "60x10+640+50").await;
    for round in 0..40 {
        for (terminal, x) in [(&mut left, 100), (&mut right, 740)] {
            let click = json!({"action": "left_click", "coordinate": [x, 120]});
            stage.server.text("computer", click).await;
            // By text and by keys in turns.
            let (action, text) = if round % 2 == 0 { ("type", "ab") } else { ("key", "a b") };
            stage.server.text("computer", json!({"action": action, "text": text})).await;
            terminal.read("ab").await;
        }
    }
    stage.finish().await;
}

#[tokio::test]
async fn caps_lock_and_held_keys_do_what_they_do_and_not_more() {
    let stage = Stage::new().await;
    let mut terminal = Terminal::open(&stage).await;
    let key = async |text: &str| stage.server.text("computer", json!({"action": "key", "text": text})).await;
    key("Caps_Lock").await;
    terminal.type_text(&stage, "abC äÖж").await;
    key("a").await;
    terminal.read("A").await;
    key("Caps_Lock").await;
    key("a B ctrl+c ctrl+shift+x alt+Return Up plus ctrl++ F5").await;
    terminal.read("aB\x03\x18").await;
    let hold = json!({"action": "hold_key", "text": "z", "duration": 2.0});
    stage.server.text("computer", hold).await;
    key("Escape").await;
    let mut got = Vec::new();
    while !got.ends_with(b"\x1b") || !got.contains(&b'z') {
        got.push(soon(terminal.typed.read_u8()).await.unwrap());
    }
    let held = got.iter().filter(|byte| **byte == b'z').count();
    assert!((5..120).contains(&held), "a held key repeats: {held}");
    terminal.type_text(&stage, "still lower case").await;
    stage.finish().await;
}

#[tokio::test]
async fn text_that_nobody_takes_is_not_said_to_be_typed() {
    let stage = Stage::new().await;
    let problem = stage.server.problem("computer", json!({"action": "type", "text": "x"})).await;
    assert_eq!(problem["code"], "text_not_typed", "{problem}");
    for (arguments, code, field) in [
        (json!({"action": "key", "text": "NoSuchKey"}), "unknown_key", "text"),
        (json!({"action": "key", "text": "ctrl+"}), "unknown_key", "text"),
        (json!({"action": "key", "text": ""}), "invalid_argument", "text"),
        (json!({"action": "type", "text": ""}), "invalid_argument", "text"),
        (json!({"action": "type", "text": "a\u{7}"}), "invalid_argument", "text"),
        (json!({"action": "type", "text": "x".repeat(100_001)}), "too_large", "text"),
        (json!({"action": "left_click", "coordinate": [1280, 0]}), "off_screen", "coordinate"),
        (json!({"action": "left_click", "coordinate": [0, -1]}), "off_screen", "coordinate"),
        (json!({"action": "left_click", "coordinate": [5]}), "invalid_argument", "coordinate"),
        (json!({"action": "left_click", "coordinate": [5, 5], "picture": 3}), "unknown_picture", "picture"),
        (json!({"action": "mouse_move"}), "invalid_argument", "coordinate"),
        (json!({"action": "scroll", "scroll_amount": 0}), "invalid_argument", "scroll_amount"),
        (json!({"action": "scroll", "scroll_direction": "in"}), "invalid_argument", "scroll_direction"),
        (json!({"action": "hold_key", "text": "a", "duration": 61}), "invalid_argument", "duration"),
        (
            json!({"action": "left_click_drag", "coordinate": [5, 5], "start_coordinate": [9999, 1]}),
            "off_screen",
            "start_coordinate",
        ),
        (json!({"action": "dance"}), "invalid_argument", "action"),
    ] {
        let problem = stage.server.problem("computer", arguments.clone()).await;
        assert_eq!((&problem["code"], &problem["field"]), (&json!(code), &json!(field)), "{problem}");
    }
    stage.finish().await;
}

#[tokio::test]
async fn the_clipboard_goes_both_ways_also_in_pieces() {
    let stage = Stage::new().await;
    assert!(stage.server.text("get_clipboard", json!({})).await.contains("empty"));
    let large: String = (0..40_000).map(|n| format!("{n} ü漢\n")).collect();
    stage.server.text("set_clipboard", json!({"text": large})).await;
    let read = stage.server.text("get_clipboard", json!({})).await;
    assert!(
        read.starts_with("0 ü漢\n1 ü漢\n") && read.contains("clipboard.txt"),
        "{}",
        &read[read.len() - 200..]
    );
    let file = read.split(" are in ").nth(1).unwrap().trim_end_matches(']');
    assert!(std::fs::read_to_string(file).unwrap() == large, "every byte, in pieces");
    // Another program takes it and gives it, each in pieces of its own.
    let (got, given) = (stage.dir.path().join("got"), stage.dir.path().join("given"));
    std::fs::write(&given, &large).unwrap();
    let copy = format!("xclip -selection clipboard -o > {}", got.display());
    let copied = stage.server.data("launch_program", json!({"command": copy, "wait_seconds": 60})).await;
    assert_eq!(copied["status"], "ended");
    assert!(std::fs::read_to_string(&got).unwrap() == large, "to another program");
    let give = format!("xclip -selection clipboard -i {} > /dev/null 2>&1", given.display());
    assert_eq!(stage.server.data("launch_program", json!({"command": give})).await["status"], "ended");
    let back = stage.server.text("get_clipboard", json!({})).await;
    assert_eq!(back, read, "from another program");
    std::fs::remove_file(got).unwrap();
    std::fs::remove_file(given).unwrap();
    stage.finish().await;
}

#[tokio::test]
async fn windows_are_listed_moved_and_closed() {
    let stage = Stage::new().await;
    stage.launch("xterm -T one").await;
    stage.launch("xterm -T two").await;
    stage.focus("two").await;
    let list = stage.server.data("list_windows", json!({})).await;
    let titles: Vec<_> = list["windows"].as_array().unwrap().iter().map(|window| &window["title"]).collect();
    assert_eq!(titles, ["two", "one"], "topmost first");
    assert_eq!((&list["windows"][0]["active"], &list["windows"][1]["active"]), (&json!(true), &json!(false)));
    let manage = async |arguments: Value| stage.server.data("manage_window", arguments).await;
    let moved = manage(json!({"window": "one", "action": "move", "x": 31, "y": 17})).await;
    assert_eq!((&moved["status"], &moved["window"]["frame"][0]), (&json!("done"), &json!(31)));
    assert_eq!(moved["window"]["frame"][1], 17);
    let resized = manage(json!({"window": "one", "action": "resize", "width": 640, "height": 400})).await;
    let width = resized["window"]["frame"][2].as_i64().unwrap();
    assert!(resized["status"] == "done" && (608..=640).contains(&width), "{resized}");
    let maximized = manage(json!({"window": "one", "action": "maximize"})).await;
    assert_eq!(maximized["window"]["states"], json!(["maximized"]));
    manage(json!({"window": "one", "action": "restore"})).await;
    let minimized = manage(json!({"window": "two", "action": "minimize"})).await;
    assert_eq!(minimized["window"]["states"], json!(["minimized"]));
    let problem = stage.server.problem("screenshot", json!({"window": "two"})).await;
    assert_eq!(problem["code"], "invalid_argument", "{problem}");
    let focused = manage(json!({"window": "two", "action": "focus"})).await;
    assert_eq!((&focused["status"], &focused["window"]["active"]), (&json!("done"), &json!(true)));
    let number = focused["window"]["window"].clone();
    assert_eq!(manage(json!({"window": "two", "action": "close"})).await["status"], "done");
    let problem = stage.server.problem("manage_window", json!({"window": number, "action": "focus"})).await;
    assert_eq!((&problem["code"], &problem["field"]), (&json!("unknown_window"), &json!("window")));
    let several = stage.launch("xterm -T onerous").await;
    assert_eq!(several["window"]["title"], "onerous");
    let problem = stage.server.problem("manage_window", json!({"window": "on", "action": "close"})).await;
    assert_eq!(problem["code"], "not_unique", "{problem}");
    let exact = manage(json!({"window": "one", "action": "close"})).await;
    assert_eq!(exact["status"], "done", "an exact title is enough");
    stage.finish().await;
}

#[tokio::test]
async fn a_program_that_does_not_start_says_why() {
    let stage = Stage::new().await;
    for (command, code) in [
        ("no-such-program", "not_installed"),
        ("echo words >&2; exit 3", "not_started"),
        ("", "invalid_argument"),
    ] {
        let problem = stage.server.problem("launch_program", json!({"command": command})).await;
        assert_eq!(problem["code"], code, "{problem}");
    }
    let problem =
        stage.server.problem("launch_program", json!({"command": "x", "directory": "/nowhere"})).await;
    assert_eq!((&problem["code"], &problem["field"]), (&json!("not_found"), &json!("directory")));
    let told = stage.server.problem("launch_program", json!({"command": "echo words >&2; exit 3"})).await;
    assert!(told["message"].as_str().unwrap().contains("words"), "{told}");
    // Nobody reads what it writes but the server, which keeps the end only.
    let chatty = json!({"command": "yes | head -c 20000000; echo last; sleep 1000", "wait_seconds": 0});
    stage.server.data("launch_program", chatty).await;
    let running = stage.server.data("list_desktops", json!({})).await;
    let programs = running["desktops"][0]["programs"].as_array().unwrap();
    assert!(programs.iter().any(|program| program["ended"] == "exit code 3"), "{running}");
    assert!(programs.iter().any(|program| program.get("ended").is_none()), "{running}");
    stage.finish().await;
}

#[tokio::test]
async fn a_client_that_vanishes_in_the_middle_leaves_no_button_or_key_down() {
    let stage = Stage::new().await;
    let mut terminal = Terminal::open(&stage).await;
    let hold = json!({"action": "hold_key", "text": "z", "duration": 60});
    let call = stage.server.begin("computer", hold).await;
    terminal.read("z").await;
    soon(call.cancel(None)).await.unwrap();
    stage.server.text("computer", json!({"action": "key", "text": "Escape"})).await;
    while soon(terminal.typed.read_u8()).await.unwrap() != 0x1b {}
    terminal.type_text(&stage, "and nothing else").await;
    stage.finish().await;
}
