//! Calls of the daemon, which may be absent, outdated, or die between two of them.

use std::time::Duration;

use sandboxed_client::{
    Client, Failure, Limit, Ownership, Settings,
    daemon::{StartOptions, ensure_running},
};
use sandboxed_domain::api::{ApiError, Caller, ErrorCode};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::OnceCell;

/// How long somebody else's daemon may be away while it is being replaced.
const ABSENCE: Duration = Duration::from_secs(10);
/// First pause between two looks for it; each following one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause, and so the most that a return can go unnoticed.
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// Whether a call whose answer was lost may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Twice is as good as once.
    Safe,
    /// The daemon may have acted: the model must look first.
    Unsafe,
}

/// The daemon as this server sees it.
#[derive(Debug)]
pub struct Daemon {
    client: Client,
    caller: Caller,
    checked: OnceCell<()>,
}

impl Daemon {
    /// Connects at the first call.
    pub fn new(settings: Settings, caller: Caller) -> Result<Self, ApiError> {
        Ok(Self { client: Client::from_settings(&settings)?, caller, checked: OnceCell::new() })
    }

    /// The settings it was made from.
    pub fn settings(&self) -> &Settings {
        self.client.settings()
    }

    /// One tool call. A daemon that is not there is started, and the call sent again where that is safe.
    pub async fn call<P: Serialize, R: DeserializeOwned>(
        &self,
        tool: &str,
        params: &P,
        limit: Limit,
        repeat: Repeat,
    ) -> Result<R, ApiError> {
        self.checked.get_or_try_init(|| self.ensure()).await?;
        let failure = match self.client.try_tool(tool, &self.caller, params, limit).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        match (&failure, repeat) {
            (Failure::NotSent(e), _) | (Failure::Lost(e), Repeat::Safe)
                if e.code == ErrorCode::DaemonUnreachable =>
            {
                tracing::info!("{tool}: {}", e.message);
                self.ensure().await?;
                Ok(self.client.try_tool(tool, &self.caller, params, limit).await?)
            }
            _ => Err(failure.into()),
        }
    }

    /// Returns when the daemon serves.
    pub async fn ensure(&self) -> Result<(), ApiError> {
        let settings = self.settings();
        match settings.ownership {
            Ownership::Ours => {
                let notice = |notice| tracing::warn!("{notice}");
                ensure_running(settings, &StartOptions::default(), &notice).await.map(drop)
            }
            Ownership::Foreign => self.await_return().await,
        }
    }

    /// Its owner restarts it; there is nothing to subscribe to, so it is asked at growing intervals.
    async fn await_return(&self) -> Result<(), ApiError> {
        let asking = async {
            let mut pause = FIRST_PAUSE;
            loop {
                match self.client.health().await {
                    Ok(_) => return Ok(()),
                    Err(e) if e.code != ErrorCode::DaemonUnreachable => return Err(e),
                    Err(_) => tokio::time::sleep(pause).await,
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        match tokio::time::timeout(ABSENCE, asking).await {
            Ok(result) => result,
            Err(_) => self.client.health().await.map(drop),
        }
    }
}
