//! The nouns, and the verbs and options of those that are small.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sandboxed_domain::smoke::Expectation;

use super::{MissionVerb, WorkspaceVerb};

/// Runs worker agents in sandboxes, for a boss agent that connects over MCP.
#[derive(Debug, Parser)]
#[command(name = "sandboxed-sh", version, propagate_version = true)]
#[command(
    after_help = "Exit status: 0 ok, 1 failed, 2 usage, 3 not running or not found, 4 refused, 5 timed out."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The nouns, and the verbs that need none.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "the fields of a variant are explained where their type is")]
pub enum Command {
    /// Serve in the foreground
    Serve(AddressArgs),
    /// Start, stop and look at the daemon
    Daemon {
        #[command(subcommand)]
        verb: DaemonVerb,
    },
    /// Check what this machine needs, and mend it with --fix
    Doctor(DoctorArgs),
    /// Let four workers change a small repository, from image to merge
    Demo(DemoArgs),
    /// Try a live backend: two messages to one mission, and what was expected of it
    Smoke(SmokeArgs),
    /// Print, or install with --write, the MCP settings of a boss's client
    Connect(ConnectArgs),
    /// Conversations with an agent
    Mission {
        #[command(subcommand)]
        verb: MissionVerb,
    },
    /// Places where missions run
    Workspace {
        #[command(subcommand)]
        verb: WorkspaceVerb,
    },
    /// What agents are given: skills, rules, commands, agents, MCP servers
    Library {
        #[command(subcommand)]
        verb: crate::cli::library::LibraryVerb,
    },
    /// Tell what old ended missions take, and remove them with --apply; never work that is nowhere else
    Cleanup(CleanupArgs),
    /// The way out of a sandbox; started by its launcher
    #[command(hide = true)]
    Egress {
        #[command(subcommand)]
        mode: EgressMode,
    },
    /// Agents that can be used
    Backend {
        #[command(subcommand)]
        verb: BackendVerb,
    },
}

/// `egress`.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "the fields of a variant are explained where their type is")]
pub enum EgressMode {
    /// Everything of the public internet
    Nat,
    /// Named hosts
    Allowlist { rules: Vec<sandboxed_domain::sandbox::AllowRule> },
}

/// Where the daemon listens and which token it wants.
#[derive(Debug, Clone, Default, Args)]
pub struct AddressArgs {
    /// Address to listen on [default: SANDBOXED_SH_HOST or 127.0.0.1]
    #[arg(long, value_name = "IP")]
    pub host: Option<String>,
    /// Port to listen on [default: SANDBOXED_SH_PORT or 3000]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// File with the bearer token [default: SANDBOXED_SH_TOKEN_FILE or <data dir>/token]
    #[arg(long, value_name = "PATH", conflicts_with_all = ["token", "no_token"])]
    pub token_file: Option<PathBuf>,
    /// `-` reads the bearer token from stdin; a token itself is refused here, everybody can read argv
    #[arg(long, value_name = "-", conflicts_with = "no_token")]
    pub token: Option<String>,
    /// Ask nobody for a token; loopback only
    #[arg(long)]
    pub no_token: bool,
}

/// `--json`.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct JsonArg {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Verbs of `daemon`.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "the fields of a variant are explained where their type is")]
pub enum DaemonVerb {
    /// Start it in the background unless it runs
    Start {
        #[command(flatten)]
        address: AddressArgs,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Stop it; missions go on in their sandboxes
    Stop {
        #[command(flatten)]
        address: AddressArgs,
    },
    /// Tell whether it runs; exit status 3 when it does not
    Status {
        #[command(flatten)]
        address: AddressArgs,
        #[command(flatten)]
        json: JsonArg,
    },
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Mend what can be: packages, modules, limits, and the programs that run inside sandboxes
    #[arg(long)]
    pub fix: bool,
    /// Print JSON.
    #[command(flatten)]
    pub json: JsonArg,
}

/// `cleanup`.
#[derive(Debug, Args)]
pub struct CleanupArgs {
    /// Remove; without it nothing is touched
    #[arg(long)]
    pub apply: bool,
    /// Days that completed and cancelled missions are kept
    #[arg(long, value_name = "DAYS", default_value_t = 7)]
    pub completed_days: u32,
    /// Days that all others are kept
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub failed_days: u32,
    /// Print JSON.
    #[command(flatten)]
    pub json: JsonArg,
}

/// `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// What the workers are: `command` needs no API key
    #[arg(long, value_name = "BACKEND", default_value = "command")]
    pub backend: String,
    /// Work on this repository, and merge into its current branch [default: a new sample in the home directory]
    #[arg(long, value_name = "PATH")]
    pub repo: Option<PathBuf>,
    /// Leave the daemon and the sandbox running
    #[arg(long)]
    pub keep: bool,
}

/// `smoke`.
#[derive(Debug, Clone, Args)]
pub struct SmokeArgs {
    /// Which backend (see `backend list`)
    #[arg(long, value_name = "BACKEND")]
    pub backend: String,
    /// Model instead of the backend's own
    #[arg(long)]
    pub model: Option<String>,
    /// low, medium, high, xhigh or max
    #[arg(long)]
    pub effort: Option<String>,
    /// Id or name of a workspace [default: a new one that is removed afterwards]
    #[arg(long)]
    pub workspace: Option<String>,
    /// Longest time for both messages
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(5..=3600))]
    pub timeout: u64,
    /// What this backend or model cannot show, separated by commas; for instance thinking
    #[arg(long, value_name = "EXPECTATIONS", value_delimiter = ',', value_parser = expectation)]
    pub without: Vec<Expectation>,
    /// Leave mission, workspace and daemon as they are at the end
    #[arg(long)]
    pub keep: bool,
    /// Print JSON.
    #[command(flatten)]
    pub json: JsonArg,
}

fn expectation(name: &str) -> Result<Expectation, String> {
    let known = || Expectation::ALL.map(Expectation::as_str).join(", ");
    Expectation::parse(name).ok_or_else(|| format!("use one of: {}", known()))
}

/// A client that can be a boss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClientKind {
    /// Claude Code: `.mcp.json` of the current directory
    Claude,
    /// Codex: `config.toml` in CODEX_HOME or ~/.codex
    Codex,
}

/// `connect`.
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// Which client
    pub client: ClientKind,
    /// Write the settings, keeping all others, and install the boss's skill
    #[arg(long)]
    pub write: bool,
}

/// Verbs of `backend`.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "the fields of a variant are explained where their type is")]
pub enum BackendVerb {
    /// List them with what each needs
    List {
        #[command(flatten)]
        json: JsonArg,
    },
    /// Install their programs from npm, for all sandboxes
    Install {
        /// Which, by their ids
        #[arg(value_name = "BACKEND", required_unless_present = "all")]
        backends: Vec<String>,
        /// Every one
        #[arg(long, conflicts_with = "backends")]
        all: bool,
    },
}
