//! The stub model server for a shell: prints its URL as the first line of stdout and serves until killed.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;
use clap::Parser;
use sandboxed_testkit::stub::{Script, StubModel};

/// A model server that answers from a script.
#[derive(Parser)]
struct Args {
    /// Port on the loopback; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The script, a JSON file; without it, every conversation gets "ok".
    #[arg(long)]
    script: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let script = match &args.script {
        Some(path) => {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Script::from_json(&text).with_context(|| path.display().to_string())?
        }
        None => Script::default(),
    };
    let stub = StubModel::start_on(args.port, script).await.context("cannot listen")?;
    writeln!(io::stdout(), "{}", stub.base_url())?;
    Ok(stub.serve().await?)
}
