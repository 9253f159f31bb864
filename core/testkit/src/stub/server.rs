//! The server: reads requests, logs them, lets the pure parts decide, plays the reply.
//!
//! Control: `GET /__health`, `GET /__log`, `POST /__script` (replaces the script, restarts the `times`
//! counters), `POST /__reset` (forgets log and counters). Control requests are not logged; anything unknown
//! is logged and gets 404.

use std::{
    collections::HashMap,
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, request::Parts},
    response::Response,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::{
    answer::{Answer, compose},
    anthropic,
    api::Api,
    choose::{Choice, choose},
    log::{Log, Outcome, RequestRecord, Tracked, WaitError},
    reply::{Reply, Stop},
    responses,
    script::{Fault, Script, Step},
};

/// Largest request body taken, in bytes: conversations with images reach some tens of MB.
const MAX_BODY: usize = 64 << 20;

/// A running stub model server on the loopback; ends when dropped, and with it every open answer.
#[derive(Debug)]
pub struct StubModel {
    port: u16,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<io::Result<()>>,
}

#[derive(Debug)]
struct Shared {
    log: Log,
    played: Mutex<Played>,
    stop: watch::Receiver<bool>,
    /// Tells ids of this server from those of an earlier one that a resumed conversation may hold.
    stamp: String,
}

/// The script and how often each fault with `times` was met.
#[derive(Debug, Default)]
struct Played {
    script: Arc<Script>,
    met: HashMap<(String, String, usize), u32>,
}

impl StubModel {
    /// Starts a server on a free port.
    ///
    /// # Errors
    /// When the loopback gives no port.
    pub async fn start(script: Script) -> io::Result<Self> {
        Self::start_on(0, script).await
    }

