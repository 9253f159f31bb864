//! Credentials and settings of the host that a harness's process may be given, and nobody else.

use std::collections::BTreeMap;

use sandboxed_domain::api::BackendStatus;
use sandboxed_domain::harness::Harness;

use super::programs;

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

/// Whether a worker of this backend could start now, without asking the network. Blocks: it runs `--version` once.
pub fn backend_status(harness: &dyn Harness) -> BackendStatus {
    let found = match harness.program() {
        Some(program) => programs::find_program(program).map(|path| programs::version(&path)),
        None => Ok(String::new()),
    };
    let readiness = harness.readiness(&host_credentials(harness));
    let (installed, version, missing) = match found {
        Ok(version) => (true, version, None),
        Err(error) => (false, String::new(), Some(format!("{}; {}", error.message, error.hint))),
    };
    BackendStatus {
        backend: harness.id().to_owned(),
        installed,
        version,
        ready: installed && readiness.ready,
        auth: readiness.auth,
        reason: missing.unwrap_or(readiness.reason),
        default_model: harness.default_model().to_owned(),
    }
}
