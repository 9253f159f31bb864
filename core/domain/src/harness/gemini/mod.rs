//! Gemini CLI through ACP (`gemini --acp`, written against 0.61.0).
//!
//! # Where its files go
//! Everything lives in the mission's own directory, which is HOME. Nothing is written into the working directory.
//!
//! | file in the mission's directory | how it comes into force |
//! |---|---|
//! | `.gemini/GEMINI.md` | read as the user's instructions, beside those of the repository |
//! | `.gemini/skills/`, `.gemini/agents/` | the user's skills (commands among them) and agents |
//! | `.gemini/settings.json` | how it authenticates; switches off what calls home. The CLI writes it again as it is |
//! | `.gemini/oauth_creds.json` | a link to the user's login, where it is lent and no key is given |
//! | `.gemini/policies/sandboxed-sh.toml` | the platform's own tools need no permission |
//! | `.keyless.bash` | read before each command (`BASH_ENV`): the CLI hands its environment on, and the key is not for them |
//!
//! The platform's MCP server goes over the protocol, the user's stand in the settings. `GEMINI_CLI_TRUST_WORKSPACE` lets the repository's own instructions count.
//!
//! # What it does in its own way
//! - It names its record of a session by the minute and the beginning of the id, and opens a record before it loads one:
//!   a session that is loaded in its first minute under its own id is emptied. So it is loaded with a space before the
//!   id, which names another record and means the same session.
//! - It keeps nothing of a turn that failed or was cancelled before a tool ran. A session without a finished turn
//!   cannot be loaded at all; a new one begins then.
//! - A stream of the model that breaks off in a well-formed way counts as an end; no usage gives it away.
//! - It tells no arguments of a tool, only what it shows of them, and nothing of a call that was refused.
//! - It stays when stdin ends, for the sake of MCP servers; TERM ends it at once.
//! - Over ACP it has no tool that asks the user, and its plan mode never shows its plan, so that counts as not there.

mod dialect;
mod login;
mod plan;

use super::acp::{self, AcpCodec};
use super::{
    AgentForm, Capabilities, Codec, GEMINI, Harness, HostVariable, LaunchPlan, LaunchRequest, LibraryPlaces,
    LoginFile, NativePlace, Program, is_model_name,
};
use crate::api::{ApiError, AuthKind, Effort, ErrorCode, PermissionMode};

const API_KEY: &str = "GEMINI_API_KEY";

const HOST_VARIABLES: &[HostVariable] = &[
    HostVariable { name: API_KEY, auth: AuthKind::ApiKey },
    HostVariable { name: "GOOGLE_GEMINI_BASE_URL", auth: AuthKind::None },
    // An account of a company needs one beside its login.
    HostVariable { name: "GOOGLE_CLOUD_PROJECT", auth: AuthKind::None },
];

/// See the module.
pub(super) struct Gemini;

impl Harness for Gemini {
    fn id(&self) -> &'static str {
        "gemini"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { efforts: false, ..Capabilities::AGENT }
    }

    fn program(&self) -> Option<&'static Program> {
        Some(&GEMINI)
    }

    fn host_variables(&self) -> &'static [HostVariable] {
        HOST_VARIABLES
    }

    fn login(&self) -> Option<&'static LoginFile> {
        Some(&login::FILE)
    }

    fn check_model(&self, model: Option<&str>, effort: Option<Effort>) -> Result<Option<String>, ApiError> {
        if effort.is_some() {
            return Err(ApiError::new(ErrorCode::ModelMismatch, "Gemini CLI has no efforts")
                .field("effort")
                .hint("leave it out"));
        }
        match model {
            Some(model) if !is_gemini_model(model) => Err(ApiError::new(
                ErrorCode::ModelMismatch,
                format!("`{model}` is not a model of Gemini CLI"),
            )
            .field("model")
            .hint(
                "use `auto`, `pro`, `flash`, `flash-lite`, a name such as `gemini-2.5-pro`, or leave it out",
            )),
            _ => Ok(None),
        }
    }

    fn permission_modes(&self) -> &'static [PermissionMode] {
        &acp::MODES
    }

    fn skills_dir(&self) -> Option<&'static str> {
        Some(".gemini/skills")
    }

    fn library_places(&self) -> LibraryPlaces {
        LibraryPlaces {
            agents: Some((".gemini/agents", AgentForm::Markdown { extra: "" })),
            // Over the protocol a message that begins with a slash is a message.
            commands: None,
            native: Some(NativePlace {
                folder: "gemini",
                home: ".gemini",
                settings: "settings.json",
                written: None,
                instructions: "GEMINI.md",
                reserved: &["policies/sandboxed-sh.toml", "oauth_creds.json", "skills", "agents"],
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
        Box::new(AcpCodec::new(&dialect::Gemini))
    }
}

/// One of its short names, or a name with `gemini` in it.
fn is_gemini_model(model: &str) -> bool {
    is_model_name(model)
        && (["auto", "pro", "flash", "flash-lite"].contains(&model) || model.contains("gemini"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_models_pass_and_others_are_refused() {
        for model in ["auto", "flash", "gemini-2.5-pro", "models/gemini-3.1-pro-preview"] {
            assert_eq!(Gemini.check_model(Some(model), None), Ok(None), "{model}");
        }
        for model in ["", "gpt-5", "grok-4.6", "sonnet", "--gemini", "gemini 3", "gemini\n"] {
            let error = Gemini.check_model(Some(model), None).unwrap_err();
            assert_eq!(
                (error.code, error.field.as_deref()),
                (ErrorCode::ModelMismatch, Some("model")),
                "{model}"
            );
        }
    }

    #[test]
    fn an_effort_is_refused() {
        let error = Gemini.check_model(Some("gemini-2.5-pro"), Some(Effort::High)).unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (ErrorCode::ModelMismatch, Some("effort")));
    }
}
