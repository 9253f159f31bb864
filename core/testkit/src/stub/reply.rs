//! A reply as a value, and playing it: pauses, breaks and hangs included.

use std::{collections::BTreeMap, io, time::Duration};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use futures::stream;
use serde_json::Value;
use tokio::sync::watch;

use super::log::{Outcome, Tracked};

/// What goes over the wire, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers besides the content type.
    pub headers: BTreeMap<String, String>,
    /// Content type.
    pub content_type: &'static str,
    /// The body, in pieces that are sent one by one.
    pub frames: Vec<String>,
    /// Pause before the response starts.
    pub first_delay: Duration,
    /// Pause between two frames.
    pub gap: Duration,
    /// How the body ends.
    pub end: End,
}

/// How the body of a reply ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Properly.
    Complete,
    /// By a connection that breaks.
    Cut,
    /// Not at all, until the client leaves.
    Hang,
}

impl Reply {
    /// A JSON answer.
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: BTreeMap::new(),
            content_type: "application/json",
            frames: vec![body.to_string()],
            first_delay: Duration::ZERO,
            gap: Duration::ZERO,
            end: End::Complete,
        }
    }

    /// A stream of server-sent events.
    pub fn events(frames: Vec<String>) -> Self {
        Self { content_type: "text/event-stream; charset=utf-8", frames, ..Self::json(200, &Value::Null) }
    }

    /// Plays the reply; ends early when the server stops.
    pub(crate) async fn play(self, mut tracked: Tracked, mut stop: Stop) -> Response {
        stop.pause(self.first_delay).await;
        tracked.started(self.status);
        let mut response = Response::new(Body::empty());
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        *response.body_mut() = if self.end == End::Complete && self.frames.len() == 1 {
            tracked.ended(Outcome::Complete);
            // Known length: a plain answer is not chunked.
            Body::from(self.frames.concat())
        } else {
            let playing = Playing {
                frames: self.frames.into_iter(),
                gap: None,
                after: self.gap,
                end: self.end,
                tracked,
                stop,
            };
            Body::from_stream(stream::unfold(Some(playing), Playing::next))
        };
        response
    }
}

/// The body while it is sent.
struct Playing {
    frames: std::vec::IntoIter<String>,
    gap: Option<Duration>,
    after: Duration,
    end: End,
    tracked: Tracked,
    stop: Stop,
}

type Sent = Option<(Result<String, io::Error>, Option<Playing>)>;

impl Playing {
    async fn next(playing: Option<Self>) -> Sent {
        let mut playing = playing?;
        if let Some(frame) = playing.frames.next() {
            if let Some(gap) = playing.gap.replace(playing.after) {
                playing.stop.pause(gap).await;
            }
            return Some((Ok(frame), Some(playing)));
        }
        match playing.end {
            End::Complete => {
                playing.tracked.ended(Outcome::Complete);
                return None;
            }
            // Gives the server one turn to flush what stands in its buffer.
            End::Cut => tokio::task::yield_now().await,
            End::Hang => playing.stop.stopped().await,
        }
        playing.tracked.ended(Outcome::Cut);
        Some((Err(io::ErrorKind::ConnectionReset.into()), None))
    }
}

/// Tells that the server stops.
#[derive(Debug, Clone)]
pub(crate) struct Stop(pub(crate) watch::Receiver<bool>);

impl Stop {
    async fn pause(&mut self, time: Duration) {
        if !time.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                () = self.stopped() => {}
            }
        }
    }

    /// Returns when the server stops or is gone.
    pub(crate) async fn stopped(&mut self) {
        // An error means that the sender, and with it the server, is gone.
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }
}
