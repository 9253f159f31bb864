//! Credentials and settings of the host that a harness's process may be given, and nobody else.
//!
//! A backend may have several: each of its variables, the same with `_2` to `_9` behind the name, and the login of the
//! user where that is shared. The first whose key no limit is known of is used.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use sandboxed_domain::api::{ApiError, AuthKind, BackendStatus};
use sandboxed_domain::harness::{Harness, HostVariable, LoginFound, Readiness, login_readiness};
use sha2::{Digest, Sha256};

use super::install::{auto_install_variable, is_on};
use super::key_file::KeyFile;
use super::logins::LoginSettings;
use super::programs::{Found, ProgramError, Programs};
use super::version::version;

/// So many keys may one variable have.
const NUMBERS: std::ops::RangeInclusive<u32> = 1..=9;

/// Where credentials come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CredentialSettings {
    /// A file that outweighs the daemon's environment.
    pub keys: KeyFile,
    /// The user's logins.
    pub logins: LoginSettings,
}

/// One way in which a harness can authenticate.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// What people call it: a variable, or the file of a login. Never what it holds.
    pub label: String,
    /// Of which kind it is.
    pub auth: AuthKind,
    /// For the harness's process, with the settings that belong to it.
    pub variables: BTreeMap<String, String>,
    /// The user's login is lent.
    pub login: bool,
    /// Providers that it opens, see [`Login::providers`](sandboxed_domain::harness::Login::providers).
    pub providers: Vec<String>,
    /// What tells a login from another.
    account: Option<String>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({:?})", self.label)
    }
}

impl Credential {
    /// A name of its key that tells nothing of it. Everything that the harness is given counts: the same key at another
    /// address is another provider's.
    pub fn key(&self, harness: &dyn Harness) -> String {
        let mut digest = Sha256::new();
        let login = self.login.then_some(("login", self.account.as_ref().unwrap_or(&self.label).as_str()));
        let variables = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in variables.chain(login) {
            for part in [name, value] {
                digest.update(part.len().to_le_bytes());
                digest.update(part);
            }
        }
        let name: String = digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("{}:{name}", harness.id())
    }
}

impl CredentialSettings {
    /// Names of the settings.
    pub const NAMES: [&'static str; 3] = [KeyFile::NAME, LoginSettings::NAMES[0], LoginSettings::NAMES[1]];

    /// Reads the process's environment.
    ///
    /// # Errors
    /// `invalid_argument`: a variable that cannot be used, by its name.
    pub fn from_env() -> Result<Self, ApiError> {
        Self::parse(|name| std::env::var(name).ok())
    }

    /// Reads any source of variables.
    ///
    /// # Errors
    /// As [`CredentialSettings::from_env`].
    pub fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Self, ApiError> {
        Ok(Self { keys: KeyFile::parse(&get)?, logins: LoginSettings::parse(&get)? })
    }

    /// All credentials of a harness, the preferred one first. Blocks.
    pub fn credentials(&self, harness: &dyn Harness) -> Vec<Credential> {
        let file = self.keys.read().unwrap_or_default();
        let get = |name: &str| file.get(name).cloned().or_else(|| std::env::var(name).ok());
        let mut found = of_variables(harness, get);
        if let LoginFound::Shared { path, login } = self.logins.found(harness) {
            found.push(Credential {
                label: path,
                auth: AuthKind::CliLogin,
                variables: plain(harness, &get),
                login: true,
                providers: login.providers,
                account: login.account,
            });
        }
        found
    }

    /// The same where there has to be one: without any, the settings alone.
    pub fn some_credentials(&self, harness: &dyn Harness) -> Vec<Credential> {
        let mut found = self.credentials(harness);
        if found.is_empty() {
            let variables = plain(harness, &|name| std::env::var(name).ok());
            let none = Credential {
                label: String::new(),
                auth: AuthKind::None,
                variables,
                login: false,
                providers: Vec::new(),
                account: None,
            };
            found.push(none);
        }
        found
    }
}

fn filled(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.trim().is_empty())
}

/// Its settings that authenticate nobody.
fn plain(harness: &dyn Harness, get: &dyn Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let settings = harness.host_variables().iter().filter(|variable| variable.auth == AuthKind::None);
    settings.filter_map(|variable| Some((variable.name.to_owned(), filled(get(variable.name))?))).collect()
}

fn numbered(name: &str, number: u32) -> String {
    if number == 1 { name.to_owned() } else { format!("{name}_{number}") }
}

