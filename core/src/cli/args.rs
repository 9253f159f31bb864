//! The command line: noun, verb.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sandboxed_domain::api::{Decision, PermissionMode};
use sandboxed_domain::smoke::Expectation;
use uuid::Uuid;

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
        verb: super::library::LibraryVerb,
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

/// Verbs of `mission`.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "the fields of a variant are explained where their type is")]
pub enum MissionVerb {
    /// Create one; with a prompt it starts at once
    Create(MissionCreateArgs),
    /// List them, newest first
    List(MissionListArgs),
    /// Show one
    Show {
        id: Uuid,
        #[command(flatten)]
        json: JsonArg,
    },
    /// Show what happened, in order
    Events(MissionEventsArgs),
    /// Send a message; `-` reads it from stdin
    Send {
        id: Uuid,
        message: String,
        /// Into the turn that runs, where the backend can, instead of the next one
        #[arg(long)]
        into_running_turn: bool,
    },
    /// Stop what it does
    Cancel { id: Uuid },
    /// Go on after its end
    Resume {
        id: Uuid,
        /// The next message; `-` reads it from stdin
        message: Option<String>,
    },
    /// Remove an ended one with its files, never with work that is nowhere else
    Delete { id: Uuid },
    /// List what waits for an answer: permissions, questions and plans
    Requests {
        #[command(flatten)]
        json: JsonArg,
    },
    /// Answer one of them; the first answer counts
    Answer {
        /// Id of the request
        request: String,
        /// For a permission; for a plan, allow or deny
        decision: Option<DecisionArg>,
        /// For a question the answer, for a denial the reason; `-` reads it from stdin
        #[arg(long, value_name = "TEXT")]
        answer: Option<String>,
    },
}

/// What a request is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum DecisionArg {
    /// This once
    Allow,
    /// This and all equal ones of the mission
    AllowAlways,
    /// No
    Deny,
}

impl From<DecisionArg> for Decision {
    fn from(arg: DecisionArg) -> Self {
        match arg {
            DecisionArg::Allow => Self::Allow,
            DecisionArg::AllowAlways => Self::AllowAlways,
            DecisionArg::Deny => Self::Deny,
        }
    }
}

/// Whether an agent asks before it acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum PermissionArg {
    /// It asks for what is not allowed
    Default,
    /// It reads and plans, and asks for approval
    Plan,
    /// It asks, but not for edits of files
    AcceptEdits,
    /// It asks for nothing
    Bypass,
}

impl From<PermissionArg> for PermissionMode {
    fn from(arg: PermissionArg) -> Self {
        match arg {
            PermissionArg::Default => Self::Default,
            PermissionArg::Plan => Self::Plan,
            PermissionArg::AcceptEdits => Self::AcceptEdits,
            PermissionArg::Bypass => Self::Bypass,
        }
    }
}

/// `mission create`.
#[derive(Debug, Default, Args)]
pub struct MissionCreateArgs {
    /// The first message; `-` reads it from stdin
    pub prompt: Option<String>,
    /// Short name for people
    #[arg(long)]
    pub title: Option<String>,
    /// Agent that does it (see `backend list`)
    #[arg(long)]
    pub backend: Option<String>,
    /// Model instead of the backend's own
    #[arg(long)]
    pub model: Option<String>,
    /// low, medium, high, xhigh or max
    #[arg(long)]
    pub effort: Option<String>,
    /// Whether it asks before it acts [default: bypass in a sandbox, default on the host]
    #[arg(long, value_name = "MODE")]
    pub permission_mode: Option<PermissionArg>,
    /// Id or name of a workspace, or `host`
    #[arg(long)]
    pub workspace: Option<String>,
    /// Directory to work in
    #[arg(long, value_name = "PATH")]
    pub working_directory: Option<String>,
    /// Profile of the Library
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Agent of the Library whose role it has
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// MCP server beside those of the profile; may be given again
    #[arg(long = "mcp", value_name = "NAME")]
    pub mcps: Vec<String>,
    /// Print JSON.
    #[command(flatten)]
    pub json: JsonArg,
}

/// `mission list`.
#[derive(Debug, Default, Args)]
pub struct MissionListArgs {
    /// Only these statuses, separated by commas
    #[arg(long)]
    pub status: Option<String>,
    /// Only workers of this mission
    #[arg(long, value_name = "ID")]
    pub parent: Option<Uuid>,
    /// Only missions of this workspace
    #[arg(long, value_name = "ID")]
    pub workspace: Option<Uuid>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub limit: u32,
    /// Go on where the last page ended
    #[arg(long)]
    pub cursor: Option<String>,
    /// Print JSON.
    #[command(flatten)]
    pub json: JsonArg,
}

/// `mission events`.
#[derive(Debug, Args)]
pub struct MissionEventsArgs {
    /// Which mission
    pub id: Uuid,
    /// Only what comes after this sequence
    #[arg(long, value_name = "SEQUENCE")]
    pub since: Option<i64>,
    /// At most so many; default all
    #[arg(long, conflicts_with = "follow")]
    pub limit: Option<u64>,
    /// Only these types, separated by commas
    #[arg(long, conflicts_with = "follow")]
    pub types: Option<String>,
    /// Go on with what happens, until the mission ends
    #[arg(long)]
    pub follow: bool,
    /// One JSON document a line.
    #[command(flatten)]
    pub json: JsonArg,
}

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
    /// Template of its image: minimal, development, desktop or one of the Library [default: minimal]
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("sandboxed-sh").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_of_the_contract_is_there() {
        let id = "018f2d1e-0000-7000-8000-000000000000";
        let lines = [
            "serve --host 127.0.0.1 --port 3001 --no-token",
            "serve --token-file /t",
            "daemon start --port 3001 --token -",
            "daemon stop",
            "daemon status --json",
            "doctor --fix --json",
            "demo --backend claudecode --repo /r --keep",
            "smoke --backend codex --model gpt-5.5 --without thinking,usage --json",
            "connect claude --write",
            "connect codex",
            "mission create do-it --backend command --workspace w --json",
            "mission list --status active,pending --limit 5 --json",
            "mission show ID --json",
            "mission events ID --follow --json --since 3",
            "mission send ID hello",
            "mission send ID hello --into-running-turn",
            "mission cancel ID",
            "mission resume ID",
            "mission delete ID",
            "workspace create w --bind /a --bind /b --network none",
            "workspace list --json",
            "workspace show w",
            "workspace build w",
            "workspace start w",
            "workspace stop w",
            "workspace destroy w",
            "workspace destroy w --yes",
            "workspace exec w --timeout 5 -- ls -la --json",
            "workspace shell w",
            "workspace shell w --cwd /tmp -- top",
            "workspace diff w --json",
            "workspace apply w /etc/a --force",
            "backend list --json",
        ];
        for line in lines {
            assert!(parse(&line.replace("ID", id)).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for line in [
            "",
            "daemon",
            "daemon restart",
            "daemon start --port 0",
            "daemon start --no-token --token -",
            "daemon start --token-file /t --token -",
            "mission show not-an-id",
            "mission list --limit 201",
            "workspace exec w ls",
            "workspace exec w",
            "workspace create w --network bridge",
            "smoke",
            "smoke --backend codex --without nonsense",
            "connect gemini",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
