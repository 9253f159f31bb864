//! `GET /api/control/stream`: replay from a sequence, then live, nothing lost in between because both are one reading of
//! the log.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event as Frame, KeepAlive};
use futures::Stream;
use futures::stream::unfold;
use sandboxed_domain::api::{ApiError, Event};
use serde::Deserialize;
use tokio::sync::watch;
use uuid::Uuid;

use super::problem::{Params, Problem};
use super::router::Door;
use crate::store::{self, EventQuery};

/// A comment so often, at the latest after the 3 s that are promised, so that proxies and clients see that the stream lives.
const KEEP_ALIVE: Duration = Duration::from_millis(2500);
/// Events read at once.
const PAGE: u32 = 500;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StreamParams {
    mission: Option<Uuid>,
    since_seq: Option<i64>,
}

struct Reader {
    door: Door,
    query: EventQuery,
    news: watch::Receiver<i64>,
    ready: VecDeque<Frame>,
}

pub(super) async fn stream(
    State(door): State<Door>,
    Params(params): Params<StreamParams>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Frame, Infallible>>>, Problem> {
    let news = door.app.store().watch_events();
    let newest = *news.borrow();
    let since = match headers.get("last-event-id") {
        Some(value) => value.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
            ApiError::invalid("Last-Event-ID", "not a sequence").hint("send the id of the last frame you saw")
        })?,
        // Without a place to begin a stream begins now.
        None => params.since_seq.unwrap_or(newest),
    };
    if let Some(id) = params.mission {
        door.app.mission(id).await?;
    }
    let queue_len = door.app.queue().await?.len();
    let running = door.app.progress(false).await?.len();
    let first = Frame::default().event("status").data(
        serde_json::json!({
            "type": "status",
            "state": if running > 0 { "running" } else { "idle" },
            "queue_len": queue_len,
            "mission_id": params.mission,
            "sequence": since,
            "timestamp": chrono::Utc::now(),
        })
        .to_string(),
    );
    let query = EventQuery { mission: params.mission, since, limit: PAGE, ..Default::default() };
    let reader = Reader { door, query, news, ready: VecDeque::from([first]) };
    Ok(Sse::new(unfold(reader, next)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

async fn next(mut reader: Reader) -> Option<(Result<Frame, Infallible>, Reader)> {
    loop {
        if let Some(frame) = reader.ready.pop_front() {
            return Some((Ok(frame), reader));
        }
        reader.news.borrow_and_update();
        let query = reader.query.clone();
        // A store that cannot be read ends the stream; the client comes back with its last id.
        let events = reader.door.app.store().read(move |c| store::query_events(c, &query)).await.ok()?;
        if let Some(last) = events.last() {
            reader.query.since = last.sequence;
            reader.ready.extend(events.iter().map(frame));
            continue;
        }
        tokio::select! {
            changed = reader.news.changed() => changed.ok()?,
            () = reader.door.closing.cancelled() => return None,
        }
    }
}

fn frame(event: &Event) -> Frame {
    let data = serde_json::to_string(event).unwrap_or_default();
    Frame::default().id(event.sequence.to_string()).event(event.body.type_name()).data(data)
}
