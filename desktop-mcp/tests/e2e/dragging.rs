//! One-shot drags: between programs that are slow, where nothing is let go before they have come that far, and within one.

use std::pin::pin;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sandboxed_testkit::page::Page;
use serde_json::{Value, json};

use crate::browser::FLAGS;
use crate::lifetime::{name_of, processes_of};
use crate::programs::Program;
use crate::stage::Stage;

/// What does not wait for programs would have let go by then, and what does goes on waiting.
const HASTY: Duration = Duration::from_millis(1500);
/// A line of what is dragged.
const LINE: &str = "something to be dragged along";

/// Two texts beside each other, the left one selected.
struct Texts {
    stage: Stage,
    from: Program,
    to: Program,
}

impl Texts {
    async fn open() -> Self {
        let stage = Stage::new().await;
        let files = tempfile::tempdir().unwrap();
        let full = files.path().join("full");
        std::fs::write(&full, format!("{LINE}\n").repeat(40)).unwrap();
        let text = |title: &str, more: &str| {
            let title = format!("--title={title}");
            Program::start(&stage, &["zenity", "--text-info", "--editable", &title, "--ok-label=Keep", more])
        };
        let filename = format!("--filename={}", full.display());
        let (from, to) = (text("Full", &filename), text("Empty", "--width=300"));
        for (title, x) in [("Empty", 650), ("Full", 10)] {
            let there = json!({"until": "window", "text": title, "timeout_seconds": 80});
            stage.server.text("wait_for", there).await;
            let manage = async |arguments: Value| {
                let managed = stage.server.data("manage_window", arguments).await;
                assert_eq!(managed["status"], "done", "{managed}");
            };
            manage(json!({"window": title, "action": "resize", "width": 600, "height": 500})).await;
            manage(json!({"window": title, "action": "move", "x": x, "y": 50})).await;
            let shown = json!({"until": "element", "role": "text area", "timeout_seconds": 80});
            stage.server.text("wait_for", shown).await;
        }
        stage.focus("Full").await;
        // Elsewhere than the drag begins: a press so soon at the same place would be the second of a double click.
        stage.server.text("computer", json!({"action": "left_click", "coordinate": [300, 400]})).await;
        stage.server.text("computer", json!({"action": "key", "text": "ctrl+a"})).await;
        Self { stage, from, to }
    }

    /// Drags the text over; while it does, `slow` answers nothing for a while.
    async fn drag_while_stopped(self, slow: impl Fn(&Self) -> Pid) {
        let slow = slow(&self);
        kill_process(slow, Signal::STOP).unwrap();
        let place =
            json!({"action": "left_click_drag", "start_coordinate": [100, 150], "coordinate": [950, 300]});
        let said = {
            let mut drag = pin!(self.stage.server.text("computer", place));
            let early = tokio::time::timeout(HASTY, drag.as_mut()).await;
            assert!(early.is_err(), "it is let go while a program is busy: {early:?}");
            kill_process(slow, Signal::CONT).unwrap();
            drag.await
        };
        assert!(said.contains("has taken it"), "{said}");
        drop(self.from);
        let gone = json!({"until": "window", "text": "Full", "gone": true, "timeout_seconds": 80});
        self.stage.server.text("wait_for", gone).await;
        self.stage.server.text("act_on", json!({"action": "click", "text": "Keep"})).await;
        assert_eq!(self.to.output().await.matches(LINE).count(), 40);
        self.stage.finish().await;
    }
}

#[tokio::test]
async fn what_is_dragged_is_held_until_a_slow_target_would_take_it() {
    Texts::open().await.drag_while_stopped(|texts| pid(&texts.to)).await;
}

#[tokio::test]
async fn a_drag_goes_on_when_a_slow_source_has_taken_the_press_in() {
    Texts::open().await.drag_while_stopped(|texts| pid(&texts.from)).await;
}

#[tokio::test]
async fn a_drag_goes_on_when_a_slow_window_manager_has_let_the_press_through() {
    let manager = |texts: &Texts| {
        let mut all = processes_of(texts.stage.dir.path()).into_iter();
        all.find(|pid| name_of(*pid) == "openbox").unwrap()
    };
    Texts::open().await.drag_while_stopped(manager).await;
}

fn pid(program: &Program) -> Pid {
    Pid::from_raw(program.0.id().unwrap().cast_signed()).unwrap()
}

/// A thing and a place for it, which thinks about the first offers. It says so when it is ready.
const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>page</title>
<style>div { position: fixed; top: 100px; width: 200px; height: 200px; background: silver }</style>
<div draggable=true>thing</div><div id=place style="left: 600px">place</div>
<script>
const tell = what => fetch('/event', { method: 'POST', body: JSON.stringify([what]) });
document.querySelector('div').ondragstart = e => e.dataTransfer.setData('text/plain', 'a thing');
let offers = 0;
place.ondragover = e => { if (++offers > 2) e.preventDefault(); };
place.ondrop = e => { e.preventDefault(); tell(['dropped', e.dataTransfer.getData('text/plain')]); };
addEventListener('dragend', e => tell(['end', e.dataTransfer.dropEffect]));
const shown = new Promise(done => new PerformanceObserver(list => list.getEntriesByName('first-contentful-paint').length && done())
  .observe({ type: 'paint', buffered: true }));
const painted = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
async function ready() { await shown; await painted(); if (document.hasFocus() && innerHeight == screen.height) tell(['ready']); else setTimeout(ready, 20); }
addEventListener('load', ready);
</script>"#;

#[tokio::test]
async fn what_is_dragged_within_a_page_is_held_until_its_place_takes_it() {
    let (mut page, stage) = (Page::serve(PAGE).await, Stage::new().await);
    let profile = tempfile::tempdir().unwrap();
    let profile = profile.path().display();
    stage.launch(&format!("exec chromium {FLAGS} --kiosk --user-data-dir={profile} {}", page.url())).await;
    page.ready(&stage.server).await;
    let drag = json!({"action": "left_click_drag", "start_coordinate": [100, 200], "coordinate": [700, 200]});
    stage.server.text("computer", drag).await;
    assert_eq!(page.next().await, json!(["dropped", "a thing"]));
    stage.finish().await;
}
