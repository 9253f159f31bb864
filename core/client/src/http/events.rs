//! The event stream: server-sent events as a `Stream`, resumed from the last sequence seen.

use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use reqwest::Method;
use sandboxed_domain::api::{ApiError, ErrorCode, Event};
use serde_json::Value;
use uuid::Uuid;

use super::{
    client::{Client, Limit},
    failure::{Failure, from_transport},
};

/// The daemon sends at least a comment every 3 s; ten of them missing is a dead connection.
const SILENCE: Duration = Duration::from_secs(30);
/// A longer line is no event of ours: 32 MiB, above the largest message the daemon takes.
const MAX_LINE: usize = 32 << 20;

/// One frame of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Its sequence; frames that are no stored event (the first `status`) have none.
    pub id: Option<i64>,
    /// Type of the event.
    pub event: String,
    /// The payload as sent.
    pub data: Value,
}

impl Frame {
    /// The payload as a stored event; `None` for a type this build does not know.
    pub fn event(&self) -> Option<Event> {
        serde_json::from_value(self.data.clone()).ok()
    }
}

impl Client {
    /// `GET /api/control/stream`: all missions, or one; after `last_event_id` when given, else from now on.
    ///
    /// A broken connection is resumed once from the last sequence seen; when the daemon is gone the stream
    /// ends with the error, and the caller goes on by asking again with the last `id` it has.
    ///
    /// # Errors
    /// The first connection's error.
    pub async fn stream(
        &self,
        mission: Option<Uuid>,
        last_event_id: Option<i64>,
    ) -> Result<impl Stream<Item = Result<Frame, ApiError>> + Send + use<>, ApiError> {
        let mut reader = Reader { client: self.clone(), mission, last: last_event_id, open: None };
        reader.connect().await?;
        Ok(stream::unfold(Some(reader), |reader| async move {
            let mut reader = reader?;
            match reader.next().await {
                Ok(frame) => Some((Ok(frame), Some(reader))),
                Err(e) => Some((Err(ApiError::from(e)), None)),
            }
        }))
    }
}

/// A whole body as text.
pub(super) async fn read_text(response: reqwest::Response, client: &Client) -> Result<String, Failure> {
    response.text().await.map_err(|e| from_transport(&e, &client.settings().endpoint.to_string()))
}

type Chunks = stream::BoxStream<'static, reqwest::Result<Vec<u8>>>;

struct Reader {
    client: Client,
    mission: Option<Uuid>,
    last: Option<i64>,
    open: Option<(Chunks, Parser)>,
}

impl Reader {
    async fn connect(&mut self) -> Result<(), Failure> {
        let mut request = self.client.request(Method::GET, "/api/control/stream")?;
        request = request.header("Accept", "text/event-stream");
        if let Some(mission) = self.mission {
            request = request.query(&[("mission", mission)]);
        }
        if let Some(last) = self.last {
            request = request.header("Last-Event-ID", last);
        }
        let response = self.client.send(request, Limit::Open).await?;
        let chunks = response.bytes_stream().map(|chunk| chunk.map(|bytes| bytes.to_vec()));
        self.open = Some((chunks.boxed(), Parser::default()));
        Ok(())
    }

    async fn next(&mut self) -> Result<Frame, Failure> {
        let mut resumed = false;
        loop {
            if let Some(frame) = self.read().await? {
                self.last = frame.id.or(self.last);
                return Ok(frame);
            }
            if resumed {
                let message = "the daemon closed the event stream twice";
                return Err(Failure::Lost(ApiError::new(ErrorCode::DaemonUnreachable, message)));
            }
            resumed = true;
            self.connect().await?;
        }
    }

    /// The next frame, or `None` when the connection is over.
    async fn read(&mut self) -> Result<Option<Frame>, Failure> {
        let Some((chunks, parser)) = &mut self.open else { return Ok(None) };
        loop {
            if let Some(frame) = parser.next_frame()? {
                return Ok(Some(frame));
            }
            match tokio::time::timeout(SILENCE, chunks.next()).await {
                Ok(Some(Ok(bytes))) => parser.push(&bytes),
                Ok(Some(Err(_)) | None) | Err(_) => return Ok(None),
            }
        }
    }
}

/// Cuts bytes into frames: `id:`, `event:` and `data:` lines up to an empty one; comments are skipped.
#[derive(Default)]
struct Parser {
    bytes: Vec<u8>,
    /// Bytes of `bytes` already known to hold no line end, so that a long line is not searched again.
    searched: usize,
    id: Option<i64>,
    event: String,
    data: String,
}

impl Parser {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, Failure> {
        while let Some(line) = self.next_line()? {
            if !line.is_empty() {
                self.field(&line);
            } else if !self.data.is_empty() {
                return Ok(Some(self.take_frame()));
            }
        }
        Ok(None)
    }

    fn next_line(&mut self) -> Result<Option<String>, Failure> {
        let Some(at) = self.bytes[self.searched..].iter().position(|b| *b == b'\n') else {
            self.searched = self.bytes.len();
            if self.searched > MAX_LINE {
                let message = "a line of the event stream is longer than 32 MiB";
                return Err(Failure::Answered(ApiError::new(ErrorCode::TooLarge, message)));
            }
            return Ok(None);
        };
        let mut line: Vec<u8> = self.bytes.drain(..=self.searched + at).collect();
        self.searched = 0;
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => self.id = value.parse().ok(),
            "event" => value.clone_into(&mut self.event),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            _ => {}
        }
    }

    fn take_frame(&mut self) -> Frame {
        let text = std::mem::take(&mut self.data);
        let data = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Frame { id: self.id.take(), event: std::mem::take(&mut self.event), data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\n\nevent: status\ndata: {\"a\":1}\n\nid: 7\r\nevent: text_delta\r\ndata: {\"x\":\r\ndata: 2}\r\n\r\n:\n\nid: 8\nevent: odd\ndata: word\n\nid: 9\ndata: cut";

    fn frames(step: usize) -> Vec<Frame> {
        let mut parser = Parser::default();
        let mut out = Vec::new();
        for chunk in STREAM.as_bytes().chunks(step) {
            parser.push(chunk);
            while let Some(frame) = parser.next_frame().unwrap() {
                out.push(frame);
            }
        }
        out
    }

    #[test]
    fn frames_are_the_same_however_the_bytes_arrive() {
        let want = vec![
            Frame { id: None, event: "status".into(), data: serde_json::json!({"a": 1}) },
            Frame { id: Some(7), event: "text_delta".into(), data: serde_json::json!({"x": 2}) },
            Frame { id: Some(8), event: "odd".into(), data: "word".into() },
        ];
        for step in 1..STREAM.len() + 1 {
            assert_eq!(frames(step), want, "chunks of {step}");
        }
    }
}
