//! Which backend uses which keys, and which of them next: limits of a provider are limits of a key.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sandboxed_domain::api::ApiError;
use sandboxed_domain::harness::{Harness, registry};
use sandboxed_domain::mission::usable_key;

use super::actor::{Actor, StepError};
use super::manager::Missions;
use crate::harness::{Credential, CredentialSettings};
use crate::store::{self, Store, StoreError, Tx, blocking};

/// A credential with the name of its key.
#[derive(Debug, Clone)]
pub(super) struct Keyed {
    pub key: String,
    pub credential: Credential,
}

/// What a backend can authenticate with, the preferred one first; never empty. Blocks.
pub(super) fn ring(harness: &dyn Harness, settings: &CredentialSettings) -> Vec<Keyed> {
    let all = settings.some_credentials(harness).into_iter();
    all.map(|credential| Keyed { key: credential.key(harness), credential }).collect()
}

/// The keys of all backends that a provider could limit. Blocks.
pub(super) fn keys(settings: &CredentialSettings) -> BTreeMap<String, Vec<String>> {
    let limited = registry().iter().filter(|harness| harness.capabilities().models);
    let names = |harness: &dyn Harness| ring(harness, settings).into_iter().map(|keyed| keyed.key).collect();
    limited.map(|harness| (harness.id().to_owned(), names(*harness))).collect()
}

/// The limits that are known of these keys, in their order.
pub(super) fn limits<'a>(
    tx: &Tx<'_>,
    keys: impl IntoIterator<Item = &'a String>,
    now: DateTime<Utc>,
) -> Result<Vec<Option<DateTime<Utc>>>, StoreError> {
    keys.into_iter().map(|key| store::key_limit(tx, key, now)).collect()
}

/// The credential for a run that starts now, and whether there is a choice.
pub(super) async fn choose(
    actor: &Actor<'_>,
    harness: &'static dyn Harness,
) -> Result<(Credential, bool), StepError> {
    let mut ring = ring_of(actor, harness).await?;
    let several = ring.len() > 1;
    let keys: Vec<_> = ring.iter().map(|keyed| keyed.key.clone()).collect();
    let known = actor.shared.store.write(move |tx| limits(tx, &keys, Utc::now())).await?;
    Ok((ring.swap_remove(usable_key(&known).0).credential, several))
}

/// The credential with this name; the preferred one when it has gone meanwhile.
pub(super) async fn named(
    actor: &Actor<'_>,
    harness: &'static dyn Harness,
    label: Option<&str>,
) -> Result<Credential, StepError> {
    let mut ring = ring_of(actor, harness).await?;
    let index = ring.iter().position(|keyed| Some(keyed.credential.label.as_str()) == label).unwrap_or(0);
    Ok(ring.swap_remove(index).credential)
}

/// See [`ring`].
pub(super) async fn ring_of(
    actor: &Actor<'_>,
    harness: &'static dyn Harness,
) -> Result<Vec<Keyed>, ApiError> {
    let settings = actor.shared.settings.credentials.clone();
    blocking(move || ring(harness, &settings)).await
}

impl Missions {
    /// The credentials of a backend whose keys have a limit now, by their names, with its end.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn limited(
        &self,
        harness: &'static dyn Harness,
    ) -> Result<Vec<(String, DateTime<Utc>)>, ApiError> {
        let settings = self.shared.settings.credentials.clone();
        let ring = blocking(move || ring(harness, &settings)).await?;
        let store: &Store = &self.shared.store;
        let keys: Vec<_> = ring.iter().map(|keyed| keyed.key.clone()).collect();
        let known = store.write(move |tx| limits(tx, &keys, Utc::now())).await?;
        let limited =
            ring.into_iter().zip(known).filter_map(|(keyed, until)| Some((keyed.credential.label, until?)));
        Ok(limited.filter(|(label, _)| !label.is_empty()).collect())
    }
}
