//! `mission`: its verbs, and what each takes.

use clap::{Args, Subcommand, ValueEnum};
use sandboxed_domain::api::{Decision, PermissionMode};
use uuid::Uuid;

use super::JsonArg;

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
