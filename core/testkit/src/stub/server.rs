//! The server as its owner sees it: start, script, log, end.

use std::{
    collections::HashMap,
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::Router;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::{
    log::{Log, RequestRecord, WaitError},
    reply::Stop,
    script::Script,
    serve::handle,
};

/// A running stub model server on the loopback; ends when dropped, and with it every open answer.
#[derive(Debug)]
pub struct StubModel {
    port: u16,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<io::Result<()>>,
}

/// What all requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) log: Log,
    played: Mutex<Played>,
    stop: watch::Receiver<bool>,
    /// Tells ids of this server from those of an earlier one that a resumed conversation may hold.
    pub(super) stamp: String,
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
    pub(super) fn set_script(&self, script: Script) {
        *self.played.lock().unwrap_or_else(PoisonError::into_inner) =
            Played { script: Arc::new(script), met: HashMap::new() };
    }

    pub(super) fn reset(&self) {
        self.log.clear();
        self.played.lock().unwrap_or_else(PoisonError::into_inner).met.clear();
    }

    pub(super) fn script(&self) -> Arc<Script> {
        Arc::clone(&self.played.lock().unwrap_or_else(PoisonError::into_inner).script)
    }

    pub(super) fn stop(&self) -> Stop {
        Stop(self.stop.clone())
    }

    /// How many earlier requests of the key met the step; counts this one.
    pub(super) fn meet(&self, key: &str, scenario: &str, index: usize) -> u32 {
        let mut played = self.played.lock().unwrap_or_else(PoisonError::into_inner);
        let met = played.met.entry((key.to_owned(), scenario.to_owned(), index)).or_default();
        *met += 1;
        *met - 1
    }
}
