//! A game of tasks in real programs, played twice: by pixels only, as somebody who sees the screen and has a mouse and
//! keys, and by refs and words of what programs tell of themselves: a form, a file from one program to another, a dialog, a
//! text far below, and a menu. What came of it is asked of the programs. Wherever the desktop is, its page comes from the
//! test.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of a test may panic as the test may"
)]

mod pixels;
mod refs;

use std::path::Path;

use serde_json::{Value, json};

use crate::mcp::McpServer;
use crate::page::Page;

pub use refs::reference;

/// Flags of a browser that the game is played in: half the screen without a frame of its own.
pub const FLAGS: &str = "--force-renderer-accessibility --window-position=660,0 --window-size=620,800";

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
/// What is in the file that is carried to the page.
const LETTER: &str = "for you";
/// Files of a directory, as GTK shows them in its dialog.
const LETTERS: &str = "exec zenity --file-selection --title=Letters --filename=\"$PWD/letters/\"";
/// A dialog, and a window that tells what was answered.
const QUESTION: &str = "zenity --question --title=Ask --text='Go on?' --ok-label=Certainly && answer=Agreed || answer=Refused; \
    exec zenity --info --title=\"$answer\" --text=Noted";

/// A desktop with the page in its right half, and files to drag in its left.
pub struct Game<'a> {
    server: &'a McpServer,
    directory: &'a str,
    page: Page,
}

impl<'a> Game<'a> {
    /// Begins in the newest desktop. `browser` is a command that shows an address, with [`FLAGS`]; programs begin in
    /// `directory`, which the test sees as `files`.
    pub async fn begin(server: &'a McpServer, browser: &str, directory: &'a str, files: &Path) -> Self {
        let letters = files.join("letters");
        std::fs::create_dir_all(&letters).unwrap();
        std::fs::write(letters.join("parcel.txt"), LETTER).unwrap();
        let game = Self { server, directory, page: Page::serve(PAGE).await };
        game.launch(&format!("{browser} {FLAGS} --app={}", game.page.url())).await;
        game.there("button", "Submit").await;
        game
    }

    async fn launch(&self, command: &str) {
        let launch = json!({"command": command, "directory": self.directory, "wait_seconds": 80});
        let launched = self.server.data("launch_program", launch).await;
        assert_eq!(launched["status"], "window", "{command}: {launched}");
    }

    /// Files to choose from, beside the page.
    async fn open_letters(&self) {
        self.launch(LETTERS).await;
        self.window("Letters").await;
        let resize = json!({"window": "Letters", "action": "resize", "width": 640, "height": 500});
        self.server.data("manage_window", resize).await;
        self.place_window("Letters", [5, 150]).await;
    }

    async fn place_window(&self, title: &str, [x, y]: [i32; 2]) {
        let place = json!({"window": title, "action": "move", "x": x, "y": y});
        self.server.data("manage_window", place).await;
    }

    async fn close(&self, title: &str) {
        let closed = self.server.data("manage_window", json!({"window": title, "action": "close"})).await;
        assert_eq!(closed, json!({"status": "done"}), "{title} is gone");
    }

    async fn there(&self, role: &str, text: &str) {
        let wait = json!({"until": "element", "role": role, "text": text, "timeout_seconds": 80});
        let found = self.server.text("wait_for", wait).await;
        assert!(found.starts_with("there: "), "{role} {text:?}: {found}");
    }

    /// The place of a window, once it is there.
    async fn window(&self, title: &str) -> [i32; 4] {
        let wait = json!({"until": "window", "text": title, "timeout_seconds": 80});
        let found = self.server.text("wait_for", wait).await;
        assert!(found.starts_with("there: "), "{title:?}: {found}");
        let all = self.server.data("list_windows", json!({})).await;
        let mut all = all["windows"].as_array().unwrap().iter();
        let frame = &all.find(|window| window["title"] == title).unwrap()["frame"];
        let [x, y, width, height]: [i32; 4] = serde_json::from_value(frame.clone()).unwrap();
        [x, y, x + width, y + height]
    }

    /// What the page tells next.
    async fn told(&mut self) -> Value {
        self.page.next().await
    }

    async fn computer(&self, arguments: Value) {
        self.server.text("computer", arguments).await;
    }
}
