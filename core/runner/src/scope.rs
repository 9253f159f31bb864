//! Abstract unix sockets end where the sandbox does, also in one that has the host's network: they belong to a network
//! namespace, and the host's desktop, bus and helpers listen there without asking who comes.

use landlock::{RestrictionStatus, Ruleset, RulesetAttr, RulesetError, Scope};

/// Keeps this process and all that it will start from abstract sockets made outside. Where the kernel cannot (before
/// Linux 6.12) nothing changes; only a network of its own keeps a sandbox from them there.
///
/// # Errors
/// The kernel knows this and refuses it.
pub fn restrict() -> Result<RestrictionStatus, RulesetError> {
    Ruleset::default().scope(Scope::AbstractUnixSocket)?.create()?.restrict_self()
}
