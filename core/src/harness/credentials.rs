//! Credentials and settings of the host that a harness's process may be given, and nobody else.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sandboxed_domain::api::{ApiError, AuthKind, BackendStatus};
use sandboxed_domain::harness::{Harness, LoginFound, Readiness, login_readiness};

use super::install::{auto_install_variable, is_on};
use super::logins::LoginSettings;
use super::programs::{Found, ProgramError, Programs};
use super::version::version;

/// The host's variables that this harness asks for. Empty ones count as absent.
pub fn host_credentials(harness: &dyn Harness) -> BTreeMap<String, String> {
    harness
        .host_variables()
        .iter()
        .filter_map(|variable| {
            let value = std::env::var(variable.name).ok().filter(|value| !value.is_empty())?;
            Some((variable.name.to_owned(), value))
        })
        .collect()
}

/// Whether a mission of this harness would be lent its user's login now: a variable of the daemon comes first. Blocks.
pub fn uses_login(harness: &dyn Harness, logins: &LoginSettings) -> bool {
    let variables = harness.readiness(&host_credentials(harness));
    variables.auth == AuthKind::None && matches!(logins.found(harness), LoginFound::Shared { .. })
}

/// How a harness would authenticate, and until when that is good where it is known.
fn readiness(harness: &dyn Harness, logins: &LoginSettings) -> (Readiness, Option<DateTime<Utc>>) {
    let mut variables = harness.readiness(&host_credentials(harness));
    let found = logins.found(harness);
    if variables.auth == AuthKind::None {
        let expires_at = match &found {
            LoginFound::Shared { login, .. } => {
                login.expires_at.and_then(|at| DateTime::from_timestamp(at, 0))
            }
            LoginFound::None | LoginFound::Unusable { .. } | LoginFound::Kept { .. } => None,
        };
        return (login_readiness(harness, &found, variables, Utc::now().timestamp()), expires_at);
    }
    if let LoginFound::Shared { path, .. } = found {
        variables.reason.push_str(&format!("; the login in {path} is not used while that is set"));
    }
    (variables, None)
}

impl Programs {
    /// Whether a worker of this backend could start now, without asking the network. Blocks: it may run `--version`.
    pub fn backend_status(&self, harness: &dyn Harness, logins: &LoginSettings) -> BackendStatus {
        let (readiness, auth_expires_at) = readiness(harness, logins);
        let found = self.installed(harness);
        let (installed, usable) = (matches!(found, Ok(Some(_))), found.is_ok());
        let (found, missing) = match found {
            Ok(found) => (found.unwrap_or_default(), None),
            Err(error) => (Vec::new(), Some(format!("{}; {}", error.message, error.hint))),
        };
        let later = harness.program().filter(|_| usable && !installed);
        let later = later.map(|p| format!("; {} {} is installed at first use", p.command, p.version));
        BackendStatus {
            backend: harness.id().to_owned(),
            installed: installed || harness.program().is_none(),
            version: version(&found),
            source: found.last().map(|program| program.source).unwrap_or_default(),
            program: found.last().map(|program| program.path().display().to_string()).unwrap_or_default(),
            ready: usable && readiness.ready,
            auth: readiness.auth,
            auth_expires_at,
            reason: missing.unwrap_or_else(|| readiness.reason + &later.unwrap_or_default()),
            default_model: harness.default_model().to_owned(),
            default_effort: None,
        }
    }

    /// The harness's program; none where it needs none, or where it will be installed at its first use.
    fn installed(&self, harness: &dyn Harness) -> Result<Option<Vec<Found>>, ApiError> {
        let Some(program) = harness.program() else { return Ok(None) };
        match self.find(program) {
            Ok(found) => Ok(Some(found)),
            Err(ProgramError::Missing { .. }) if is_on(&auto_install_variable(harness.id())) => {
                let possible = self.can_install(program).map_err(ProgramError::from);
                possible.map(|()| None).map_err(|error| error.for_backend(harness))
            }
            Err(error) => Err(error.for_backend(harness)),
        }
    }
}
