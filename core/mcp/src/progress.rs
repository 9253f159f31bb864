//! Signs of life of one call. The first one, before anything else, is what makes the headers of an HTTP answer leave;
//! later ones keep clients from giving up.

use std::time::Duration;

use rmcp::{RoleServer, model::ProgressNotificationParam, service::RequestContext};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Code, Problem};

/// A third of the shortest idle limit among clients: 60 s to the first byte of HTTP.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Progress of one call: seconds so far, which always rise.
#[derive(Debug)]
pub struct Progress<'a> {
    context: &'a RequestContext<RoleServer>,
    start: Instant,
}

impl<'a> Progress<'a> {
    /// Says that the call has begun.
    pub async fn begin(context: &'a RequestContext<RoleServer>) -> Self {
        let progress = Self { context, start: Instant::now() };
        progress.tell("started").await;
        progress
    }

    async fn tell(&self, message: &str) {
        let Some(token) = self.context.meta.get_progress_token() else { return };
        let seconds = self.start.elapsed().as_secs_f64();
        let progress = ProgressNotificationParam::new(token, seconds).with_message(message);
        // A client that has gone cancels the call; that is noticed there.
        let _ = self.context.peer.notify_progress(progress).await;
    }

    /// Tells now and then that the call goes on; never ends.
    pub async fn keep_alive(&self) {
        loop {
            tokio::time::sleep(KEEP_ALIVE).await;
            self.tell("running").await;
        }
    }

    /// Ends when the client took the call back.
    pub async fn cancelled(&self) {
        self.context.ct.cancelled().await;
    }

    /// The same, for work on threads.
    pub fn token(&self) -> CancellationToken {
        self.context.ct.clone()
    }

    /// The answer that nobody reads.
    pub fn problem<C: Code>(&self) -> Problem<C> {
        Problem::new(C::CANCELLED, "the client took the call back")
    }
}
