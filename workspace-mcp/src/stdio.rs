//! MCP on stdin and stdout. Ends with stdin, or on SIGTERM and SIGINT; jobs that are not durable end with it.

use rmcp::{
    ServiceExt,
    service::ServerInitializeError,
    transport::{async_rw::AsyncRwTransport, io::stdio_pipes},
};
use tokio::signal::unix::{SignalKind, signal};

use crate::server::Server;

/// Longest line of a client: the longest content of a file with every character escaped, so that what is too large is
/// refused by the name of its field. A longer line is dropped without an answer, because its end is not awaited and its
/// id not known.
pub const MAX_LINE: usize = 64 << 20;

/// Serves until the client goes.
pub async fn serve(server: Server) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let serving = async {
        let (stdin, stdout) = stdio_pipes();
        let transport = AsyncRwTransport::new_server(stdin, stdout).with_max_line_length(MAX_LINE);
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
