//! Which permission mode a mission has, and what a request may be answered with.

use crate::api::{ApiError, ErrorCode, PermissionMode, WorkspaceKind};
use crate::harness::{BackendKind, Harness};

/// The mode of a new mission. In a sandbox an agent asks for nothing unless told otherwise: the sandbox is the
/// boundary. On the host there is none, so it asks, and `bypass` has to be said. The workers of a mission are never
/// less careful than the mission itself (`parent`), or one that has to ask could act through a worker that has not.
///
/// # Errors
/// `not_available`: the backend has no such mode. `forbidden`: a mission asks for more than it may itself.
pub fn permission_mode(
    harness: &dyn Harness,
    kind: WorkspaceKind,
    asked: Option<PermissionMode>,
    parent: Option<PermissionMode>,
) -> Result<PermissionMode, ApiError> {
    let parent = parent.unwrap_or(PermissionMode::Bypass);
    let mode = asked.unwrap_or_else(|| usual(harness, kind).min_careful(parent));
    let modes = harness.permission_modes();
    if !modes.contains(&mode) {
        let words: Vec<_> = modes.iter().map(|mode| mode.as_str()).collect();
        let message = format!("backend {} has no permission mode {}", harness.id(), mode.as_str());
        return Err(ApiError::new(ErrorCode::NotAvailable, message)
            .field("permission_mode")
            .hint(format!("it has: {}", words.join(", "))));
    }
    if mode.freedom() > parent.freedom() {
        let message =
            format!("a mission in mode {} has no workers in mode {}", parent.as_str(), mode.as_str());
        return Err(ApiError::new(ErrorCode::Forbidden, message)
            .field("permission_mode")
            .hint(format!("use {} or a more careful one, with a backend that has it", parent.as_str())));
    }
    Ok(mode)
}

/// What a mission gets that asks for nothing. A program does what it was told to do: there is nothing to ask.
fn usual(harness: &dyn Harness, kind: WorkspaceKind) -> PermissionMode {
    match (kind, harness.capabilities().kind) {
        (WorkspaceKind::Host, BackendKind::Agent) => PermissionMode::Default,
        (WorkspaceKind::Host, BackendKind::Command) | (WorkspaceKind::Container, _) => PermissionMode::Bypass,
    }
}

impl PermissionMode {
    /// Its place among all modes: the higher, the less it asks.
    fn freedom(self) -> usize {
        Self::ALL.iter().position(|mode| *mode == self).unwrap_or_default()
    }

    fn min_careful(self, other: Self) -> Self {
        if self.freedom() <= other.freedom() { self } else { other }
    }
}

/// What a request of this kind can be answered with; `suggested` are a question's own.
pub fn request_options(kind: &str, suggested: Vec<String>, rule: Option<&str>) -> Vec<String> {
    let words: &[&str] = match (kind, rule) {
        ("question", _) => return suggested,
        ("permission", Some(_)) => &["allow", "allow_always", "deny"],
        _ => &["allow", "deny"],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::registry;
    use PermissionMode as P;
    use WorkspaceKind::{Container, Host};

    fn agent() -> &'static dyn Harness {
        *registry().iter().find(|harness| harness.capabilities().requests).unwrap()
    }

    fn program() -> &'static dyn Harness {
        *registry().iter().find(|harness| harness.capabilities().kind == BackendKind::Command).unwrap()
    }

    #[test]
    fn an_agent_asks_on_the_host_and_not_in_a_sandbox_unless_told_otherwise() {
        let table = [
            (agent(), Container, None, None, Ok(P::Bypass)),
            (agent(), Host, None, None, Ok(P::Default)),
            (agent(), Host, Some(P::Bypass), None, Ok(P::Bypass)),
            (agent(), Container, Some(P::Plan), None, Ok(P::Plan)),
            (program(), Host, None, None, Ok(P::Bypass)),
            (program(), Container, Some(P::Bypass), None, Ok(P::Bypass)),
            (program(), Container, Some(P::Default), None, Err(ErrorCode::NotAvailable)),
            (agent(), Container, None, Some(P::Bypass), Ok(P::Bypass)),
            (agent(), Container, None, Some(P::AcceptEdits), Ok(P::AcceptEdits)),
            (agent(), Host, None, Some(P::AcceptEdits), Ok(P::Default)),
            (agent(), Container, Some(P::Plan), Some(P::Default), Ok(P::Plan)),
            (agent(), Container, Some(P::Bypass), Some(P::AcceptEdits), Err(ErrorCode::Forbidden)),
            (agent(), Container, Some(P::Default), Some(P::Plan), Err(ErrorCode::Forbidden)),
            (program(), Container, Some(P::Bypass), Some(P::Default), Err(ErrorCode::Forbidden)),
            (program(), Container, None, Some(P::Default), Err(ErrorCode::NotAvailable)),
        ];
        for (harness, kind, asked, parent, want) in table {
            let found = permission_mode(harness, kind, asked, parent);
            let case = (harness.id(), kind, asked, parent);
            assert_eq!(
                found.as_ref().map_err(|error| error.code),
                want.as_ref().map_err(|code| *code),
                "{case:?}"
            );
            if let Err(error) = found {
                assert_eq!(error.field.as_deref(), Some("permission_mode"), "{case:?}");
                assert!(!error.hint.is_empty(), "{case:?}");
            }
        }
    }

    #[test]
    fn only_what_has_a_rule_can_be_allowed_always() {
        let options = |kind, rule| request_options(kind, vec!["Blue".to_owned()], rule);
        assert_eq!(options("permission", Some("Bash(ls)")), ["allow", "allow_always", "deny"]);
        assert_eq!(options("permission", None), ["allow", "deny"]);
        assert_eq!(options("plan", None), ["allow", "deny"]);
        assert_eq!(options("question", None), ["Blue"]);
    }
}
