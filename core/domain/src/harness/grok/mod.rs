//! Grok Build through ACP (`grok agent stdio`, written against 1.0.41).
//!
//! # Where its files go
//! Everything lives in the mission's own directory, which is HOME; its `.grok` is `GROK_HOME`. Nothing is written into
//! the working directory.
//!
//! | file in the mission's directory | how it comes into force |
//! |---|---|
//! | `.grok/AGENTS.md` | read as the user's instructions, beside those of the repository |
//! | `.grok/skills/`, `.grok/agents/` | the user's skills (commands among them) and agents |
//! | `.grok/config.toml` | switches off what calls home, holds the rules of the permission mode and the user's MCP servers |
//! | `.grok/auth.json` | the key, from just before the start until the CLI has authenticated with it |
//!
//! The CLI hands its environment to everything that it starts, so the key is not in it. It reads the file while it
//! authenticates and not again, before it starts anything; a login that is lent lies elsewhere and stays.
//!
//! The platform's MCP server goes over the protocol. `GROK_FOLDER_TRUST=0` lets the repository's own instructions count.
//!
//! # What it does in its own way
//! Beside the protocol it tells much in `_x.ai/…`: the tokens of each response (which count when a turn ends without its
//! result), retries and why they failed, and that it took up a message. It asks the user by `_x.ai/ask_user_question`.
//! Its plan mode stops no tool, so it counts as not there. When stdin ends it stays for two seconds; TERM ends it at once,
//! and what it has told of a turn is in its session by then.

mod dialect;
mod login;
mod plan;

use super::acp::{self, AcpCodec};
use super::{
    AgentForm, Capabilities, Codec, GROK, Harness, HostVariable, LaunchPlan, LaunchRequest, LibraryPlaces,
    LoginFile, NativePlace, Program, is_model_name,
};
use crate::api::{ApiError, AuthKind, Effort, ErrorCode, PermissionMode};

const API_KEY: &str = "XAI_API_KEY";

const HOST_VARIABLES: &[HostVariable] = &[
    HostVariable { name: API_KEY, auth: AuthKind::ApiKey },
    HostVariable { name: "GROK_CODE_XAI_API_KEY", auth: AuthKind::ApiKey },
    HostVariable { name: "GROK_XAI_API_BASE_URL", auth: AuthKind::None },
    HostVariable { name: "GROK_MAX_RETRIES", auth: AuthKind::None },
];

/// See the module.
pub(super) struct Grok;

impl Harness for Grok {
    fn id(&self) -> &'static str {
        "grok"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::AGENT
    }

    fn program(&self) -> Option<&'static Program> {
        Some(&GROK)
    }

    fn host_variables(&self) -> &'static [HostVariable] {
        HOST_VARIABLES
    }

    fn login(&self) -> Option<&'static LoginFile> {
        Some(&login::FILE)
    }

    fn key_file(&self) -> Option<&'static str> {
        Some(".grok/auth.json")
    }

    fn check_model(&self, model: Option<&str>, effort: Option<Effort>) -> Result<Option<String>, ApiError> {
        if effort == Some(Effort::Max) {
            return Err(ApiError::new(ErrorCode::ModelMismatch, "Grok Build has no effort `max`")
                .field("effort")
                .hint("use low, medium, high or xhigh"));
        }
        match model {
            Some(model) if !is_grok_model(model) => Err(ApiError::new(
                ErrorCode::ModelMismatch,
                format!("`{model}` is not a model of Grok Build"),
            )
            .field("model")
            .hint("use a name such as `grok-4.6`, or leave it out for the CLI's own choice")),
            _ => Ok(None),
        }
    }

    fn permission_modes(&self) -> &'static [PermissionMode] {
        &acp::MODES
    }

    fn skills_dir(&self) -> Option<&'static str> {
        Some(".grok/skills")
    }

    fn library_places(&self) -> LibraryPlaces {
        LibraryPlaces {
            agents: Some((".grok/agents", AgentForm::Markdown { extra: "" })),
            // Over the protocol a message that begins with a slash is a message.
            commands: None,
            native: Some(NativePlace {
                folder: "grok",
                home: ".grok",
                settings: "config.toml",
                written: None,
                instructions: "AGENTS.md",
                reserved: &["auth.json", "skills", "agents"],
            }),
        }
    }

    fn ends_with_stdin(&self) -> bool {
        false
    }

    fn plan(&self, request: &LaunchRequest) -> Result<LaunchPlan, ApiError> {
        plan::plan(self, request)
    }

    fn codec(&self) -> Box<dyn Codec + Send> {
        Box::new(AcpCodec::new(&dialect::Grok))
    }
}

/// A name with `grok` in it; gateways add prefixes.
fn is_grok_model(model: &str) -> bool {
    is_model_name(model) && model.contains("grok")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_models_pass_and_others_are_refused() {
        for model in ["grok-4.6", "grok-code-fast-1", "xai/grok-4.5"] {
            assert_eq!(Grok.check_model(Some(model), Some(Effort::High)), Ok(None), "{model}");
        }
        for model in ["", "gpt-5", "gemini-2.5-pro", "sonnet", "--grok", "grok 4", "grok\n"] {
            let error = Grok.check_model(Some(model), None).unwrap_err();
            assert_eq!(
                (error.code, error.field.as_deref()),
                (ErrorCode::ModelMismatch, Some("model")),
                "{model}"
            );
        }
    }

    #[test]
    fn an_effort_that_it_does_not_have_is_refused() {
        assert_eq!(Grok.check_model(None, Some(Effort::Xhigh)), Ok(None));
        let error = Grok.check_model(None, Some(Effort::Max)).unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (ErrorCode::ModelMismatch, Some("effort")));
    }
}
