//! The list of harnesses and what the rest of the system may ask each of them.

use std::collections::BTreeMap;

use super::claudecode::ClaudeCode;
use super::codex::Codex;
use super::command::Command;
use super::gemini::Gemini;
use super::grok::Grok;
use super::opencode::OpenCode;
use super::{Codec, LaunchPlan, LaunchRequest, LibraryPlaces, LoginFile, Program, credentials};
use crate::api::{ApiError, AuthKind, Effort, ErrorCode, PermissionMode};

/// Whether a model decides or a program just runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendKind {
    /// A model works, reports its outcome and may be talked to.
    Agent,
    /// A program runs; its exit status is its outcome.
    Command,
}

/// What a harness can do, asked instead of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Agent or command.
    pub kind: BackendKind,
    /// An ended session can be taken up again with its history.
    pub resume: bool,
    /// A message may be written while a turn runs; it becomes the next turn of the same process.
    pub queue: bool,
    /// A running turn can be stopped while the process lives on.
    pub interrupt: bool,
    /// A message may be put into the running turn.
    pub steer: bool,
    /// It may ask for permissions and put questions.
    pub requests: bool,
    /// It takes MCP servers.
    pub mcp: bool,
    /// It takes a model.
    pub models: bool,
    /// It takes an effort.
    pub efforts: bool,
    /// It tells what a turn cost.
    pub cost: bool,
    /// It takes an argv of the caller's choice.
    pub argv: bool,
}

impl Capabilities {
    /// What most agents have.
    pub(super) const AGENT: Self = Self {
        kind: BackendKind::Agent,
        resume: true,
        queue: true,
        interrupt: true,
        steer: false,
        requests: true,
        mcp: true,
        models: true,
        efforts: true,
        cost: false,
        argv: false,
    };
}

/// A variable of the host that reaches the harness's process through [`LaunchRequest::credentials`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostVariable {
    /// Its name.
    pub name: &'static str,
    /// How it authenticates; `AuthKind::None` for a mere setting.
    pub auth: AuthKind,
}

/// Whether the harness could authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// By which way.
    pub auth: AuthKind,
    /// Whether a worker could start, as far as credentials go.
    pub ready: bool,
    /// What is missing and what to do; a word of confirmation otherwise.
    pub reason: String,
}

/// One agent CLI (or none at all).
pub trait Harness: Sync {
    /// The backend's id on the wire.
    fn id(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Its program; `None`: needs none.
    fn program(&self) -> Option<&'static Program>;

    /// Variables of the host that it may be given; the most preferred credential first.
    fn host_variables(&self) -> &'static [HostVariable];

    /// Whether one of its credentials is all that its process needs; otherwise each is another provider's.
    fn one_credential(&self) -> bool {
        true
    }

    /// Whether these variables are enough.
    fn readiness(&self, credentials: &BTreeMap<String, String>) -> Readiness {
        credentials::readiness(self, credentials)
    }

    /// What is said where no variable has a credential: which to set, and how to come by one.
    fn without_credentials(&self) -> String {
        credentials::missing(self.host_variables())
    }

    /// Where its CLI keeps the login of its user; `None`: it has none that a mission could be lent.
    fn login(&self) -> Option<&'static LoginFile> {
        None
    }

    /// A file in the mission's directory that hands its process the credential where its environment would not do,
    /// since what it starts inherits that. It is there from just before the start until the harness has
    /// [taken it up](super::HarnessEvent::CredentialTaken); [`LaunchPlan::key`] is what stands in it.
    fn key_file(&self) -> Option<&'static str> {
        None
    }

    /// Model used with these credentials, or a login that opens these providers, when none is named; empty when the CLI
    /// decides or has none.
    fn default_model(&self, _credentials: &BTreeMap<String, String>, _login: &[String]) -> &'static str {
        ""
    }

    /// Refuses a model or effort that cannot be this harness's (`ModelMismatch`, its hint lists what fits). A model
    /// that could be one and is not known comes with a warning, one sentence for the caller.
    fn check_model(&self, model: Option<&str>, effort: Option<Effort>) -> Result<Option<String>, ApiError>;

    /// The permission modes that it really has.
    fn permission_modes(&self) -> &'static [PermissionMode] {
        match self.capabilities().requests {
            true => &PermissionMode::ALL,
            false => &[PermissionMode::Bypass],
        }
    }

    /// Whether its session holds a message from the moment the turn begins, also when the model never answered. When
    /// such a turn is taken up again the message is not repeated.
    fn session_keeps_message(&self) -> bool {
        false
    }

    /// Whether its process ends by itself when its stdin does; one that does not is ended.
    fn ends_with_stdin(&self) -> bool {
        true
    }

    /// Where its CLI looks for a user's skills, relative to the mission's directory; `None`: it knows none.
    fn skills_dir(&self) -> Option<&'static str> {
        None
    }

    /// Where its CLI looks for what else the Library has.
    fn library_places(&self) -> LibraryPlaces {
        LibraryPlaces::default()
    }

    /// What to start.
    fn plan(&self, request: &LaunchRequest) -> Result<LaunchPlan, ApiError>;

    /// A codec for a new run.
    fn codec(&self) -> Box<dyn Codec + Send>;
}

/// Whether it could be a model's name, and no option of a command line.
pub(super) fn is_model_name(name: &str) -> bool {
    !name.starts_with('-')
        && name.len() <= 200
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/@".contains(c))
}

/// All harnesses, in the order in which they are shown.
pub fn registry() -> &'static [&'static dyn Harness] {
    &[&ClaudeCode, &Codex, &OpenCode, &Gemini, &Grok, &Command]
}

/// The harness with this id; `UnknownBackend` names those that exist.
pub fn find(id: &str) -> Result<&'static dyn Harness, ApiError> {
    registry().iter().copied().find(|harness| harness.id() == id).ok_or_else(|| {
        let known: Vec<_> = registry().iter().map(|harness| harness.id()).collect();
        ApiError::new(ErrorCode::UnknownBackend, format!("there is no backend `{id}`"))
            .field("backend")
            .hint(format!("use one of: {}", known.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_found_again() {
        for harness in registry() {
            assert_eq!(find(harness.id()).unwrap().id(), harness.id());
            assert_eq!(registry().iter().filter(|other| other.id() == harness.id()).count(), 1);
        }
    }

    #[test]
    fn an_unknown_backend_is_refused_with_the_known_ones() {
        let Err(error) = find("claude") else { panic!("found") };
        assert_eq!(error.code, ErrorCode::UnknownBackend);
        assert!(error.hint.contains("claudecode") && error.hint.contains("command"), "{}", error.hint);
    }

    #[test]
    fn each_harness_without_models_refuses_model_and_effort() {
        for harness in registry() {
            let caps = harness.capabilities();
            assert!(caps.models || harness.check_model(Some("some-model"), None).is_err());
            assert_eq!(harness.check_model(None, Some(Effort::High)).is_ok(), caps.efforts);
            assert!(harness.check_model(None, None).is_ok());
        }
    }
}
