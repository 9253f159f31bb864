//! MCP over streamable HTTP, behind a bearer token: who may call starts programs.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::Context;
use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService,
    session::local::{LocalSessionManager, SessionConfig},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::Token;

/// Who is let in.
pub trait Guard: Clone + Send + Sync + 'static {
    /// Whether who gives this bearer token, or none (an empty one), may call.
    ///
    /// # Errors
    /// What keeps that from being known.
    fn admits(&self, given: &str) -> Result<bool, String>;
}

impl Guard for Token {
    fn admits(&self, given: &str) -> Result<bool, String> {
        Ok(self.is(given))
    }
}

/// Serves `http://ADDR/mcp` until SIGTERM or SIGINT, to those who have the token of a file.
///
/// # Errors
/// The token's file or the address cannot be used.
pub async fn serve<S: ServerHandler + Clone>(
    server: S,
    address: SocketAddr,
    file: &Path,
) -> anyhow::Result<()> {
    let token = Token::of_file(file).with_context(|| format!("the token's file {}", file.display()))?;
    serve_behind(server, address, token).await
}

/// The same behind another guard.
///
/// # Errors
/// The address cannot be used.
pub async fn serve_behind<S: ServerHandler + Clone, G: Guard>(
    server: S,
    address: SocketAddr,
    guard: G,
) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let app = Router::new()
        .nest_service("/mcp", service(server, address, stop.clone()))
        .layer(from_fn_with_state(guard, authorize::<G>));
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    tracing::warn!("serving MCP at http://{}/mcp", listener.local_addr()?);
    let signalled = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    };
    Ok(axum::serve(listener, app).with_graceful_shutdown(signalled).await?)
}

fn service<S: ServerHandler + Clone>(
    server: S,
    address: SocketAddr,
    stop: CancellationToken,
) -> StreamableHttpService<S, LocalSessionManager> {
    let mut session = SessionConfig::default();
    // Its five minutes would end a call that is still waiting.
    session.keep_alive = None;
    let mut sessions = LocalSessionManager::default();
    sessions.session_config = session;
    let mut config = StreamableHttpServerConfig::default()
        .with_cancellation_token(stop)
        .with_allowed_origins(["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"]);
    if !address.ip().is_loopback() {
        // Under which names it is reached from outside is not known here; the token guards it.
        config = config.disable_allowed_hosts();
    }
    StreamableHttpService::new(move || Ok(server.clone()), Arc::new(sessions), config)
}

async fn authorize<G: Guard>(State(guard): State<G>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    match guard.admits(given) {
        Ok(true) => next.run(request).await,
        Ok(false) => {
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
            (StatusCode::UNAUTHORIZED, challenge, "bearer token required").into_response()
        }
        Err(unknown) => (StatusCode::INTERNAL_SERVER_ERROR, unknown).into_response(),
    }
}
