//! The game by pixels: words are read in the picture, and everything is clicked, dragged and typed at places.

use serde_json::json;

use super::{Game, LETTER, QUESTION};

/// The page's half, what is above and below in it, and where the other programs have theirs. Reading a part takes as long
/// as it is large.
const PAGE_HALF: [i32; 4] = [660, 0, 1280, 800];
const FORM: [i32; 4] = [660, 0, 1280, 400];
const BELOW: [i32; 4] = [660, 400, 1280, 800];
const BESIDE: [i32; 4] = [0, 150, 655, 650];
const MENUS: [i32; 4] = [0, 0, 655, 300];

impl Game<'_> {
    /// Plays all tasks.
    pub async fn is_won_by_pixels(mut self) {
        self.see_the_form().await;
        self.open_letters().await;
        self.drag_the_letter().await;
        self.close("Letters").await;
        self.see_the_dialog().await;
        self.look_for_the_treasure().await;
        self.see_the_menu().await;
    }

    async fn see_the_form(&mut self) {
        let [x, y] = self.seen("Surname", FORM).await;
        self.click([x + 200, y]).await;
        self.computer(json!({"action": "type", "text": "Łukasz"})).await;
        let [x, y] = self.seen("Town", FORM).await;
        self.click([x + 200, y]).await;
        self.computer(json!({"action": "type", "text": "Ulm"})).await;
        self.click(self.seen("Member", FORM).await).await;
        self.click(self.seen("Submit", FORM).await).await;
        assert_eq!(self.told().await, json!({"form": ["Łukasz", "Ulm", true]}));
    }

    async fn drag_the_letter(&mut self) {
        let (file, to) = (self.seen("parcel.txt", BESIDE).await, self.seen("Mailbox", PAGE_HALF).await);
        self.computer(json!({"action": "left_mouse_down", "coordinate": file})).await;
        // What is dragged covers the words there; the page says beneath them that it would take it.
        let beneath = [660, to[1], 1280, to[1] + 200];
        let around = [[to[0] + 260, to[1]], [to[0] + 300, to[1]]];
        for at in around.iter().cycle().take(8) {
            self.computer(json!({"action": "mouse_move", "coordinate": at})).await;
            let taken = json!({"until": "text_in_picture", "text": "Let go", "region": beneath, "timeout_seconds": 5});
            if self.server.text("wait_for", taken).await.starts_with("there: ") {
                break;
            }
        }
        // A browser answers where the pointer is with what its page said of the place before.
        for at in around {
            self.computer(json!({"action": "mouse_move", "coordinate": at})).await;
            self.still(600).await;
        }
        self.computer(json!({"action": "left_mouse_up"})).await;
        assert_eq!(self.told().await, json!({"dropped": ["parcel.txt", LETTER]}));
    }

    async fn see_the_dialog(&self) {
        self.launch(QUESTION).await;
        let ask = self.window("Ask").await;
        self.click(self.seen("Certainly", ask).await).await;
        self.window("Agreed").await;
        self.close("Agreed").await;
    }

    async fn look_for_the_treasure(&mut self) {
        let mut found = None;
        for _ in 0..40 {
            let seen = self.server.text("find_text", json!({"text": "Treasure", "region": BELOW})).await;
            found = place(&seen);
            if found.is_some() {
                break;
            }
            let scroll = json!({"action": "scroll", "coordinate": [900, 600], "scroll_amount": 10});
            self.computer(scroll).await;
            self.still(300).await;
        }
        self.click(found.expect("it is seen when it is scrolled to")).await;
        assert_eq!(self.told().await, json!({"found": true}));
    }

    async fn see_the_menu(&self) {
        self.launch("exec gtk3-demo-application").await;
        self.there("menu", "Preferences").await;
        self.place_window("Application", [5, 40]).await;
        self.click(self.seen("Help", MENUS).await).await;
        self.click(self.seen("About", MENUS).await).await;
        self.there("dialog", "About").await;
    }

    /// Where words are seen in a part of the screen, once they are.
    async fn seen(&self, words: &str, region: [i32; 4]) -> [i32; 2] {
        let wait =
            json!({"until": "text_in_picture", "text": words, "region": region, "timeout_seconds": 80});
        let found = self.server.text("wait_for", wait).await;
        place(&found).unwrap_or_else(|| panic!("{words:?} is not seen: {found}"))
    }

    async fn click(&self, at: [i32; 2]) {
        self.computer(json!({"action": "left_click", "coordinate": at})).await;
    }

    /// Waits until nothing of the page moves any more.
    async fn still(&self, quiet_ms: u32) {
        let still = json!({"until": "still", "region": PAGE_HALF, "quiet_ms": quiet_ms});
        self.server.text("wait_for", still).await;
    }
}

/// The place in an answer like `there: "words" at 12,34 …`.
fn place(answer: &str) -> Option<[i32; 2]> {
    let (x, y) = answer.split(" at ").nth(1)?.split_whitespace().next()?.split_once(',')?;
    Some([x.parse().ok()?, y.trim_end_matches([',', '.', ')']).parse().ok()?])
}
