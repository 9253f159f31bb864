//! Events of one worker, stored and fanned out to 20 streams, none lost. The worker is this very program in place of
//! Claude Code, so that each line of its output is an event.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sandboxed_domain::api::EventsParams;
use serde_json::json;

use crate::setting::{call, caller, daemon, ended, ids};
use crate::support::Daemon;
use crate::table::figure;

const EVENTS: usize = 50_000;
const SUBSCRIBERS: usize = 20;

/// The worker: waits for its prompt, then prints its events as fast as it can.
pub fn speak() {
    if std::env::args().any(|arg| arg == "--version") {
        println!("1.0.0 (bench)");
        return;
    }
    let mut prompt = String::new();
    std::io::stdin().lock().read_line(&mut prompt).unwrap();
    let session = std::env::args().skip_while(|arg| arg != "--session-id").nth(1).unwrap_or_default();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    writeln!(out, "{}", json!({"type": "system", "subtype": "init", "session_id": session})).unwrap();
    for n in 0..EVENTS {
        let delta = json!({"type": "text_delta", "text": format!("word {n} ")});
        let event = json!({"type": "content_block_delta", "index": 0, "delta": delta});
        writeln!(out, "{}", json!({"type": "stream_event", "event": event, "session_id": session})).unwrap();
    }
    let result = json!({"type": "result", "subtype": "success", "is_error": false, "result": "done",
        "session_id": session, "num_turns": 1, "total_cost_usd": 0.0, "usage": {}});
    writeln!(out, "{result}").unwrap();
    out.flush().unwrap();
    // Claude Code ends when its stdin does.
    while std::io::stdin().lock().read_line(&mut prompt).unwrap() > 0 {}
}

pub async fn measure() {
    let own = std::env::current_exe().unwrap().display().to_string();
    let daemon = daemon(&[("CLAUDE_CLI_PATH", &own), ("ANTHROPIC_API_KEY", "sk-ant-bench")]).await;
    let nobody = run(&daemon, 0).await;
    figure("events read, stored and numbered, nobody listening", EVENTS as f64 / nobody.as_secs_f64(), "/s");
    let one = run(&daemon, 1).await;
    figure("the same until 1 stream has all of them", EVENTS as f64 / one.as_secs_f64(), "/s");
    let many = run(&daemon, SUBSCRIBERS).await;
    figure(
        &format!("the same until {SUBSCRIBERS} streams have all of them"),
        EVENTS as f64 / many.as_secs_f64(),
        "/s",
    );
    figure("  frames delivered", (EVENTS * SUBSCRIBERS) as f64 / many.as_secs_f64(), "/s");
    daemon.finish().await;
}

/// From the first event to the last one at every stream, or from the call to the worker's end when nobody listens.
async fn run(daemon: &Daemon, subscribers: usize) -> Duration {
    let (client, caller) = (daemon.client(), caller("events", &daemon.repo()));
    let streams: Vec<_> = (0..subscribers).map(|_| open(daemon)).collect();
    let readers: Vec<_> =
        streams.into_iter().map(|stream| tokio::task::spawn_blocking(move || read(stream))).collect();
    let worker = json!({"title": "words", "prompt": "speak", "backend": "claudecode"});
    let begun = Instant::now();
    let made = ids(&call(&client, &caller, "batch_create_workers", json!({"workers": [worker]})).await);
    let mut spans = Vec::new();
    for reader in readers {
        spans.push(reader.await.unwrap());
    }
    ended(&client, &caller, &made).await;
    let whole = begun.elapsed();
    let types = Some("text_delta".to_owned());
    let page = client.events(made[0], &EventsParams { types, ..Default::default() }).await.unwrap();
    assert_eq!(page.total, EVENTS as u64, "all are stored");
    spans.into_iter().max().unwrap_or(whole)
}

/// A stream of all events, without chunks, so that reading it costs the machine little.
fn open(daemon: &Daemon) -> BufReader<TcpStream> {
    let token = std::fs::read_to_string(daemon.data().join("token")).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", daemon.settings().port)).unwrap();
    let request = format!(
        "GET /api/control/stream HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        token.trim()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut stream = BufReader::with_capacity(1 << 16, stream);
    let mut line = String::new();
    while !line.starts_with("event: status") {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream ends before it begins");
    }
    stream
}

/// Reads the worker's words to the last, which must come in order. Returns the time from the first to the last.
fn read(mut stream: BufReader<TcpStream>) -> Duration {
    let (mut begun, mut seen, mut line) = (None, 0, String::new());
    while seen < EVENTS {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream ends after {seen} words");
        if line.starts_with("data: ") && line.contains("\"text_delta\"") {
            begun.get_or_insert_with(Instant::now);
            assert!(line.contains(&format!("\"word {seen} \"")), "not word {seen}: {line}");
            seen += 1;
        }
    }
    begun.unwrap().elapsed()
}
