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

/// Serves `http://ADDR/mcp` until SIGTERM or SIGINT.
///
/// # Errors
/// The token's file or the address cannot be used.
pub async fn serve<S: ServerHandler + Clone>(
    server: S,
    address: SocketAddr,
    file: &Path,
) -> anyhow::Result<()> {
    let token = Token::of_file(file).with_context(|| format!("the token's file {}", file.display()))?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let app = Router::new()
        .nest_service("/mcp", service(server, address, stop.clone()))
        .layer(from_fn_with_state(token, authorize));
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

async fn authorize(State(token): State<Token>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match given.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(given) if token.is(given) => next.run(request).await,
        _ => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "bearer token required")
            .into_response(),
    }
}
