//! Pages that are served to a browser, and what they tell of themselves.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::mcp::{McpServer, soon};

/// Longest time until a page tells what it must.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tells every event in its order, one request at a time; `ready` when it has the focus and the whole screen. With `#text`
/// it is a field for text.
pub const EVENTS: &str = r#"<!doctype html><meta charset="utf-8"><title>page</title>
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
// Before something of the page was shown the browser passes nothing on.
const shown = new Promise(done => new PerformanceObserver(list => list.getEntriesByName('first-contentful-paint').length && done())
  .observe({ type: 'paint', buffered: true }));
const painted = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
async function ready() { await shown; await painted(); if (document.hasFocus() && innerHeight == screen.height) tell(['ready']); else setTimeout(ready, 20); }
addEventListener('load', ready);
if (location.hash == '#text') { document.body.append(document.createElement('textarea')); document.querySelector('textarea').focus(); }
</script>"#;

/// A page, served for as long as the test's runtime is there.
pub struct Page {
    address: SocketAddr,
    told: mpsc::UnboundedReceiver<Value>,
}

impl Page {
    /// Serves this text. What it sends to `/event` as JSON lists is what it tells.
    pub async fn serve(html: &'static str) -> Self {
        let (sender, told) = mpsc::unbounded_channel();
        let app = Router::new()
            .route("/", get(move || async move { Html(html) }))
            .route("/event", post(event))
            .with_state(sender);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, told }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What it tells next.
    pub async fn next(&mut self) -> Value {
        self.next_of("the page").await
    }

    /// What it tells next of something.
    pub async fn next_of(&mut self, about: impl Display) -> Value {
        let next = tokio::time::timeout(PATIENCE, self.told.recv()).await;
        next.unwrap_or_else(|_| panic!("nothing (more) came of {about}")).unwrap()
    }

    /// Waits until [`EVENTS`] is ready on this desktop. A window grows to the whole screen after it has come: a browser
    /// takes it for so large when it asks for that, which is before its window manager has done it.
    pub async fn ready(&mut self, desktop: &McpServer) {
        while self.next().await[0] != "ready" {}
        let grown = async {
            while !over_everything(desktop).await {
                // Again after something has happened, or when it did before this was asked.
                desktop.text("wait_for", json!({"until": "change", "timeout_seconds": 1})).await;
            }
        };
        soon(grown).await;
    }
}

/// Whether the one window has the whole screen and the keyboard, as the window manager says.
async fn over_everything(desktop: &McpServer) -> bool {
    let told = desktop.data("list_windows", json!({})).await;
    let window = &told["windows"][0];
    window["active"] == true
        && window["states"] == json!(["fullscreen"])
        && window["frame"] == json!([0, 0, 1280, 800])
}

async fn event(State(sender): State<mpsc::UnboundedSender<Value>>, body: String) {
    for event in serde_json::from_str::<Vec<Value>>(&body).unwrap() {
        // Told to a test that has ended.
        let _ = sender.send(event);
    }
}
