//! MCP on stdin and stdout. Ends with stdin, or on SIGTERM and SIGINT; workers go on.

use rmcp::{ServiceExt, service::ServerInitializeError, transport::io::stdio_pipes};
use tokio::signal::unix::{SignalKind, signal};

use crate::server::Orchestrator;

/// Serves until the client goes.
pub async fn serve(orchestrator: Orchestrator) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let serving = async {
        match orchestrator.clone().serve(stdio_pipes()).await {
            Ok(running) => running.waiting().await.map(drop)?,
            // A client that only looked what this is, and left.
            Err(ServerInitializeError::ConnectionClosed(_)) => {}
            Err(e) => return Err(e.into()),
        }
        anyhow::Ok(())
    };
    let result = tokio::select! {
        result = serving => result,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    orchestrator.shut_down();
    result
}
