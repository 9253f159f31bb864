//! Variables of the host: who is given their values, and who must not inherit them.

use std::collections::BTreeMap;

use super::environment::owned;
use super::{Harness, HostVariable, Readiness};
use crate::api::AuthKind;

/// The variables that hold a credential, the preferred one first.
pub(super) fn held<'a>(
    variables: &'static [HostVariable],
    credentials: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = &'static HostVariable> + 'a {
    let filled = |name: &str| credentials.get(name).is_some_and(|value| !value.trim().is_empty());
    secret(variables).filter(move |variable| filled(variable.name))
}

/// Those that could.
pub(super) fn secret(variables: &'static [HostVariable]) -> impl Iterator<Item = &'static HostVariable> {
    variables.iter().filter(|variable| variable.auth != AuthKind::None)
}

/// Whether variables alone are enough, in the words that all harnesses have in common.
pub(super) fn readiness(
    harness: &(impl Harness + ?Sized),
    credentials: &BTreeMap<String, String>,
) -> Readiness {
    let used = if harness.one_credential() { 1 } else { usize::MAX };
    let held: Vec<_> = held(harness.host_variables(), credentials).take(used).collect();
    let Some(first) = held.first() else {
        return Readiness { auth: AuthKind::None, ready: false, reason: harness.without_credentials() };
    };
    let names: Vec<_> = held.iter().map(|variable| variable.name).collect();
    Readiness { auth: first.auth, ready: true, reason: format!("uses {}", names.join(" and ")) }
}

/// What is said where none is set.
pub(super) fn missing(variables: &'static [HostVariable]) -> String {
    let names: Vec<_> = secret(variables).map(|variable| variable.name).collect();
    format!("no credentials: set {} in the daemon's environment", names.join(" or "))
}

/// Gives the harness's process what is for it. A worker's own `env` neither adds nor redirects credentials.
pub(super) fn hand_on(
    env: &mut BTreeMap<String, String>,
    variables: &[HostVariable],
    credentials: &BTreeMap<String, String>,
) {
    for variable in variables {
        match credentials.get(variable.name) {
            Some(value) => env.insert(variable.name.to_owned(), value.clone()),
            None => env.remove(variable.name),
        };
    }
}

/// The environment of an MCP server that would inherit ours: its own, and no credential that is not its own.
pub(super) fn without_secrets(
    variables: &'static [HostVariable],
    own: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut env: BTreeMap<_, _> = secret(variables).map(|variable| owned((variable.name, ""))).collect();
    env.extend(own.clone());
    env
}

#[cfg(test)]
mod tests {
    use super::super::registry;
    use super::*;

    fn with(name: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn each_credential_makes_its_harness_ready_by_name_and_nothing_else_does() {
        for harness in registry().iter().filter(|harness| !harness.host_variables().is_empty()) {
            for variable in harness.host_variables() {
                let readiness = harness.readiness(&with(variable.name, "k"));
                let wanted = (variable.auth != AuthKind::None, variable.auth);
                assert_eq!((readiness.ready, readiness.auth), wanted, "{}: {readiness:?}", harness.id());
                assert!(!readiness.ready || readiness.reason.contains(variable.name), "{readiness:?}");
                let blank = harness.readiness(&with(variable.name, " "));
                assert!(!blank.ready, "{}: {blank:?}", harness.id());
            }
            let none = harness.readiness(&BTreeMap::new());
            for variable in secret(harness.host_variables()) {
                assert!(!none.ready && none.reason.contains(variable.name), "{none:?}");
            }
        }
    }

    #[test]
    fn the_preferred_one_is_named_and_only_those_that_are_used() {
        for harness in registry().iter().filter(|harness| secret(harness.host_variables()).count() > 1) {
            let names: Vec<_> = secret(harness.host_variables()).map(|variable| variable.name).collect();
            let all = names.iter().map(|name| owned((*name, "k"))).collect();
            let reason = harness.readiness(&all).reason;
            assert!(reason.contains(names[0]), "{reason}");
            assert_eq!(reason.contains(names[1]), !harness.one_credential(), "{reason}");
        }
    }

    #[test]
    fn the_process_has_what_was_found_and_nothing_of_the_workers() {
        const VARIABLES: &[HostVariable] = &[
            HostVariable { name: "KEY", auth: AuthKind::ApiKey },
            HostVariable { name: "URL", auth: AuthKind::None },
        ];
        let mut env = with("URL", "the worker's");
        env.extend(with("OTHER", "1"));
        hand_on(&mut env, VARIABLES, &with("KEY", "k"));
        assert_eq!(env, BTreeMap::from([("KEY", "k"), ("OTHER", "1")].map(owned)));
        assert_eq!(
            without_secrets(VARIABLES, &with("A", "1")),
            BTreeMap::from([("A", "1"), ("KEY", "")].map(owned))
        );
        assert_eq!(without_secrets(VARIABLES, &with("KEY", "own")), with("KEY", "own"));
    }
}