fn of_variables(harness: &dyn Harness, get: impl Fn(&str) -> Option<String>) -> Vec<Credential> {
    let settings = plain(harness, &get);
    let variables: Vec<_> =
        harness.host_variables().iter().filter(|variable| variable.auth != AuthKind::None).collect();
    let credential = |used: Vec<(&HostVariable, String, String)>| {
        let mut variables = settings.clone();
        let auth = used.first().map_or(AuthKind::None, |(variable, ..)| variable.auth);
        let label = used.iter().map(|(_, name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        variables.extend(used.into_iter().map(|(variable, _, value)| (variable.name.to_owned(), value)));
        Credential { label, auth, variables, login: false, providers: Vec::new(), account: None }
    };
    let value = |variable: &'static HostVariable, number| {
        let name = numbered(variable.name, number);
        filled(get(&name)).map(|value| (variable, name, value))
    };
    if harness.one_credential() {
        let each = variables.into_iter().flat_map(|variable| NUMBERS.map(move |number| (variable, number)));
        return each
            .filter_map(|(variable, number)| Some(credential(vec![value(variable, number)?])))
            .collect();
    }
    let together = |number| {
        let own: Vec<_> = variables.iter().filter_map(|variable| value(variable, number)).collect();
        let others =
            variables.iter().filter(|other| !own.iter().any(|(variable, ..)| variable.name == other.name));
        let others: Vec<_> = others.filter_map(|variable| value(variable, 1)).collect();
        (!own.is_empty()).then(|| credential(own.into_iter().chain(others).collect()))
    };
    NUMBERS.filter_map(together).collect()
}

/// How a harness would authenticate, and until when that is good where it is known.
fn readiness(
    harness: &dyn Harness,
    settings: &CredentialSettings,
    all: &[Credential],
) -> (Readiness, Option<DateTime<Utc>>) {
    let found = settings.logins.found(harness);
    let mut readiness = match all.first() {
        Some(first) if !first.login => harness.readiness(&first.variables),
        _ => {
            let none = harness.readiness(&BTreeMap::new());
            match none.ready {
                true => none,
                false => login_readiness(harness, &found, none, Utc::now().timestamp()),
            }
        }
    };
    if let Some(first) = all.first().filter(|first| !first.login) {
        readiness.reason = format!("uses {}", first.label);
    }
    let others: Vec<_> = all.iter().skip(1).map(|credential| credential.label.as_str()).collect();
    if !others.is_empty() {
        readiness.reason.push_str(&format!("; while that is limited: {}", others.join(", ")));
    }
    if let (Err(error), Some(path)) = (settings.keys.read(), settings.keys.path()) {
        readiness.reason.push_str(&format!("; {} is not used: {error}", path.display()));
    }
    let expires_at = match (&found, readiness.auth) {
        (LoginFound::Shared { login, .. }, AuthKind::CliLogin) => {
            login.expires_at.and_then(|at| DateTime::from_timestamp(at, 0))
        }
        _ => None,
    };
    (readiness, expires_at)
}

impl Programs {
    /// Whether a worker of this backend could start now, without asking the network. Blocks: it may run `--version`.
    pub fn backend_status(&self, harness: &dyn Harness, settings: &CredentialSettings) -> BackendStatus {
        let all = settings.credentials(harness);
        let (readiness, auth_expires_at) = readiness(harness, settings, &all);
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
            default_model: all
                .first()
                .map_or("", |used| harness.default_model(&used.variables, &used.providers))
                .to_owned(),
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

#[cfg(test)]
mod tests {
    use sandboxed_domain::harness::registry;

    use super::*;

    #[test]
    fn each_variable_and_its_numbered_ones_are_credentials_in_order() {
        for harness in registry().iter().filter(|harness| harness.one_credential()) {
            let variables: Vec<_> =
                harness.host_variables().iter().filter(|variable| variable.auth != AuthKind::None).collect();
            let Some(first) = variables.first() else { continue };
            let get = |name: &str| match name.strip_prefix(first.name) {
                Some("" | "_2" | "_9") => Some(format!("key of {name}")),
                Some("_3") => Some(" ".to_owned()),
                _ => None,
            };
            let found = of_variables(*harness, get);
            let labels: Vec<_> = found.iter().map(|credential| credential.label.clone()).collect();
            assert_eq!(labels, ["", "_2", "_9"].map(|number| format!("{}{number}", first.name)));
            for credential in &found {
                assert_eq!(credential.variables[first.name], format!("key of {}", credential.label));
                assert!(!format!("{credential:?}").contains("key of"), "{credential:?}");
                assert!(harness.readiness(&credential.variables).ready);
            }
            let mut keys: Vec<_> = found.iter().map(|credential| credential.key(*harness)).collect();
            keys.dedup();
            assert_eq!(keys.len(), 3, "each is a key of its own");
            assert!(!keys.concat().contains("key of"));
        }
    }
}
