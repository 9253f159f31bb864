//! Which backend uses which key: limits of a provider are limits of a key.

use std::collections::BTreeMap;

use sandboxed_domain::harness::{Harness, registry};
use sha2::{Digest, Sha256};

use crate::harness::host_credentials;

/// The key that a mission of this backend would use now, as a name that tells nothing of it. Everything that the
/// harness is given counts: the same key at another address is another provider's.
pub(super) fn key_of(harness: &dyn Harness) -> String {
    let mut digest = Sha256::new();
    for (name, value) in host_credentials(harness) {
        for part in [name, value] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
    }
    let name: String = digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{}:{name}", harness.id())
}

/// The keys of all backends that a provider could limit.
pub(super) fn keys() -> BTreeMap<String, String> {
    let limited = registry().iter().filter(|harness| harness.capabilities().models);
    limited.map(|harness| (harness.id().to_owned(), key_of(*harness))).collect()
}
