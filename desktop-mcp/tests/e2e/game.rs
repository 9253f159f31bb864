//! A game of tasks in real programs, played twice: by pixels only, as somebody who sees the screen and has a mouse and
//! keys, and by refs and words of what programs tell of themselves. What came of it is asked of the programs.

use std::path::PathBuf;

use sandboxed_testkit::page::Page;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::browser::FLAGS;
use crate::programs::{Program, reference};
use crate::stage::{Stage, soon};

/// A form, a place to drop files on, and a button far below.
const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>Game</title>
<style>body { font: 22px 'DejaVu Sans'; margin: 20px } input, select, button { font: inherit; width: 300px }
#drop { border: 3px dashed gray; padding: 60px 20px; margin: 20px 0 } p { margin: 14px 0 }</style>
<form onsubmit="tell({form: [n.value, t.value, m.checked]}); return false">
<p><label>Surname <input id=n></label><p><label>Town <input id=t></label>
<p><label><input id=m type=checkbox style="width: 22px"> Member</label><p><button>Submit</button></form>
<div id=drop role=button aria-label="Mailbox">Mailbox</div>
<div id=lines></div><button onclick="tell({found: true})">Treasure</button><p>The end.
<script>
const tell = what => fetch('/event', { method: 'POST', body: JSON.stringify([what]) });
for (let n = 1; n <= 60; n++) lines.insertAdjacentHTML('beforeend', `<p>Row number ${n}`);
drop.ondragover = e => { e.preventDefault(); lines.firstElementChild.textContent = 'Let go here'; drop.ariaLabel = 'Ready'; };
drop.ondrop = async e => { e.preventDefault(); const file = e.dataTransfer.files[0];
  tell({dropped: [file.name, await file.text()]}); };
</script>"#;

/// A desktop with the page in its right half, and files to drag in its left.
struct Game {
    stage: Stage,
    files: TempDir,
    page: Page,
}

impl Game {
    async fn begin() -> Self {
        let page = Page::serve(PAGE).await;
        let files = TempDir::new().unwrap();
        std::fs::create_dir(files.path().join("letters")).unwrap();
        std::fs::write(files.path().join("letters/parcel.txt"), "for you").unwrap();
        let stage = Stage::new().await;
        let profile = files.path().join("profile");
        let command = format!(
            "exec chromium {FLAGS} --test-type --disable-dev-shm-usage --force-renderer-accessibility --window-position=660,0 --window-size=620,800 \
             --user-data-dir={} --app={}",
            profile.display(),
            page.url()
        );
        stage.launch(&command).await;
        let game = Self { stage, files, page };
        game.there("button", "Submit").await;
        game
    }

    fn letters(&self) -> PathBuf {
        self.files.path().join("letters")
    }

    /// Files of a directory, as GTK shows them in its dialog.
    async fn chooser(&self) -> Program {
        let start = format!("--filename={}/", self.letters().display());
        let program = Program::start(&self.stage, &["zenity", "--file-selection", "--title=Letters", &start]);
        self.stage
            .server
            .text("wait_for", json!({"until": "window", "text": "Letters", "timeout_seconds": 80}))
            .await;
        let window = json!({"window": "Letters", "action": "resize", "width": 640, "height": 500});
        self.stage.server.data("manage_window", window).await;
        let window = json!({"window": "Letters", "action": "move", "x": 5, "y": 150});
        self.stage.server.data("manage_window", window).await;
        program
    }

    async fn there(&self, role: &str, text: &str) {
        let wait = json!({"until": "element", "role": role, "text": text, "timeout_seconds": 80});
        let found = self.stage.server.text("wait_for", wait).await;
        assert!(found.starts_with("there: "), "{role} {text:?}: {found}");
    }

    /// What the page tells next.
    async fn told(&mut self) -> Value {
        self.page.next().await
    }

    async fn computer(&self, arguments: Value) {
        self.stage.server.text("computer", arguments).await;
    }

