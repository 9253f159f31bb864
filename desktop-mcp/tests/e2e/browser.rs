//! A browser with a page that tells everything that it gets: what was asked for and what arrived are compared.

use std::net::SocketAddr;
use std::time::Duration;

use axum::{Router, extract::State, response::Html, routing::get, routing::post};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::stage::Stage;

/// Tells events in their order, one request at a time.
const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>page</title>
<style>html, body { margin: 0; height: 100%; overflow: hidden } textarea { position: fixed; left: 40px; top: 40px; width: 600px; height: 300px }</style>
<body>Everything is told.<script>
let queue = [], busy = false;
async function drain() {
  if (busy) return;
  busy = true;
  while (queue.length) await fetch('/event', { method: 'POST', body: JSON.stringify(queue.splice(0)) });
  busy = false;
}
function tell(event) { if (event[0] == 'input' && queue.length && queue.at(-1)[0] == 'input') queue.pop(); queue.push(event); drain(); }
const held = e => [e.ctrlKey && 'ctrl', e.shiftKey && 'shift', e.altKey && 'alt'].filter(x => x).join('+');
for (const kind of ['mousedown', 'mouseup', 'dblclick'])
  addEventListener(kind, e => { if (e.target.tagName != 'TEXTAREA') e.preventDefault();
    tell([kind, e.button, e.screenX, e.screenY, held(e), e.detail]); }, true);
for (const kind of ['contextmenu', 'auxclick', 'dragstart']) addEventListener(kind, e => e.preventDefault(), true);
addEventListener('wheel', e => { e.preventDefault(); tell(['wheel', e.deltaX, e.deltaY, held(e)]); }, { passive: false });
for (const kind of ['keydown', 'keyup'])
  addEventListener(kind, e => { if (e.target.tagName == 'TEXTAREA') return;
    e.preventDefault(); tell([kind, e.key, held(e)]); }, true);
addEventListener('input', e => tell(['input', e.target.value]), true);
// Before something was painted the browser passes nothing on.
const painted = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
async function ready() { await painted(); if (document.hasFocus() && innerHeight == screen.height) tell(['ready']); else setTimeout(ready, 20); }
addEventListener('load', ready);
if (location.hash == '#text') { document.body.append(document.createElement('textarea')); document.querySelector('textarea').focus(); }
</script>"#;

/// What a browser needs here, and what would disturb.
pub const FLAGS: &str = "--no-sandbox --disable-gpu --no-first-run --no-default-browser-check \
    --disable-background-networking --disable-component-update --disable-sync --password-store=basic \
    --disable-features=Translate,OverscrollHistoryNavigation";

/// A browser that shows the page over the whole screen.
struct Browser {
    stage: Stage,
    events: mpsc::UnboundedReceiver<Value>,
}

impl Browser {
    async fn open(fragment: &str) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let address = serve(PAGE, sender).await;
        let stage = Stage::new().await;
        let profile = stage.dir.path().join("profile");
        let command = format!(
            "exec chromium {FLAGS} --kiosk --user-data-dir={} http://{address}/{fragment}",
            profile.display()
        );
        stage.launch(&command).await;
        let mut browser = Self { stage, events };
        // The window grows to the whole screen after it has come.
        loop {
            let ready = browser.next().await;
            if ready[0] == "ready" {
                break;
            }
        }
        browser
    }

    async fn next(&mut self) -> Value {
        self.next_of("the page").await
    }

    /// What the page tells next of something.
    async fn next_of(&mut self, about: impl std::fmt::Display) -> Value {
        let next = tokio::time::timeout(Duration::from_secs(60), self.events.recv()).await;
        next.unwrap_or_else(|_| panic!("nothing (more) came of {about}")).expect("the page tells")
    }

    async fn act(&self, arguments: Value) {
        self.stage.server.text("computer", arguments).await;
    }

    /// What must come, in this order.
    async fn expect(&mut self, about: &Value, expected: &[Value]) {
        for event in expected {
            let mut got = self.next_of(format!("{about}, {event} was expected")).await;
            // How often it was clicked is told apart where it matters.
            if got[0] == "mousedown" || got[0] == "mouseup" {
                got.as_array_mut().unwrap().pop();
            }
            assert_eq!(&got, event, "{about} of {expected:?}");
        }
    }

    async fn close(self) {
        let Self { stage, events } = self;
        let profile = stage.dir.path().join("profile");
        stage.server.data("stop_desktop", json!({"desktop": stage.desktop["desktop"]})).await;
        std::fs::remove_dir_all(profile).unwrap();
        drop(events);
        stage.server.leave().await;
        assert_eq!(std::fs::read_dir(stage.dir.path()).unwrap().count(), 0, "nothing is left");
    }
}