    /// Starts a server on the given port.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start_on(port: u16, script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        let (stop, stopping) = watch::channel(false);
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let shared = Arc::new(Shared {
            log: Log::new(),
            played: Mutex::new(Played { script: Arc::new(script), met: HashMap::new() }),
            stop: stopping.clone(),
            stamp: format!("{nanos:x}"),
        });
        let router = Router::new().fallback(handle).with_state(Arc::clone(&shared));
        let mut end = Stop(stopping);
        let serve = axum::serve(listener, router).with_graceful_shutdown(async move { end.stopped().await });
        Ok(Self { port, shared, stop, serving: tokio::spawn(async move { serve.await }) })
    }

    /// `http://127.0.0.1:PORT`, without a path.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Replaces the script and restarts the `times` counters; answers under way go on unchanged.
    pub fn set_script(&self, script: Script) {
        self.shared.set_script(script);
    }

    /// Forgets the log and restarts the `times` counters.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// The newest 1,000 requests, oldest first.
    pub fn requests(&self) -> Vec<Arc<RequestRecord>> {
        self.shared.log.records()
    }

    /// Requests that nothing here answers.
    pub fn stray_requests(&self) -> Vec<Arc<RequestRecord>> {
        self.requests().into_iter().filter(|record| record.answer == "not found").collect()
    }

    /// Waits for the first request that fulfils the condition; one already logged counts. The condition is
    /// tried again whenever a request comes or its `status` or `outcome` changes.
    ///
    /// # Errors
    /// [`WaitError`] when the time is over; it lists what was seen instead.
    pub async fn wait_for_request(
        &self,
        condition: impl Fn(&RequestRecord) -> bool,
        timeout: Duration,
    ) -> Result<Arc<RequestRecord>, WaitError> {
        let mut found = self.wait_for_requests(1, condition, timeout).await?;
        Ok(found.swap_remove(0))
    }

    /// Waits until `count` requests fulfil the condition, and returns all that do, oldest first.
    ///
    /// # Errors
    /// As [`StubModel::wait_for_request`].
    pub async fn wait_for_requests(
        &self,
        count: usize,
        condition: impl Fn(&RequestRecord) -> bool,
        timeout: Duration,
    ) -> Result<Vec<Arc<RequestRecord>>, WaitError> {
        self.shared.log.wait(count, condition, timeout).await
    }

    /// Serves until the server fails.
    ///
    /// # Errors
    /// When the listening socket fails.
    pub async fn serve(mut self) -> io::Result<()> {
        (&mut self.serving).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

impl Drop for StubModel {
    fn drop(&mut self) {
        // The serving task then refuses new connections, and open answers break off.
        self.stop.send_replace(true);
    }
}

impl Shared {
    fn set_script(&self, script: Script) {
        *self.played.lock().unwrap_or_else(PoisonError::into_inner) =
            Played { script: Arc::new(script), met: HashMap::new() };
    }

    fn reset(&self) {
        self.log.clear();
        self.played.lock().unwrap_or_else(PoisonError::into_inner).met.clear();
    }

    fn script(&self) -> Arc<Script> {
        Arc::clone(&self.played.lock().unwrap_or_else(PoisonError::into_inner).script)
    }

    /// How many earlier requests of the key met the step; counts this one.
    fn meet(&self, key: &str, scenario: &str, index: usize) -> u32 {
        let mut played = self.played.lock().unwrap_or_else(PoisonError::into_inner);
        let met = played.met.entry((key.to_owned(), scenario.to_owned(), index)).or_default();
        *met += 1;
        *met - 1
    }
}

/// A request, read whole.
struct Asked {
    parts: Parts,
    body: Value,
    key: String,
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let asked = Asked { body: read_body(body).await, key: api_key(&parts), parts };
    let method = asked.parts.method.as_str();
    let path = asked.parts.uri.path();
    if let Some(reply) = control(&shared, method, path, &asked.body) {
        return reply.play(Tracked::new(Log::new(), 0), Stop(shared.stop.clone())).await;
    }
    let id = shared.log.add(record(&asked));
    let tracked = Tracked::new(shared.log.clone(), id);
    let (answer, reply) = match (method, path) {
        ("POST", "/v1/messages") => converse(&shared, &asked, id, &anthropic::MESSAGES),
        ("POST", "/v1/responses") => converse(&shared, &asked, id, &responses::RESPONSES),
        ("POST", "/v1/messages/count_tokens") => {
            ("count_tokens".to_owned(), anthropic::count_tokens(&asked.body))
        }
        ("GET", "/v1/models") => ("models".to_owned(), anthropic::models(&shared.script().models)),
        _ => (
            "not found".to_owned(),
            Reply::json(404, &json!({"error": {"message": "the stub does not know this path"}})),
        ),
    };
    shared.log.update(id, |record| record.answer = answer);
    reply.play(tracked, Stop(shared.stop.clone())).await
}

fn control(shared: &Shared, method: &str, path: &str, body: &Value) -> Option<Reply> {
    let ok = Reply::json(200, &json!({"ok": true}));
    match (method, path) {
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
        ("POST", "/__script") => Some(match Script::from_json(&body.to_string()) {
            Ok(script) => {
                shared.set_script(script);
                ok
            }
            Err(error) => Reply::json(400, &json!({"error": error.to_string()})),
        }),
        _ => None,
    }
}

fn converse(shared: &Shared, asked: &Asked, id: u64, api: &Api) -> (String, Reply) {
    let conversation = (api.read)(asked.parts.uri.path(), &asked.body);
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
            Ok((format!("{scenario}/{index}"), step, step.fault(earlier)))
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

fn record(asked: &Asked) -> RequestRecord {
    let Asked { parts, body, key } = asked;
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    RequestRecord {
        id: 0,
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        key: key.clone(),
        body: body.clone(),
        answer: String::new(),
        status: 0,
        outcome: Outcome::Open,
    }
}

/// The key from any of the headers that APIs use for it; empty without one.
fn api_key(parts: &Parts) -> String {
    let header = |headers: &HeaderMap, name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
    let headers = &parts.headers;
    let bearer = || Some(header(headers, "authorization")?.strip_prefix("Bearer ")?.to_owned());
    let key = header(headers, "x-api-key").or_else(bearer).or_else(|| header(headers, "x-goog-api-key"));
    key.unwrap_or_default()
}