    async fn act(&self, arguments: Value) -> String {
        self.stage.server.text("act_on", arguments).await
    }

    /// Where words are seen in a part of the screen, once they are.
    async fn seen(&self, words: &str, region: [i32; 4]) -> [i32; 2] {
        let wait =
            json!({"until": "text_in_picture", "text": words, "region": region, "timeout_seconds": 80});
        let found = self.stage.server.text("wait_for", wait).await;
        place(&found).unwrap_or_else(|| panic!("{words:?} is not seen: {found}"))
    }

    /// The place of a window, once it is there.
    async fn window(&self, title: &str) -> [i32; 4] {
        let wait = json!({"until": "window", "text": title, "timeout_seconds": 80});
        self.stage.server.text("wait_for", wait).await;
        let all = self.stage.server.data("list_windows", json!({})).await;
        let mut all = all["windows"].as_array().unwrap().iter();
        let frame = &all.find(|window| window["title"] == title).unwrap()["frame"];
        let [x, y, width, height]: [i32; 4] = serde_json::from_value(frame.clone()).unwrap();
        [x, y, x + width, y + height]
    }

    async fn click(&self, at: [i32; 2]) {
        self.computer(json!({"action": "left_click", "coordinate": at})).await;
    }

    async fn end(self) {
        self.stage.finish().await;
    }
}

/// The place in an answer like `there: "words" at 12,34 …`.
fn place(answer: &str) -> Option<[i32; 2]> {
    let (x, y) = answer.split(" at ").nth(1)?.split_whitespace().next()?.split_once(',')?;
    Some([x.parse().ok()?, y.trim_end_matches([',', '.', ')']).parse().ok()?])
}

/// The page's half, what is above and below in it, and where the other programs have theirs. Reading a part takes as long as it is large.
const PAGE_HALF: [i32; 4] = [660, 0, 1280, 800];
const FORM: [i32; 4] = [660, 0, 1280, 400];
const BELOW: [i32; 4] = [660, 400, 1280, 800];
const BESIDE: [i32; 4] = [0, 150, 655, 650];
const MENUS: [i32; 4] = [0, 0, 655, 300];

#[tokio::test]
async fn the_game_is_won_by_pixels_only() {
    let mut game = Game::begin().await;
    // A form.
    let [x, y] = game.seen("Surname", FORM).await;
    game.click([x + 200, y]).await;
    game.computer(json!({"action": "type", "text": "Łukasz"})).await;
    let [x, y] = game.seen("Town", FORM).await;
    game.click([x + 200, y]).await;
    game.computer(json!({"action": "type", "text": "Ulm"})).await;
    game.click(game.seen("Member", FORM).await).await;
    game.click(game.seen("Submit", FORM).await).await;
    assert_eq!(game.told().await, json!({"form": ["Łukasz", "Ulm", true]}));
    // A file, from one program to another.
    let chooser = game.chooser().await;
    let (file, to) = (game.seen("parcel.txt", BESIDE).await, game.seen("Mailbox", PAGE_HALF).await);
    game.computer(json!({"action": "left_mouse_down", "coordinate": file})).await;
    // What is dragged covers the words there; the page says beneath them that it would take it.
    let beneath = [660, to[1], 1280, to[1] + 200];
    let around = [[to[0] + 260, to[1]], [to[0] + 300, to[1]]];
    for at in around.iter().cycle().take(8) {
        game.computer(json!({"action": "mouse_move", "coordinate": at})).await;
        let taken =
            json!({"until": "text_in_picture", "text": "Let go", "region": beneath, "timeout_seconds": 5});
        if game.stage.server.text("wait_for", taken).await.starts_with("there: ") {
            break;
        }
    }
    // A browser answers where the pointer is with what its page said of the place before.
    for at in around {
        game.computer(json!({"action": "mouse_move", "coordinate": at})).await;
        let still = json!({"until": "still", "region": PAGE_HALF, "quiet_ms": 600});
        game.stage.server.text("wait_for", still).await;
    }
    game.computer(json!({"action": "left_mouse_up"})).await;
    assert_eq!(game.told().await, json!({"dropped": ["parcel.txt", "for you"]}));
    drop(chooser);
    // A dialog.
    let question = Program::start(
        &game.stage,
        &["zenity", "--question", "--title=Ask", "--text=Go on?", "--ok-label=Certainly"],
    );
    let ask = game.window("Ask").await;
    game.click(game.seen("Certainly", ask).await).await;
    assert!(soon(question.status()).await.success());
    // A text far below.
    let mut found = None;
    for _ in 0..40 {
        let seen = game.stage.server.text("find_text", json!({"text": "Treasure", "region": BELOW})).await;
        found = place(&seen);
        if found.is_some() {
            break;
        }
        game.computer(json!({"action": "scroll", "coordinate": [900, 600], "scroll_direction": "down", "scroll_amount": 10}))
            .await;
        let still = json!({"until": "still", "region": PAGE_HALF, "quiet_ms": 300});
        game.stage.server.text("wait_for", still).await;
    }
    game.click(found.expect("it is seen when it is scrolled to")).await;
    assert_eq!(game.told().await, json!({"found": true}));
    // A menu.
    let _demo = Program::start(&game.stage, &["gtk3-demo-application"]);
    game.there("menu", "Preferences").await;
    let window = json!({"window": "Application", "action": "move", "x": 5, "y": 40});
    game.stage.server.data("manage_window", window).await;
    game.click(game.seen("Help", MENUS).await).await;
    game.click(game.seen("About", MENUS).await).await;
    game.there("dialog", "About").await;
    game.end().await;
}