/// Serves a page that tells of itself, and hands on what it tells.
pub async fn serve(page: &'static str, sender: mpsc::UnboundedSender<Value>) -> SocketAddr {
    async fn event(State(sender): State<mpsc::UnboundedSender<Value>>, body: String) {
        for event in serde_json::from_str::<Vec<Value>>(&body).unwrap() {
            let _ = sender.send(event);
        }
    }
    let app = Router::new()
        .route("/", get(move || async move { Html(page) }))
        .route("/event", post(event))
        .with_state(sender);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.roll(all.len() as u64)).unwrap()]
    }
}

/// A random action, and what the page must get of it.
fn action(dice: &mut Dice, wheel: f64) -> (Value, Vec<Value>) {
    let (x, y) = (dice.roll(1280), dice.roll(800));
    let held = dice.of(&["", "", "ctrl", "shift", "ctrl+shift"]);
    let around = |events: Vec<Value>| -> Vec<Value> {
        let name = |key: &str| if key == "ctrl" { "Control" } else { "Shift" };
        let keys: Vec<&str> = held.split('+').filter(|key| !key.is_empty()).collect();
        let down = (0..keys.len()).map(|n| json!(["keydown", name(keys[n]), keys[..=n].join("+")]));
        let up = (0..keys.len()).rev().map(|n| json!(["keyup", name(keys[n]), keys[..n].join("+")]));
        let (down, up): (Vec<_>, Vec<_>) = (down.collect(), up.collect());
        down.into_iter().chain(events).chain(up).collect()
    };
    let mouse = |kind: &str, button: u8, x: u64, y: u64| json!([kind, button, x, y, held]);
    match dice.roll(10) {
        0..=3 => {
            let (action, button) = dice.of(&[
                ("left_click", 0),
                ("left_click", 0),
                ("middle_click", 1),
                ("right_click", 2),
                ("back_click", 3),
                ("forward_click", 4),
            ]);
            let events = vec![mouse("mousedown", button, x, y), mouse("mouseup", button, x, y)];
            (json!({"action": action, "coordinate": [x, y], "text": held}), around(events))
        }
        4 => {
            let one = [mouse("mousedown", 0, x, y), mouse("mouseup", 0, x, y)];
            let twice = json!(["dblclick", 0, x, y, held, 2]);
            let events = one.iter().chain(&one).cloned().chain([twice]).collect();
            (json!({"action": "double_click", "coordinate": [x, y], "text": held}), around(events))
        }
        5 => {
            let (left, top) = (dice.roll(1280), dice.roll(800));
            let button = dice.of(&[("left", 0), ("middle", 1), ("right", 2)]);
            let place = json!({"action": "left_click_drag", "start_coordinate": [left, top], "coordinate": [x, y],
                "button": button.0});
            (
                place,
                vec![json!(["mousedown", button.1, left, top, ""]), json!(["mouseup", button.1, x, y, ""])],
            )
        }
        6 => {
            let (direction, (dx, dy)) =
                dice.of(&[("up", (0., -1.)), ("down", (0., 1.)), ("left", (-1., 0.)), ("right", (1., 0.))]);
            let amount = 1 + dice.roll(5);
            let far = |one: f64| one * wheel * amount as f64;
            let act = json!({"action": "scroll", "coordinate": [x, y], "scroll_direction": direction,
                "scroll_amount": amount});
            (act, vec![json!(["wheel", far(dx), far(dy), ""])])
        }
        7 | 8 => {
            let (name, key) = dice.of(&[
                ("a", "a"),
                ("z", "z"),
                ("7", "7"),
                ("Return", "Enter"),
                ("Escape", "Escape"),
                ("Left", "ArrowLeft"),
                ("Page_Down", "PageDown"),
                ("BackSpace", "Backspace"),
                ("semicolon", ";"),
                ("F2", "F2"),
                ("space", " "),
            ]);
            (
                json!({"action": "key", "text": name}),
                vec![json!(["keydown", key, ""]), json!(["keyup", key, ""])],
            )
        }
        _ => {
            let text: String =
                (0..1 + dice.roll(6)).map(|_| dice.of(&['b', '3', '-', 'é', 'ж', '漢', 'ω'])).collect();
            let keys =
                text.chars().flat_map(|c| [json!(["keydown", c, ""]), json!(["keyup", c, ""])]).collect();
            (json!({"action": "type", "text": text}), keys)
        }
    }
}

