//! From the first line to a session that takes prompts, one request at a time.

use agent_client_protocol_schema::ProtocolVersion;
use agent_client_protocol_schema::v1::{
    AGENT_METHOD_NAMES as METHODS, AuthenticateRequest, ClientCapabilities, Implementation,
    InitializeRequest, InitializeResponse, LoadSessionRequest, NewSessionRequest, ResumeSessionRequest,
    SessionConfigOptionValue, SetSessionConfigOptionRequest, SetSessionModeRequest,
};
use serde_json::Value;

use super::super::HarnessEvent;
use super::dialect::{self, Dialect};
use super::rpc::{self, RpcError};
use super::setup::{Session, Setting};
use super::state::{Signal, State, Step};
use super::turn;

/// The first line. Nothing is offered that the agent could ask of us: it has files and terminals of its own.
pub(super) fn begin(state: &mut State) -> String {
    let client = Implementation::new("sandboxed-sh", env!("CARGO_PKG_VERSION"));
    let hello = InitializeRequest::new(ProtocolVersion::V1)
        .client_capabilities(ClientCapabilities::default())
        .client_info(client);
    rpc::request(state.open(Step::Initialize), METHODS.initialize, &hello)
}

/// An answer to our open request; `None` when it answers nothing that we asked.
pub(super) fn response(
    state: &mut State,
    dialect: &dyn Dialect,
    id: &Value,
    outcome: Result<Value, RpcError>,
) -> Option<Vec<HarnessEvent>> {
    let (_, step) = state.open.take_if(|(open, _)| id.as_u64() == Some(*open))?;
    if step == Step::Prompt {
        return Some(turn::answered(state, dialect, outcome));
    }
    Some(match outcome {
        Ok(result) => advance(state, dialect, step, &result),
        Err(error) if step == Step::LoadSession && dialect.has_nothing_of(&error) => anew(state, dialect),
        Err(error) => refused(state, dialect, &error),
    })
}

/// The session that was to be resumed is not there.
fn anew(state: &mut State, dialect: &dyn Dialect) -> Vec<HarnessEvent> {
    state.setup.session = Session::New;
    state.replaying = false;
    state.signal = Signal::None;
    let line = open_session(state, dialect, Step::NewSession);
    let message = format!("{} has kept nothing of the session; a new one begins", dialect.program());
    vec![HarnessEvent::Warning { code: "session_lost".to_owned(), message }, HarnessEvent::Send { line }]
}

/// The next step after one that went well.
fn advance(state: &mut State, dialect: &dyn Dialect, step: Step, result: &Value) -> Vec<HarnessEvent> {
    let line = match step {
        Step::Initialize => match (state.setup.auth.clone(), open_step(state, result)) {
            (Some(method), session) => {
                state.after_auth = Some(session);
                let request = AuthenticateRequest::new(method);
                rpc::request(state.open(Step::Authenticate), METHODS.authenticate, &request)
            }
            (None, session) => open_session(state, dialect, session),
        },
        Step::Authenticate => {
            let session = state.after_auth.take().unwrap_or(Step::NewSession);
            let line = open_session(state, dialect, session);
            return vec![HarnessEvent::CredentialTaken, HarnessEvent::Send { line }];
        }
        Step::NewSession | Step::ResumeSession | Step::LoadSession => {
            return opened(state, dialect, step, result);
        }
        Step::Set(at) => return set(state, at + 1),
        Step::Prompt => return Vec::new(),
    };
    vec![HarnessEvent::Send { line }]
}

/// How the session is opened: a resumed one without its history where the agent can do that.
fn open_step(state: &State, result: &Value) -> Step {
    let resumes = serde_json::from_value::<InitializeResponse>(result.clone())
        .is_ok_and(|hello| hello.agent_capabilities.session_capabilities.resume.is_some());
    match (&state.setup.session, resumes) {
        (Session::New, _) => Step::NewSession,
        (Session::Resume(_), true) => Step::ResumeSession,
        (Session::Resume(_), false) => Step::LoadSession,
    }
}

