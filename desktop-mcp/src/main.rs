//! `desktop-mcp`: desktops of one's own over MCP. stdout belongs to the protocol; talk goes to stderr.

use std::{io, net::SocketAddr, os::fd::AsFd, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use desktop_mcp::{server::Server, session};
use sandboxed_mcp::{http, stdio};

/// Longest line of a client: the longest text that is typed or put on the clipboard, with every character escaped.
const MAX_LINE: usize = 16 << 20;

/// Gives an agent desktops with a screen, mouse and keys, over MCP on stdin and stdout.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Args {
    /// Serve streamable HTTP at http://ADDR/mcp instead of stdio; asks for the bearer token of --token-file
    #[arg(long, value_name = "ADDR", requires = "token_file")]
    http: Option<SocketAddr>,
    /// File with the bearer token for --http; made with mode 0600 when it is not there
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(subcommand)]
    internal: Option<Internal>,
}

#[derive(Debug, Subcommand)]
enum Internal {
    /// Parent of everything in a desktop; started by the server
    #[command(hide = true)]
    KeepDesktop { directory: PathBuf },
}

fn main() -> ExitCode {
    let args = Args::parse();
    sandboxed_mcp::log_to_stderr();
    let served = match args.internal {
        // Its standard input is the socket to its server. Before there is a second thread: it forks.
        Some(Internal::KeepDesktop { directory }) => io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .and_then(|socket| session::keep(socket, &directory))
            .map_err(anyhow::Error::from),
        None => run(args),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!("{e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let server = Server::default();
        let served = match (args.http, args.token_file) {
            (Some(address), Some(file)) => http::serve(server.clone(), address, &file).await,
            _ => stdio::serve(server.clone(), MAX_LINE).await,
        };
        server.desktops().stop_all().await;
        served
    });
    // A read of stdin that is not a pipe cannot be interrupted; it must not hold the exit up.
    runtime.shutdown_background();
    result
}