#[tokio::test]
async fn of_random_actions_every_one_arrives_as_it_was_asked_for() {
    let mut browser = Browser::open("").await;
    // What one step of the wheel is here.
    browser.act(json!({"action": "scroll", "coordinate": [5, 5], "scroll_amount": 1})).await;
    let wheel = browser.next().await[2].as_f64().unwrap();
    assert!(wheel > 0.0);
    let mut dice = Dice(20_26);
    for _ in 0..250 {
        let (act, expected) = action(&mut dice, wheel);
        browser.act(act.clone()).await;
        if act["action"] != "scroll" {
            browser.expect(&act, &expected).await;
            continue;
        }
        // Steps of the wheel come one by one or together.
        let (mut x, mut y) = (0.0, 0.0);
        while json!(["wheel", x, y, ""]) != expected[0] {
            let got = browser.next_of(&act).await;
            assert_eq!(got[0], "wheel", "{act}");
            (x, y) = (x + got[1].as_f64().unwrap(), y + got[2].as_f64().unwrap());
            assert!(x.abs() + y.abs() <= 5.0 * wheel, "{act}: {x} {y}");
        }
    }
    browser.close().await;
}

/// Five scripts, some 600 different characters.
fn long_text() -> String {
    let ranges = ['a'..='z', 'А'..='я', 'Α'..='Ρ', 'α'..='ω', '一'..='亿', 'あ'..='ん', '가'..='갷'];
    let all: Vec<char> = ranges.into_iter().flatten().collect();
    let mut dice = Dice(5);
    let mut text: String = all.iter().collect();
    while text.chars().count() < 2000 {
        text.push(dice.of(&all));
        if dice.roll(12) == 0 {
            text.push(dice.of(&[' ', '\n', '.', 'É', '€']));
        }
    }
    text.chars().take(2000).collect()
}

#[tokio::test]
async fn two_thousand_characters_in_five_scripts_arrive_exactly() {
    let mut browser = Browser::open("#text").await;
    let text = long_text();
    browser.act(json!({"action": "type", "text": text})).await;
    let mut value = String::new();
    while value.chars().count() < 2000 {
        let got = browser.next().await;
        if got[0] == "input" {
            value = got[1].as_str().unwrap().to_owned();
        }
    }
    let wrong: Vec<_> =
        value.chars().zip(text.chars()).enumerate().filter(|(_, (got, asked))| got != asked).collect();
    assert!(wrong.is_empty() && value == text, "{} wrong, first {:?}", wrong.len(), wrong.first());
    // The same by the clipboard.
    let key = |keys: &str| json!({"action": "key", "text": keys});
    browser.act(key("ctrl+a Delete")).await;
    browser.stage.server.text("set_clipboard", json!({"text": text})).await;
    browser.act(key("ctrl+v")).await;
    loop {
        let got = browser.next().await;
        if got[0] == "input" && got[1] != "" {
            assert_eq!(got[1], text);
            break;
        }
    }
    browser.act(key("ctrl+a ctrl+c")).await;
    assert_eq!(browser.stage.server.text("get_clipboard", json!({})).await, text, "and back");
    browser.close().await;
}