fn open_session(state: &mut State, dialect: &dyn Dialect, step: Step) -> String {
    let id = state.open(step);
    let setup = &state.setup;
    let servers = setup.mcp_servers.clone();
    match (&setup.session, step) {
        (Session::Resume(session), Step::ResumeSession) => {
            let request = ResumeSessionRequest::new(session.clone(), &setup.cwd).mcp_servers(servers);
            rpc::request(id, METHODS.session_resume, &request)
        }
        (Session::Resume(session), _) => {
            let session = dialect.loaded_as(session);
            let request = LoadSessionRequest::new(session, &setup.cwd).mcp_servers(servers);
            state.replaying = true;
            rpc::request(id, METHODS.session_load, &request)
        }
        (Session::New, _) => {
            let request = NewSessionRequest::new(&setup.cwd).mcp_servers(servers);
            rpc::request(id, METHODS.session_new, &request)
        }
    }
}

/// The session is open.
fn opened(state: &mut State, dialect: &dyn Dialect, step: Step, result: &Value) -> Vec<HarnessEvent> {
    state.session = match &state.setup.session {
        Session::New => result["sessionId"].as_str().map(str::to_owned),
        Session::Resume(session) if step == Step::LoadSession => Some(dialect.loaded_as(session)),
        Session::Resume(session) => Some(session.clone()),
    };
    state.model = dialect::model(result).map(str::to_owned);
    if let Some(message) = dialect.departure(&state.setup, result) {
        return refused(state, dialect, &RpcError { code: 0, message, data: Value::Null });
    }
    let mut events: Vec<_> = unnamed_model(state, dialect).into_iter().collect();
    if ready_by(state, dialect).is_some() && state.signal == Signal::None {
        state.signal = Signal::Awaited;
        return events;
    }
    state.replaying = false;
    events.extend(set(state, 0));
    events
}

/// Which model the agent took, where nobody who is known here named one: whoever pays for it should know.
fn unnamed_model(state: &State, dialect: &dyn Dialect) -> Option<HarnessEvent> {
    let model = state.model.as_ref().filter(|_| state.setup.unnamed_model)?;
    let program = dialect.program();
    let message = format!(
        "no model was named, so it is `{model}`, which {program} or the project chose; \
         name one with `model` (`model_override` over HTTP), or for all missions with SANDBOXED_SH_DEFAULT_MODEL_{}",
        program.to_uppercase()
    );
    Some(HarnessEvent::Warning { code: "model_unnamed".to_owned(), message })
}

fn ready_by(state: &State, dialect: &dyn Dialect) -> Option<&'static str> {
    dialect.ready_by(state.replaying, !state.setup.mcp_servers.is_empty())
}

/// Takes note of the signal that the session is ready, and goes on when it was awaited.
pub(super) fn signalled(
    state: &mut State,
    dialect: &dyn Dialect,
    method: &str,
    update: &Value,
) -> Vec<HarnessEvent> {
    let Some(signal) = ready_by(state, dialect).filter(|_| !state.ready) else { return Vec::new() };
    if method != signal && update["sessionUpdate"] != signal {
        return Vec::new();
    }
    if std::mem::replace(&mut state.signal, Signal::Seen) != Signal::Awaited {
        return Vec::new();
    }
    state.replaying = false;
    set(state, 0)
}

/// Sets the setting with this number; after the last one the waiting message is sent.
fn set(state: &mut State, at: usize) -> Vec<HarnessEvent> {
    let session = state.session.clone().unwrap_or_default();
    let line = match state.setup.settings.get(at).cloned() {
        Some(Setting::Mode(mode)) => {
            let request = SetSessionModeRequest::new(session, mode);
            rpc::request(state.open(Step::Set(at)), METHODS.session_set_mode, &request)
        }
        Some(Setting::Option { id, value }) => {
            let value = SessionConfigOptionValue::value_id(value);
            let request = SetSessionConfigOptionRequest::new(session, id, value);
            rpc::request(state.open(Step::Set(at)), METHODS.session_set_config_option, &request)
        }
        None => {
            state.ready = true;
            return turn::begin(state).map(|line| HarnessEvent::Send { line }).into_iter().collect();
        }
    };
    vec![HarnessEvent::Send { line }]
}

/// A step was refused: the turn that waited for it has failed, and the next message begins anew.
fn refused(state: &mut State, dialect: &dyn Dialect, error: &RpcError) -> Vec<HarnessEvent> {
    state.replaying = false;
    state.signal = Signal::None;
    state.after_auth = None;
    state.waiting.clear();
    vec![turn::failed(state, dialect, error)]
}
