//! The game by refs and words of what programs tell of themselves, without a coordinate.

use serde_json::{Value, json};

use super::{Game, LETTER, QUESTION};

/// The ref of the line of a snapshot that has these words.
pub fn reference(snapshot: &str, words: &str) -> String {
    let line = snapshot.lines().find(|line| line.contains(words));
    let line = line.unwrap_or_else(|| panic!("no line with {words:?} in\n{snapshot}"));
    line.split_whitespace().next().unwrap().to_owned()
}

impl Game<'_> {
    /// Plays all tasks.
    pub async fn is_won_by_refs(mut self) {
        let snapshot = self.server.text("snapshot", json!({})).await;
        let element = |words: &str| reference(&snapshot, words);
        // A form.
        let (surname, town) = (element("text field \"Surname\""), element("text field \"Town\""));
        self.act(json!({"action": "set_text", "element": surname, "value": "Łukasz"})).await;
        self.act(json!({"action": "set_text", "element": town, "value": "Ulm"})).await;
        self.act(json!({"action": "click", "element": element("checkbox \"Member\"")})).await;
        self.act(json!({"action": "click", "element": element("button \"Submit\"")})).await;
        assert_eq!(self.told().await, json!({"form": ["Łukasz", "Ulm", true]}));
        self.drag_to(&element("button \"Mailbox\"")).await;
        // A dialog.
        self.launch(QUESTION).await;
        self.there("button", "Certainly").await;
        self.act(json!({"action": "click", "text": "Certainly"})).await;
        self.window("Agreed").await;
        self.close("Agreed").await;
        // A text far below.
        let treasure = element("button \"Treasure\"");
        self.act(json!({"action": "scroll_to", "element": treasure})).await;
        self.act(json!({"action": "click", "element": treasure})).await;
        assert_eq!(self.told().await, json!({"found": true}));
        // A menu.
        self.launch("exec gtk3-demo-application").await;
        self.there("menu", "Preferences").await;
        self.act(json!({"action": "choose", "text": "Help", "value": "About"})).await;
        self.there("dialog", "About").await;
    }

    /// A file, from one program to another.
    async fn drag_to(&mut self, to: &str) {
        self.open_letters().await;
        self.there("cell", "parcel.txt").await;
        let cells = self.server.text("snapshot", json!({"only": "parcel.txt"})).await;
        let file = reference(&cells, "cell \"parcel.txt\"");
        let dragged = self.act(json!({"action": "drag", "element": file, "value": to})).await;
        assert!(dragged.contains("dropped on"), "{dragged}");
        assert_eq!(self.told().await, json!({"dropped": ["parcel.txt", LETTER]}));
        self.close("Letters").await;
    }

    async fn act(&self, arguments: Value) -> String {
        self.server.text("act_on", arguments).await
    }
}
