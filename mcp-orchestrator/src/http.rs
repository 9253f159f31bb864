//! MCP over streamable HTTP, behind the daemon's own bearer token.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, bail};
use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService,
    session::local::{LocalSessionManager, SessionConfig},
};
use sandboxed_client::{Token, TokenSource};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::server::Orchestrator;

/// Serves `http://ADDR/mcp` until SIGTERM or SIGINT.
pub async fn serve(orchestrator: Orchestrator, address: SocketAddr) -> anyhow::Result<()> {
    // The daemon makes the token at its first start.
    orchestrator.daemon().ensure().await?;
    let token = orchestrator.daemon().settings().token.clone();
    if token.read()?.is_none() && !address.ip().is_loopback() {
        bail!(
            "refusing to listen on {address} without a token: set SANDBOXED_SH_TOKEN_FILE, or use a loopback address"
        );
    }
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let app = Router::new()
        .nest_service("/mcp", service(&orchestrator, address, stop.clone()))
        .layer(from_fn_with_state(Guard { token, loopback: address.ip().is_loopback() }, authorize));
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    tracing::warn!("serving MCP at http://{}/mcp", listener.local_addr()?);
    let signalled = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    };
    axum::serve(listener, app).with_graceful_shutdown(signalled).await?;
    orchestrator.shut_down();
    Ok(())
}

fn service(
    orchestrator: &Orchestrator,
    address: SocketAddr,
    stop: CancellationToken,
) -> StreamableHttpService<Orchestrator, LocalSessionManager> {
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
    let orchestrator = orchestrator.clone();
    StreamableHttpService::new(move || Ok(orchestrator.clone()), Arc::new(sessions), config)
}

/// What a request must show.
#[derive(Clone)]
struct Guard {
    token: TokenSource,
    loopback: bool,
}

/// Asks for the token as it is now. Without one only a loopback listener is open, as the daemon itself is.
async fn authorize(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let given = given.and_then(|v| v.strip_prefix("Bearer ")).unwrap_or_default();
    match guard.token.read() {
        Ok(None) if guard.loopback => next.run(request).await,
        Ok(Some(token)) if same(&token, given) => next.run(request).await,
        Ok(_) => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "bearer token required")
            .into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}

/// Compares in a time that depends on the length alone.
fn same(token: &Token, given: &str) -> bool {
    let (a, b) = (token.expose().as_bytes(), given.as_bytes());
    a.len() == b.len() && a.iter().zip(b).fold(0, |diff, (x, y)| diff | (x ^ y)) == 0
}
