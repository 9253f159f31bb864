//! Codex through `codex app-server`: JSON-RPC, one message a line, on stdin and stdout (written against 0.169.0).
//!
//! # Where its files go
//! Everything lives in the mission's own directory, which is HOME; its `.codex` is `CODEX_HOME`. A project's own
//! `AGENTS.md` and `.codex` stay in force beside ours: the working directory is named as trusted.
//!
//! | file in the mission's directory | what it is |
//! |---|---|
//! | `.codex/config.toml` | provider, MCP servers, what would call home switched off; written anew for each run |
//! | `.codex/AGENTS.md` | the instructions, read as the user's own |
//! | `.codex/skills/` | the user's skills, and commands, of which it knows none |
//! | `.codex/agents/` | roles of its sub-agents |
//! | `.codex/auth.json`, `.codex/auth.lock` | links to the user's login, where it is lent and no key is given |
//!
//! A key stays in the environment of the one process: a provider of our own names its variable, since the built-in
//! one takes a key only from `auth.json`. Commands and MCP servers do not get it.
//!
//! # The protocol
//! ```text
//! -> initialize                     <- its result
//! -> initialized, thread/start      <- thread   (or thread/resume, then thread/goal/get)
//! -> turn/start                     <- turn/started, item/started, deltas, item/completed …
//! <- item/…/requestApproval         -> {decision}                  (permission or question)
//! -> turn/interrupt                 <- turn/completed              (the only end of a turn)
//! -> thread/backgroundTerminals/clean
//! ```
//! The first message opens the handshake and waits in the codec's state. A `turn/start` while a turn runs is taken
//! into that turn. An interrupt leaves the running command alive, so the turn counts as over only when the
//! terminals are cleaned. A session's file is written with its first turn; only then is the session announced.
//!
//! # Plans
//! In plan mode Codex offers a plan and ends its turn. The codec makes a request of it, which nobody but us waits for:
//! with the approval the next turn carries it out, a refusal goes to the model as the next message of planning.
//!
//! # Goals
//! A message `/goal OBJECTIVE` (or `/goal --tokens 50000 OBJECTIVE`) sets a goal: Codex starts turn after turn by
//! itself, and the mission's turn is over when the goal is: complete is a success, a used up budget and a usage limit
//! are failures, a block counts as an interrupt. An interrupt pauses it. `/goal resume` goes on with an unfinished goal, `/goal clear`
//! gives it up; any other message to a session with an unfinished goal is heard first, and then the goal goes on. A
//! goal whose process was killed goes on by itself when its session is resumed.

mod codec;
mod goal;
mod handshake;
mod items;
mod login;
mod models;
mod notices;
mod plan;
mod requests;
mod rpc;
mod state;
mod turn;

use super::{
    AgentForm, CODEX, Capabilities, Codec, Harness, HostVariable, LaunchPlan, LaunchRequest, LibraryPlaces,
    LoginFile, NativePlace, Program,
};
use crate::api::{ApiError, AuthKind, Effort};

const API_KEY: &str = "OPENAI_API_KEY";
const OTHER_API_KEY: &str = "CODEX_API_KEY";
const BASE_URL: &str = "OPENAI_BASE_URL";

const HOST_VARIABLES: &[HostVariable] = &[
    HostVariable { name: API_KEY, auth: AuthKind::ApiKey },
    HostVariable { name: OTHER_API_KEY, auth: AuthKind::ApiKey },
    HostVariable { name: BASE_URL, auth: AuthKind::None },
];

/// See the module.
pub(super) struct Codex;

impl Harness for Codex {
    fn id(&self) -> &'static str {
        "codex"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { steer: true, ..Capabilities::AGENT }
    }

    fn program(&self) -> Option<&'static Program> {
        Some(&CODEX)
    }

    fn host_variables(&self) -> &'static [HostVariable] {
        HOST_VARIABLES
    }

    fn login(&self) -> Option<&'static LoginFile> {
        Some(&login::FILE)
    }

    fn check_model(&self, model: Option<&str>, effort: Option<Effort>) -> Result<Option<String>, ApiError> {
        models::check(model, effort)
    }

    fn session_keeps_message(&self) -> bool {
        true
    }

    fn skills_dir(&self) -> Option<&'static str> {
        Some(".codex/skills")
    }

    fn library_places(&self) -> LibraryPlaces {
        LibraryPlaces {
            agents: Some((".codex/agents", AgentForm::Toml)),
            commands: None,
            native: Some(NativePlace {
                folder: "codex",
                home: ".codex",
                settings: "config.toml",
                written: None,
                instructions: "AGENTS.md",
                // The first would stand in the place of our instructions.
                reserved: &["AGENTS.override.md", "auth.json", "skills", "agents"],
            }),
        }
    }

    fn plan(&self, request: &LaunchRequest) -> Result<LaunchPlan, ApiError> {
        plan::plan(self, request)
    }

    fn codec(&self) -> Box<dyn Codec + Send> {
        Box::new(codec::CodexCodec::default())
    }
}
