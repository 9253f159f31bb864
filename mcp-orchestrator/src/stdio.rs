//! MCP on stdin and stdout. Ends with stdin, or on SIGTERM and SIGINT; workers go on.

use rmcp::{
    ServiceExt,
    service::ServerInitializeError,
    transport::{async_rw::AsyncRwTransport, io::stdio_pipes},
};
use tokio::signal::unix::{SignalKind, signal};

use crate::server::Orchestrator;

/// Longest line of a client, as much as the daemon takes over HTTP: what is too large is then refused by the name of its
/// field. A longer line is dropped without an answer, because its end is not awaited and its id not known.
const MAX_LINE: usize = 72 << 20;

/// Serves until the client goes.
pub async fn serve(orchestrator: Orchestrator) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let serving = async {
        let (stdin, stdout) = stdio_pipes();
        let transport = AsyncRwTransport::new_server(stdin, stdout).with_max_line_length(MAX_LINE);
        match orchestrator.clone().serve(transport).await {
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
