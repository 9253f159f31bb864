//! Claude Code through its stream-json protocol, both ways (written against 2.1.329).
//!
//! # Where its files go
//! Everything lives in the mission's own directory, which is HOME; its `.claude` is `CLAUDE_CONFIG_DIR`. Nothing
//! is written into the working directory, so a worktree stays clean and a user's own `CLAUDE.md` and `.claude`
//! there stay in force beside ours.
//!
//! | file in the mission's directory | how it comes into force |
//! |---|---|
//! | `.claude/CLAUDE.md` | read as the user's memory file of `CLAUDE_CONFIG_DIR`, whatever the working directory |
//! | `.claude/skills/`, `.claude/agents/`, `.claude/commands/` | the user's skills, agents and commands |
//! | `.claude/settings.local.json` | given by `--settings`, since only a project's file of this name is read unasked |
//! | `.claude/mcp.json` | given by `--mcp-config`; `--strict-mcp-config` keeps a repository's `.mcp.json` out |
//! | `.keyless.bash` | read before each command (`CLAUDE_ENV_FILE`): the CLI hands its environment on, and the key is not for them |
//!
//! # The protocol
//! ```text
//! -> user (uuid)            <- command_lifecycle queued, started
//!                           <- system/init, stream_event*, assistant (one a content block), user (tool results)
//! -> control_request        <- control_response
//! <- control_request        -> control_response       (permission or question)
//!                           <- result                 (the only end of a turn), command_lifecycle completed
//! ```
//! Messages sent during a turn become the next turn of the same process, all that wait together; a `uuid` seen
//! before is ignored. An interrupt withdraws open requests (`control_cancel_request`). Closing stdin ends the
//! process.

mod blocks;
mod codec;
mod control;
mod login;
mod plan;
mod result;

use super::{
    AgentForm, CLAUDE, Capabilities, Codec, Harness, HostVariable, LaunchPlan, LaunchRequest, LibraryPlaces,
    LoginFile, NativePlace, Program, is_model_name,
};
use crate::api::{ApiError, AuthKind, Effort, ErrorCode};

const API_KEY: &str = "ANTHROPIC_API_KEY";
const OAUTH_TOKEN: &str = "CLAUDE_CODE_OAUTH_TOKEN";

const HOST_VARIABLES: &[HostVariable] = &[
    HostVariable { name: API_KEY, auth: AuthKind::ApiKey },
    HostVariable { name: OAUTH_TOKEN, auth: AuthKind::Oauth },
    HostVariable { name: "ANTHROPIC_BASE_URL", auth: AuthKind::None },
    HostVariable { name: "CLAUDE_CODE_MAX_RETRIES", auth: AuthKind::None },
];

/// Names that the CLI itself resolves to a model.
const MODEL_ALIASES: &[&str] = &["default", "best", "sonnet", "opus", "haiku", "fable", "opusplan"];

/// What the names of its models have in them.
const FAMILIES: &[&str] = &["opus", "sonnet", "haiku", "fable"];

/// See the module.
pub(super) struct ClaudeCode;

impl Harness for ClaudeCode {
    fn id(&self) -> &'static str {
        "claudecode"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { cost: true, ..Capabilities::AGENT }
    }

    fn program(&self) -> Option<&'static Program> {
        Some(&CLAUDE)
    }

    fn host_variables(&self) -> &'static [HostVariable] {
        HOST_VARIABLES
    }

    fn without_credentials(&self) -> String {
        format!(
            "no credentials: set {API_KEY}, or run `claude setup-token` and set {OAUTH_TOKEN}, in the daemon's \
             environment"
        )
    }

    fn login(&self) -> Option<&'static LoginFile> {
        Some(&login::FILE)
    }

    fn check_model(&self, model: Option<&str>, _effort: Option<Effort>) -> Result<Option<String>, ApiError> {
        match model {
            Some(model) if !is_claude_model(model) => {
                Err(ApiError::new(ErrorCode::ModelMismatch, format!("`{model}` is not a model of Claude Code"))
                    .field("model")
                    .hint("use an alias such as `sonnet`, `opus` or `haiku`, or a full name such as `claude-sonnet-4-5`"))
            }
            Some(model) if !is_known(model) => Ok(Some(format!(
                "`{model}` is no model that is known here; it is passed on as it is. Known are names with: {}",
                FAMILIES.join(", ")
            ))),
            _ => Ok(None),
        }
    }

    fn session_keeps_message(&self) -> bool {
        true
    }

    fn skills_dir(&self) -> Option<&'static str> {
        Some(".claude/skills")
    }

    fn library_places(&self) -> LibraryPlaces {
        LibraryPlaces {
            agents: Some((".claude/agents", AgentForm::AsWritten)),
            commands: Some(".claude/commands"),
            native: Some(NativePlace {
                folder: "claudecode",
                home: ".claude",
                settings: "settings.json",
                written: Some("settings.local.json"),
                instructions: "CLAUDE.md",
                reserved: &["settings.local.json", "mcp.json", "skills", "agents", "commands"],
            }),
        }
    }

    fn plan(&self, request: &LaunchRequest) -> Result<LaunchPlan, ApiError> {
        plan::plan(self, request)
    }

    fn codec(&self) -> Box<dyn Codec + Send> {
        Box::new(codec::ClaudeCodec::default())
    }
}

/// An alias or a name with `claude` in it (providers add prefixes), with an optional `[1m]`.
fn is_claude_model(model: &str) -> bool {
    let name = model.strip_suffix("[1m]").unwrap_or(model);
    is_model_name(name) && (MODEL_ALIASES.contains(&name) || name.contains("claude"))
}

/// An alias, or a name of a known family with a version.
fn is_known(model: &str) -> bool {
    let name = model.strip_suffix("[1m]").unwrap_or(model);
    let of_family =
        FAMILIES.iter().any(|family| name.contains(family)) && name.contains(|c: char| c.is_ascii_digit());
    MODEL_ALIASES.contains(&name) || of_family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_models_pass_and_others_are_refused() {
        for model in [
            "sonnet",
            "opus[1m]",
            "claude-sonnet-4-5",
            "us.anthropic.claude-opus-4-1-v1:0",
            "anthropic/claude-x",
        ] {
            let warning = ClaudeCode.check_model(Some(model), Some(Effort::Max)).unwrap();
            assert_eq!(warning.is_some(), model == "anthropic/claude-x", "{model}: {warning:?}");
        }
        for model in ["", "gpt-5", "gemini-2.5-pro", "--claude", "claude sonnet", "claude\n", "sonnets"] {
            let error = ClaudeCode.check_model(Some(model), None).unwrap_err();
            assert_eq!(
                (error.code, error.field.as_deref()),
                (ErrorCode::ModelMismatch, Some("model")),
                "{model}"
            );
        }
    }
}
