//! MCP over streamable HTTP, behind the daemon's own bearer token.

use std::net::SocketAddr;

use anyhow::bail;
use sandboxed_client::{Token, TokenSource};
use sandboxed_mcp::http::{Guard, serve_behind};

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
    let guard = Daemons { token, loopback: address.ip().is_loopback() };
    serve_behind(orchestrator.clone(), address, guard).await?;
    orchestrator.shut_down();
    Ok(())
}

/// Asks for the daemon's token as it is now. Without one only a loopback listener is open, as the daemon itself is.
#[derive(Clone)]
struct Daemons {
    token: TokenSource,
    loopback: bool,
}

impl Guard for Daemons {
    fn admits(&self, given: &str) -> Result<bool, String> {
        match self.token.read() {
            Ok(None) => Ok(self.loopback),
            Ok(Some(token)) => Ok(same(&token, given)),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Compares in a time that depends on the length alone.
fn same(token: &Token, given: &str) -> bool {
    let (a, b) = (token.expose().as_bytes(), given.as_bytes());
    a.len() == b.len() && a.iter().zip(b).fold(0, |diff, (x, y)| diff | (x ^ y)) == 0
}
