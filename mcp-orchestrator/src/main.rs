//! `mcp-orchestrator`: the boss's and the worker's tools over MCP. A thin door: every tool is one call of the
//! daemon, which is started when it is not there. stdout belongs to the protocol; talk goes to stderr.

mod arguments;
mod daemon;
mod http;
mod identity;
mod server;
mod tools;
mod wait;

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use sandboxed_client::Settings;
use sandboxed_mcp::stdio;

use crate::{daemon::Daemon, identity::Identity, server::Orchestrator};

/// Longest line of a client, as much as the daemon takes over HTTP: what is too large is then refused by the name of its
/// field.
const MAX_LINE: usize = 72 << 20;

/// Lets a boss agent run workers in sandboxes, over MCP on stdin and stdout.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Name of this boss; a new session of the same name finds its workers [default: the working directory]
    #[arg(long, value_name = "NAME")]
    boss: Option<String>,
    /// Longest time wait_for_any_worker blocks: 20 s below the client's tool time-out [default: by client]
    #[arg(long, value_name = "SECONDS", env = "SANDBOXED_SH_MAX_WAIT")]
    max_wait: Option<u64>,
    /// Workspace of the workers: an id, a name or `host` [default: a container of this repository]
    #[arg(long, value_name = "ID|host")]
    workspace: Option<String>,
    /// Serve streamable HTTP at http://ADDR/mcp instead of stdio; asks for the daemon's bearer token
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    sandboxed_mcp::log_to_stderr();
    let served = tokio::runtime::Builder::new_multi_thread().enable_all().build().map(|runtime| {
        let result = runtime.block_on(serve(args));
        // A read of stdin that is not a pipe cannot be interrupted; it must not hold the exit up.
        runtime.shutdown_background();
        result
    });
    match served.map_err(anyhow::Error::from).and_then(|result| result) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!("{e:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let settings = Settings::from_env()?;
    let identity = Identity::find(args.boss, args.workspace, &settings)?;
    let daemon = Arc::new(Daemon::new(settings, identity.caller.clone())?);
    let orchestrator = Orchestrator::new(daemon, identity.role, args.max_wait.map(Duration::from_secs));
    match args.http {
        Some(address) => http::serve(orchestrator, address).await,
        None => {
            let result = stdio::serve(orchestrator.clone(), MAX_LINE).await;
            // Workers go on.
            orchestrator.shut_down();
            result
        }
    }
}
