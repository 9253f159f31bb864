//! `workspace-mcp`: the files, repositories and commands of one workspace over MCP. stdout belongs to the protocol; talk goes to
//! stderr.

mod answer;
mod error;
mod fetch;
mod files;
mod git;
mod jobs;
mod large;
mod resources;
mod root;
mod server;
mod stop;
mod text;
mod tools;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::{Parser, Subcommand};
use sandboxed_mcp::{http, stdio};

use crate::{jobs::Jobs, root::Root, server::Server};

/// Longest line of a client: the longest content of a file with every character escaped, so that what is too large is
/// refused by the name of its field.
pub const MAX_LINE: usize = 64 << 20;

/// Lets an agent read, change, search and run what is in one directory, over MCP on stdin and stdout.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Args {
    /// The workspace: nothing outside of it is read or written by the tools for files
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
    /// Directory for jobs and their output [default: .workspace-mcp in the workspace]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
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
    /// Parent of the jobs of a workspace; started by the server
    #[command(hide = true)]
    RunJobs {
        #[arg(long)]
        control: PathBuf,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    sandboxed_mcp::log_to_stderr();
    let served = match args.internal {
        // Before there is a second thread: the runner forks.
        Some(Internal::RunJobs { control }) => jobs::serve(&control).map_err(anyhow::Error::msg),
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
    let root = Root::new(&args.root)
        .with_context(|| format!("cannot open the workspace {}", args.root.display()))?;
    let root = Arc::new(root);
    let state_dir = args.state_dir.map(std::path::absolute).transpose().context("the state directory")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let old = Arc::clone(&root);
        tokio::task::spawn_blocking(move || files::empty_trash(&old));
        let server = Server::new(Jobs::new(Arc::clone(&root), state_dir), root);
        match (args.http, args.token_file) {
            (Some(address), Some(file)) => http::serve(server, address, &file).await,
            _ => stdio::serve(server, MAX_LINE).await,
        }
    });
    // A read of stdin that is not a pipe cannot be interrupted; it must not hold the exit up.
    runtime.shutdown_background();
    result
}
