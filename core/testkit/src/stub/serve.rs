//! Serving a request: it is logged, the pure parts decide, the reply is played.
//!
//! Control: `GET /__health`, `GET /__log`, `POST /__script` (replaces the script, restarts the `times`
//! counters), `POST /__reset` (forgets log and counters). Control requests are not logged; anything unknown
//! is logged and gets 404.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequestParts, Request, State, WebSocketUpgrade},
    http::{HeaderMap, request::Parts},
    response::Response,
};
use serde_json::{Value, json};

use super::{
    answer::{Answer, compose},
    api::Api,
    choose::{Choice, choose},
    log::{Log, Outcome, RequestRecord, Tracked},
    reply::Reply,
    routes::{Route, route},
    script::{Fault, Script, Step},
    server::Shared,
    socket,
};

/// Largest request body taken, in bytes: conversations with images reach some tens of MB.
const MAX_BODY: usize = 64 << 20;

/// A request, read whole.
pub(super) struct Asked {
    parts: Parts,
    pub(super) body: Value,
    key: String,
}

impl Asked {
    fn method(&self) -> &str {
        self.parts.method.as_str()
    }

    fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// The same request with another body.
    pub(super) fn with_body(&self, body: Value) -> Self {
        Self { parts: self.parts.clone(), key: self.key.clone(), body }
    }

    /// As it is logged before it is answered.
    pub(super) fn record(&self) -> RequestRecord {
        let Self { parts, body, key } = self;
        let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        RequestRecord {
            id: 0,
            method: self.method().to_owned(),
            path: self.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            key: key.clone(),
            body: body.clone(),
            answer: String::new(),
            status: 0,
            outcome: Outcome::Open,
        }
    }
}

pub(super) async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    // Taken before the parts become a log entry: only they hold what it needs.
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let asked = Asked { body: read_body(body).await, key: api_key(&parts), parts };
    if let Some(reply) = control(&shared, &asked) {
        return reply.play(Tracked::new(Log::new(), 0), shared.stop()).await;
    }
    let id = shared.log.add(asked.record());
    let tracked = Tracked::new(shared.log.clone(), id);
    let (answer, reply) = match (route(asked.method(), asked.path()), upgrade) {
        (Route::Socket(api), Ok(upgrade)) => {
            shared.log.update(id, |record| record.answer = "websocket".to_owned());
            let upgrade = upgrade.max_message_size(MAX_BODY).max_frame_size(MAX_BODY);
            return upgrade.on_upgrade(move |socket| socket::serve(socket, shared, asked, api, tracked));
        }
        (Route::Converse(api), _) => converse(&shared, &asked, id, api),
        (Route::Count(count), _) => ("count_tokens".to_owned(), count(&asked.body)),
        (Route::Account(account), _) => ("account".to_owned(), account()),
        (Route::Models(models), _) => ("models".to_owned(), models(&shared.script().models)),
        (Route::Socket(_) | Route::Unknown, _) => (
            "not found".to_owned(),
            Reply::json(404, &json!({"error": {"message": "the stub does not know this path"}})),
        ),
    };
    shared.log.update(id, |record| record.answer = answer);
    reply.play(tracked, shared.stop()).await
}

fn control(shared: &Shared, asked: &Asked) -> Option<Reply> {
    let ok = Reply::json(200, &json!({"ok": true}));
    match (asked.method(), asked.path()) {
        ("GET", "/__health") => Some(ok),
        ("GET", "/__log") => {
            let records = shared.log.records();
            let list: Vec<&RequestRecord> = records.iter().map(AsRef::as_ref).collect();
            Some(Reply::json(200, &json!({"requests": list})))
        }
        ("POST", "/__reset") => {
            shared.reset();
            Some(ok)
        }
        ("POST", "/__script") => Some(match Script::from_json(&asked.body.to_string()) {
            Ok(script) => {
                shared.set_script(script);
                ok
            }
            Err(error) => Reply::json(400, &json!({"error": error.to_string()})),
        }),
        _ => None,
    }
}

/// Answers one request of a conversation: what for the log, and how.
pub(super) fn converse(shared: &Shared, asked: &Asked, id: u64, api: &Api) -> (String, Reply) {
    let conversation = (api.read)(asked.path(), &asked.body);
    let script = shared.script();
    let (label, step, fault) = match decide(shared, &choose(&script, &conversation), &asked.key) {
        Ok(decided) => decided,
        Err(mistake) => return (format!("mistake: {mistake}"), (api.mistake)(&mistake)),
    };
    // An HTTP error says nothing, so its step need not be one that could be said.
    let answer = match fault {
        Some(Fault::Error(_)) => Ok(Answer::default()),
        _ => compose(step, &conversation),
    };
    match answer {
        Ok(answer) => {
            let id = format!("{}_{id}", shared.stamp);
            (label, (api.reply)(&conversation, step, &answer, fault, &id))
        }
        Err(mistake) => (format!("mistake: {mistake}"), (api.mistake)(&mistake)),
    }
}

/// The step that answers, its name for the log, and the fault it meets.
fn decide<'a>(
    shared: &Shared,
    choice: &Choice<'a>,
    key: &str,
) -> Result<(String, &'a Step, Option<Fault<'a>>), String> {
    match *choice {
        Choice::Side(step) => Ok(("side".to_owned(), step, step.fault(0))),
        Choice::Step { scenario, index, step } => {
            let earlier = if step.times.is_some() { shared.meet(key, scenario, index) } else { 0 };
            let meant = step.only_keys.is_empty() || step.only_keys.iter().any(|only| only == key);
            Ok((format!("{scenario}/{index}"), step, step.fault(earlier).filter(|_| meant)))
        }
        Choice::NoScenario { name } => Err(format!("no scenario [[{name}]]")),
        Choice::NoStep { scenario, index } => Err(format!("scenario [[{scenario}]] has no step {index}")),
    }
}

async fn read_body(body: Body) -> Value {
    // A body that breaks off is logged as none.
    let bytes = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    if bytes.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The key from any of the headers that APIs use for it; empty without one.
fn api_key(parts: &Parts) -> String {
    let header = |headers: &HeaderMap, name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
    let headers = &parts.headers;
    let bearer = || Some(header(headers, "authorization")?.strip_prefix("Bearer ")?.to_owned());
    let key = header(headers, "x-api-key").or_else(bearer).or_else(|| header(headers, "x-goog-api-key"));
    key.unwrap_or_default()
}
