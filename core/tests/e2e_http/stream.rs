//! The event stream: nothing lost, nothing twice, and a sign of life.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::{Value, json};

use crate::raw::Http;
use crate::support::Daemon;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(180);

/// One frame, or a comment.
#[derive(Debug)]
struct Frame {
    id: Option<i64>,
    event: String,
    data: Value,
    comment: bool,
}

/// An open stream.
struct Sse {
    bytes: futures::stream::BoxStream<'static, reqwest::Result<Vec<u8>>>,
    text: String,
    frames: VecDeque<Frame>,
}

impl Sse {
    async fn open(http: &Http, query: &str, last: Option<i64>) -> Self {
        let mut request = http.request("GET", &format!("/api/control/stream?{query}"));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last.to_string());
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let bytes = response.bytes_stream().map(|piece| piece.map(|bytes| bytes.to_vec())).boxed();
        Self { bytes, text: String::new(), frames: VecDeque::new() }
    }

    async fn next(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return frame;
            }
            let piece = tokio::time::timeout(PATIENCE, self.bytes.next()).await.expect("a frame in time");
            self.text.push_str(&String::from_utf8(piece.expect("the stream stays open").unwrap()).unwrap());
            while let Some((frame, rest)) = self.text.split_once("\n\n") {
                self.frames.push_back(parse(frame));
                self.text = rest.to_owned();
            }
        }
    }

    /// The next that is no comment.
    async fn event(&mut self) -> Frame {
        loop {
            let frame = self.next().await;
            if !frame.comment {
                return frame;
            }
        }
    }
}

fn parse(text: &str) -> Frame {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    Frame {
        id: field("id:").map(|id| id.parse().unwrap()),
        event: field("event:").unwrap_or_default().to_owned(),
        data: field("data:").map_or(Value::Null, |data| serde_json::from_str(data).unwrap()),
        comment: text.lines().all(|line| line.starts_with(':')),
    }
}

/// Follows a mission's events until it has this status.
pub async fn wait_for_status(daemon: &Daemon, mission: &str, status: &str) {
    let http = Http::new(daemon.settings());
    let mut stream = Sse::open(&http, &format!("mission={mission}&since_seq=0"), None).await;
    loop {
        let frame = stream.event().await;
        if frame.event == "mission_status_changed" && frame.data["status"] == status {
            return;
        }
    }
}

async fn mission(http: &Http, script: &str) -> String {
    let body = json!({"backend": "command", "workspace_id": "host", "prompt": script});
    http.post("/api/control/missions", body).await.ok()["id"].as_str().unwrap().to_owned()
}

/// A worker that goes on printing for a while.
const TALKER: &str = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); sleep 0.005; done";

#[tokio::test(flavor = "multi_thread")]
async fn the_first_frame_is_the_status_and_a_stream_without_a_place_begins_now() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    let old = mission(&http, "true").await;
    wait_for_status(&daemon, &old, "completed").await;
    let mut stream = Sse::open(&http, "", None).await;
    let first = stream.next().await;
    assert_eq!((first.event.as_str(), first.id), ("status", None));
    assert_eq!((&first.data["type"], &first.data["state"]), (&json!("status"), &json!("idle")));
    assert_eq!(first.data["queue_len"], 0);
    let new = mission(&http, "true").await;
    let frame = stream.event().await;
    assert_eq!(frame.data["mission_id"], json!(new), "what was before is not replayed unasked");
    assert_eq!(frame.id, frame.data["sequence"].as_i64());
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_reconnects_while_events_are_written_misses_none_and_sees_none_twice() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    let talkers = [mission(&http, TALKER).await, mission(&http, TALKER).await];
    let (mut seen, mut done, mut round) = (Vec::new(), 0, 0);
    while done < talkers.len() {
        round += 1;
        // By header and by query in turn, from the last frame seen.
        let last = seen.last().copied().unwrap_or(0);
        let mut stream = match round % 2 {
            0 => Sse::open(&http, "", Some(last)).await,
            _ => Sse::open(&http, &format!("since_seq={last}"), None).await,
        };
        assert_eq!(stream.next().await.event, "status");
        for _ in 0..(5 + round % 17) {
            let frame = stream.event().await;
            seen.push(frame.id.unwrap());
            done += usize::from(frame.data["status"] == "completed");
            if done == talkers.len() {
                break;
            }
        }
    }
    assert!(round > 3, "the streams were cut while events were written");
    let mut written = Vec::new();
    for id in &talkers {
        let events = daemon.events(id.parse().unwrap()).await;
        written.extend(events.iter().map(|event| event.sequence));
    }
    written.sort_unstable();
    assert_eq!(seen, written);
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_one_mission_has_nothing_of_another() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    let (wanted, other) = (mission(&http, TALKER).await, mission(&http, TALKER).await);
    let mut stream = Sse::open(&http, &format!("mission={wanted}&since_seq=0"), None).await;
    assert_eq!(stream.next().await.data["mission_id"], json!(wanted));
    let mut seen = Vec::new();
    loop {
        let frame = stream.event().await;
        assert_eq!(frame.data["mission_id"], json!(wanted));
        seen.push(frame.id.unwrap());
        if frame.data["status"] == "completed" {
            break;
        }
    }
    let events = daemon.events(wanted.parse().unwrap()).await;
    assert_eq!(seen, events.iter().map(|event| event.sequence).collect::<Vec<_>>());
    wait_for_status(&daemon, &other, "completed").await;
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_shows_every_three_seconds_that_it_lives() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    let mut stream = Sse::open(&http, "", None).await;
    assert_eq!(stream.next().await.event, "status");
    let mut gaps = Vec::new();
    for _ in 0..4 {
        let begun = Instant::now();
        assert!(stream.next().await.comment);
        gaps.push(begun.elapsed());
    }
    // A busy machine may hold any of them up, and the daemon sends none earlier for that.
    assert!(gaps.iter().min().unwrap() <= &Duration::from_secs(3), "{gaps:?}");
    daemon.finish().await;
}
