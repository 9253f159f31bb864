//! Start, serve, stop. Stopping ends the daemon only: runs and sandboxes are the runners' and go on.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use sandboxed_client::daemon::{DaemonLock, ReadySignal, own_build_id};
use sandboxed_client::{Settings, TokenSource};
use sandboxed_domain::api::{ApiError, ErrorCode, HealthResponse};
use sandboxed_domain::policy::default_max_parallel;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::token::read_or_create;
use crate::app::App;
use crate::http::{Auth, Door, Peer, admin_router, mission_router};
use crate::mission::{MissionSettings, ServeSocket};
use crate::store::io_error;

/// How `serve` was asked to run.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServeOptions {
    /// Nobody is asked for a token; loopback only.
    pub no_token: bool,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// Everything that a user can mend is typed: data directory, port, database, token.
pub async fn serve(settings: Settings, options: ServeOptions) -> Result<(), ApiError> {
    let ready = ReadySignal::from_env();
    if options.no_token && !settings.host.is_loopback() {
        return Err(ApiError::new(
            ErrorCode::Forbidden,
            format!("refusing to listen on {} without a token", settings.host),
        )
        .field("SANDBOXED_SH_HOST")
        .hint("leave --no-token out, or listen on 127.0.0.1"));
    }
    let lock = DaemonLock::acquire(&settings)?;
    let listener = lock.bind()?;
    let auth = if options.no_token { Auth::Open } else { Auth::token(&token(&settings)?) };
    let internal = |error: std::io::Error| ApiError::new(ErrorCode::Internal, error.to_string());
    let listener = TcpListener::from_std(listener).map_err(internal)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(internal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(internal)?;
    let missions = MissionSettings::from_env(max_parallel()?)?;
    let app = App::open(settings.data_dir.clone(), &instance(&settings.data_dir)?, missions).await?;
    let door = Door {
        app: app.clone(),
        health: HealthResponse {
            status: "ok".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build_id: own_build_id()?,
            auth_required: auth.required(),
            pid: std::process::id(),
        },
        closing: CancellationToken::new(),
        mission: None,
    };
    app.missions().serve_sockets(mission_sockets(door.clone()));
    lock.publish(&door.health.build_id)?;
    tracing::info!(address = %settings.host, port = settings.port, build = door.health.build_id, "serving");
    ready.send();
    let closing = door.closing.clone();
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping; runs go on");
        closing.cancel();
    };
    let served = serve_until(listener, admin_router(door, auth), stop).await;
    app.shut_down().await;
    drop(lock);
    served
}

/// Serves until `stop`, then gives open calls a second: a waiting boss comes back by its cursor.
async fn serve_until(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ApiError> {
    let stopping = CancellationToken::new();
    let told = stopping.clone();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        stop.await;
        told.cancel();
    });
    let late = async {
        stopping.cancelled().await;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    };
    tokio::select! {
        served = server.into_future() => {
            served.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))
        }
        () = late => Ok(()),
    }
}

/// A socket of a mission serves the tools with that mission's rights.
fn mission_sockets(door: Door) -> ServeSocket {
    Arc::new(move |mission: Uuid, listener: UnixListener, end: CancellationToken| {
        let router = mission_router(Door { mission: Some(mission), ..door.clone() })
            .into_make_service_with_connect_info::<Peer>();
        let closing = door.closing.clone();
        tokio::spawn(async move {
            tokio::select! {
                served = axum::serve(listener, router).into_future() => {
                    if let Err(error) = served {
                        tracing::warn!(%mission, %error, "a mission's socket has ended");
                    }
                }
                () = end.cancelled() => {}
                () = closing.cancelled() => {}
            }
        });
    })
}

fn token(settings: &Settings) -> Result<String, ApiError> {
    match &settings.token {
        TokenSource::Fixed(token) => Ok(token.expose().to_owned()),
        TokenSource::File(path) => read_or_create(path),
    }
}

/// Short name of this data directory, so that the machines of several daemons do not meet.
fn instance(data: &Path) -> Result<String, ApiError> {
    let real = std::fs::canonicalize(data).map_err(|error| io_error(data, &error))?;
    let digest = Sha256::digest(real.as_os_str().as_encoded_bytes());
    Ok(digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect())
}

/// `SANDBOXED_SH_MAX_PARALLEL`, or what the machine can bear.
///
/// # Errors
/// The setting is not a number from 1 to 1024.
pub fn max_parallel() -> Result<u32, ApiError> {
    const NAME: &str = "SANDBOXED_SH_MAX_PARALLEL";
    if let Some(text) = std::env::var(NAME).ok().filter(|text| !text.is_empty()) {
        return text.parse().ok().filter(|n| (1..=1024).contains(n)).ok_or_else(|| {
            ApiError::invalid(NAME, format!("{text:?} is not a number of missions")).hint("1 to 1024")
        });
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(default_max_parallel(cores, memory_bytes()))
}

fn memory_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(1 << 20) * 1024
}
