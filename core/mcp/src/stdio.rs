//! MCP on stdin and stdout. Ends with stdin, or on SIGTERM and SIGINT.

use rmcp::{
    ServerHandler, ServiceExt,
    service::ServerInitializeError,
    transport::{async_rw::AsyncRwTransport, io::stdio_pipes},
};
use tokio::signal::unix::{SignalKind, signal};

/// Serves until the client goes. A line longer than `max_line` bytes is dropped without an answer, because its end is
/// not awaited and its id not known: the bound is better above what a tool takes.
///
/// # Errors
/// The handshake or the transport failed.
pub async fn serve<S: ServerHandler>(server: S, max_line: usize) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let serving = async {
        let (stdin, stdout) = stdio_pipes();
        let transport = AsyncRwTransport::new_server(stdin, stdout).with_max_line_length(max_line);
        match server.serve(transport).await {
            Ok(running) => running.waiting().await.map(drop)?,
            // A client that only looked what this is, and left.
            Err(ServerInitializeError::ConnectionClosed(_)) => {}
            Err(e) => return Err(e.into()),
        }
        anyhow::Ok(())
    };
    tokio::select! {
        result = serving => result,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
