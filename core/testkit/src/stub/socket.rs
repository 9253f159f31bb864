//! Serving a WebSocket: every text is a request of its own, logged with the method `WS`.

use std::{future::pending, sync::Arc};

use axum::extract::ws::{Message, WebSocket};
use serde_json::Value;

use super::{
    answer::Answer,
    api::Api,
    log::{Outcome, RequestRecord, Tracked},
    reply::{End, Reply, Stop},
    responses_socket::Memory,
    script::{Step, Usage},
    serve::{Asked, converse},
    server::Shared,
};

/// Answers one text after the other until the client leaves, the server stops, or a reply cuts the connection.
pub(super) async fn serve(
    mut socket: WebSocket,
    shared: Arc<Shared>,
    opened: Asked,
    api: &'static Api,
    mut connection: Tracked,
) {
    connection.started(101);
    let mut stop = shared.stop();
    let mut memory = Memory::default();
    let mut next = read(&mut socket, &mut stop).await;
    while let Some(body) = next {
        let mut asked = opened.with_body(body);
        let id = shared.log.add(RequestRecord { method: "WS".to_owned(), ..asked.record() });
        let tracked = Tracked::new(shared.log.clone(), id);
        let (answer, reply) = match memory.complete(asked.body) {
            Ok(body) => {
                asked.body = body;
                let (answer, reply) = answered(&shared, &asked, id, api);
                memory.keep(&asked.body, &reply);
                (answer, reply)
            }
            Err(reply) => ("mistake: no such earlier response".to_owned(), reply),
        };
        shared.log.update(id, |record| record.answer = answer);
        next = match play(reply, &mut socket, tracked, &mut stop).await {
            Played::Whole => read(&mut socket, &mut stop).await,
            Played::Interrupted(body) => Some(body),
            Played::Over => None,
        };
    }
    connection.ended(Outcome::Complete);
}

/// A request that only warms up generates nothing.
fn answered(shared: &Shared, asked: &Asked, id: u64, api: &Api) -> (String, Reply) {
    if asked.body["generate"] != false {
        return converse(shared, asked, id, api);
    }
    let nothing = Usage { input: 0, output: 0, ..Usage::default() };
    let step = Step { usage: nothing, ..Step::default() };
    let conversation = (api.read)("", &asked.body);
    let reply =
        (api.reply)(&conversation, &step, &Answer::default(), None, &format!("{}_{id}", shared.stamp));
    ("warmup".to_owned(), reply)
}

/// How playing a reply went.
enum Played {
    Whole,
    /// The client asked anew before the end.
    Interrupted(Value),
    /// Nothing more comes over this connection.
    Over,
}

async fn play(reply: Reply, socket: &mut WebSocket, mut tracked: Tracked, stop: &mut Stop) -> Played {
    let mut pause = reply.first_delay;
    for text in reply.frames {
        if !pause.is_zero()
            && let Some(early) = wait(tokio::time::sleep(pause), socket, stop).await
        {
            return early;
        }
        pause = reply.gap;
        tracked.started(reply.status);
        if socket.send(Message::text(text)).await.is_err() {
            return Played::Over;
        }
    }
    match reply.end {
        End::Complete => {
            tracked.ended(Outcome::Complete);
            Played::Whole
        }
        // The connection is dropped without a word.
        End::Cut => {
            tracked.ended(Outcome::Cut);
            Played::Over
        }
        End::Hang => wait(pending(), socket, stop).await.unwrap_or(Played::Over),
    }
}

/// `None` when the time has passed; what came in between otherwise.
async fn wait(time: impl Future<Output = ()>, socket: &mut WebSocket, stop: &mut Stop) -> Option<Played> {
    tokio::select! {
        () = time => None,
        body = read(socket, stop) => Some(body.map_or(Played::Over, Played::Interrupted)),
    }
}

/// The next request; none when the client has left or the server stops.
async fn read(socket: &mut WebSocket, stop: &mut Stop) -> Option<Value> {
    let text = async {
        loop {
            match socket.recv().await {
                Some(Ok(Message::Text(text))) => break Some(text),
                Some(Ok(Message::Close(_)) | Err(_)) | None => break None,
                Some(Ok(_)) => {}
            }
        }
    };
    let text = tokio::select! {
        text = text => text?,
        () = stop.stopped() => return None,
    };
    Some(serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.to_string())))
}
