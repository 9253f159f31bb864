//! What a plan tells the codec of its run.

use std::path::PathBuf;

use agent_client_protocol_schema::v1;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{Harness, HostVariable, LaunchRequest, credentials};
use super::state::State;
use crate::api::{ApiError, ErrorCode, PermissionMode};

/// See the module. Stored with the mission, so it holds no secret.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::harness) struct Setup {
    /// Directory of the session.
    pub(in crate::harness) cwd: PathBuf,
    /// Which session.
    pub(in crate::harness) session: Session,
    /// MCP servers of the session.
    pub(in crate::harness) mcp_servers: Vec<v1::McpServer>,
    /// Method of `authenticate`; none where the CLI needs no such step.
    pub(in crate::harness) auth: Option<String>,
    /// Model that was named.
    pub(in crate::harness) model: Option<String>,
    /// Nobody named a model that would be known here: the one of the session is to be told.
    pub(in crate::harness) unnamed_model: bool,
    /// Effort that was named.
    pub(in crate::harness) effort: Option<String>,
    /// What to set before the first prompt, in order.
    pub(in crate::harness) settings: Vec<Setting>,
}

/// Which session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::harness) enum Session {
    /// A new one.
    #[default]
    New,
    /// The one with this id.
    Resume(String),
}

/// Something to set in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::harness) enum Setting {
    /// Its mode.
    Mode(String),
    /// One of its options.
    Option { id: String, value: String },
}

impl Setup {
    /// The session and servers of a request. `variables` are those of the host whose values are credentials: a CLI
    /// hands its environment on to its MCP servers, so they are blanked there.
    pub(in crate::harness) fn new(request: &LaunchRequest, variables: &'static [HostVariable]) -> Self {
        let servers = request.mcp_servers.iter().map(|server| {
            let secrets = credentials::secret(variables).map(|variable| variable.name);
            let blank = secrets.filter(|name| !server.env.contains_key(*name));
            let blank = blank.map(|name| v1::EnvVariable::new(name, ""));
            let own = server.env.iter().map(|(name, value)| v1::EnvVariable::new(name, value));
            let stdio = v1::McpServerStdio::new(&server.name, &server.command);
            v1::McpServer::Stdio(stdio.args(server.args.clone()).env(blank.chain(own).collect()))
        });
        Self {
            cwd: PathBuf::from(&request.cwd),
            session: match request.resume {
                true => Session::Resume(request.session_id.clone()),
                false => Session::New,
            },
            mcp_servers: servers.collect(),
            auth: None,
            model: request.model.clone(),
            unnamed_model: false,
            effort: request.effort.map(|effort| effort.as_str().to_owned()),
            settings: Vec::new(),
        }
    }

    /// The state of a codec that has this before it.
    pub(in crate::harness) fn into_state(self) -> Value {
        serde_json::to_value(State { setup: self, ..State::default() }).unwrap_or_default()
    }
}

/// Permission modes over the protocol: no CLI shows the plan of its plan mode.
pub(in crate::harness) const MODES: [PermissionMode; 3] =
    [PermissionMode::Default, PermissionMode::AcceptEdits, PermissionMode::Bypass];

/// Refuses a permission mode that the harness does not have.
pub(in crate::harness) fn check_mode(harness: &dyn Harness, mode: PermissionMode) -> Result<(), ApiError> {
    let modes = harness.permission_modes();
    if modes.contains(&mode) {
        return Ok(());
    }
    let words: Vec<_> = modes.iter().map(|mode| mode.as_str()).collect();
    let message = format!("backend {} has no permission mode {}", harness.id(), mode.as_str());
    Err(ApiError::new(ErrorCode::NotAvailable, message)
        .field("permission_mode")
        .hint(format!("it has: {}", words.join(", "))))
}