#[tokio::test]
async fn the_game_is_won_by_refs() {
    let mut game = Game::begin().await;
    let snapshot = game.stage.server.text("snapshot", json!({})).await;
    let element = |words: &str| reference(&snapshot, words);
    // A form.
    game.act(json!({"action": "set_text", "element": element("text field \"Surname\""), "value": "Łukasz"}))
        .await;
    game.act(json!({"action": "set_text", "element": element("text field \"Town\""), "value": "Ulm"})).await;
    game.act(json!({"action": "click", "element": element("checkbox \"Member\"")})).await;
    game.act(json!({"action": "click", "element": element("button \"Submit\"")})).await;
    assert_eq!(game.told().await, json!({"form": ["Łukasz", "Ulm", true]}));
    // A file, from one program to another.
    let chooser = game.chooser().await;
    game.there("cell", "parcel.txt").await;
    let cells = game.stage.server.text("snapshot", json!({"only": "parcel.txt"})).await;
    let (file, to) = (reference(&cells, "cell \"parcel.txt\""), element("button \"Mailbox\""));
    let dragged = game.act(json!({"action": "drag", "element": file, "value": to})).await;
    assert!(dragged.contains("dropped on"), "{dragged}");
    assert_eq!(game.told().await, json!({"dropped": ["parcel.txt", "for you"]}));
    drop(chooser);
    // A dialog.
    let question = Program::start(
        &game.stage,
        &["zenity", "--question", "--title=Ask", "--text=Go on?", "--ok-label=Certainly"],
    );
    game.there("button", "Certainly").await;
    game.act(json!({"action": "click", "text": "Certainly"})).await;
    assert!(soon(question.status()).await.success());
    // A text far below.
    let treasure = element("button \"Treasure\"");
    game.act(json!({"action": "scroll_to", "element": treasure})).await;
    game.act(json!({"action": "click", "element": treasure})).await;
    assert_eq!(game.told().await, json!({"found": true}));
    // A menu.
    let _demo = Program::start(&game.stage, &["gtk3-demo-application"]);
    game.there("menu", "Preferences").await;
    game.act(json!({"action": "choose", "text": "Help", "value": "About"})).await;
    game.there("dialog", "About").await;
    game.end().await;
}
