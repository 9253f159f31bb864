//! `workspace`: its verbs, and what each takes.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::JsonArg;

/// Verbs of `workspace`. A workspace is named by its id or its name; `host` is the machine itself.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "the fields of a variant are explained where their type is")]
pub enum WorkspaceVerb {
    /// Create one
    Create(WorkspaceCreateArgs),
    /// List them
    List {
        #[command(flatten)]
        json: JsonArg,
    },
    /// Show one
    Show {
        workspace: String,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Build its image where it is missing
    Build { workspace: String },
    /// Start its sandbox
    Start { workspace: String },
    /// Stop its sandbox and what runs in it
    Stop { workspace: String },
    /// Remove it with its files; asks before it loses what is nowhere else
    Destroy {
        workspace: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Run a program in it and exit with its status
    Exec(WorkspaceExecArgs),
    /// Open a shell in it, or another program at a terminal
    Shell(WorkspaceShellArgs),
    /// List the files that a fork changed
    Diff {
        workspace: String,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Carry a fork's files over to the workspace that it came from
    Apply(WorkspaceApplyArgs),
}

/// Network of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NetworkArg {
    /// The host's
    Host,
    /// Loopback only
    None,
    /// The public internet, outwards only
    Nat,
    /// Only the hosts of --allow-host
    Allowlist,
}

/// `workspace create`.
#[derive(Debug, Args)]
pub struct WorkspaceCreateArgs {
    /// Lower-case name, unique
    pub name: String,
    /// Directory of this machine, writable inside at its own path; may be given several times
    #[arg(long = "bind", value_name = "PATH")]
    pub binds: Vec<PathBuf>,
    /// Template of its image: minimal, development, desktop, browser or one of the Library [default: minimal]
    #[arg(long)]
    pub template: Option<String>,
    /// How it reaches the network [default: the template's, else the host's]
    #[arg(long, value_enum)]
    pub network: Option<NetworkArg>,
    /// For `allowlist`: example.org, *.example.org, example.org:8443; may be given several times
    #[arg(long = "allow-host", value_name = "HOST")]
    pub allow_hosts: Vec<String>,
    /// Memory of one run in bytes
    #[arg(long, value_name = "BYTES")]
    pub memory_bytes: Option<u64>,
    /// CPU of one run in thousandths of a core
    #[arg(long, value_name = "MILLIS")]
    pub cpu_millis: Option<u32>,
    /// Disk of the workspace in bytes, all of its files together
    #[arg(long, value_name = "BYTES")]
    pub disk_bytes: Option<u64>,
    /// Processes and threads of one run
    #[arg(long)]
    pub pids: Option<u32>,
    /// Print JSON.
    #[command(flatten)]
    pub json: JsonArg,
}

/// `workspace exec`.
#[derive(Debug, Args)]
pub struct WorkspaceExecArgs {
    /// Which workspace
    pub workspace: String,
    /// Directory inside
    #[arg(long)]
    pub cwd: Option<String>,
    /// Longest time
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// Print JSON.
    #[command(flatten)]
    pub json: JsonArg,
    /// Program and arguments
    #[arg(last = true, required = true)]
    pub argv: Vec<String>,
}

/// `workspace shell`.
#[derive(Debug, Args)]
pub struct WorkspaceShellArgs {
    /// Which workspace
    pub workspace: String,
    /// Directory inside
    #[arg(long)]
    pub cwd: Option<String>,
    /// Program and arguments [default: a login shell]
    #[arg(last = true)]
    pub argv: Vec<String>,
}

/// `workspace apply`.
#[derive(Debug, Args)]
pub struct WorkspaceApplyArgs {
    /// Which fork
    pub workspace: String,
    /// Files and directories inside; all that `workspace diff` lists when none is named
    pub paths: Vec<String>,
    /// Take the fork's side where the workspace has changed the same since
    #[arg(long)]
    pub force: bool,
    /// Print JSON.
    #[command(flatten)]
    pub json: JsonArg,
}
