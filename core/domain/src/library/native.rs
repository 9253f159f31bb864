//! What a profile has for one harness alone: `configs/PROFILE/BACKEND/…`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::problem::{json, toml};
use super::{NAME_RULE, Problem, Profile, Resolved, SourceFile, is_name};
use crate::harness::{NativePlace, SkillFile, registry};

/// All places of this build, by the folder of each.
fn places() -> impl Iterator<Item = NativePlace> {
    registry().iter().filter_map(|harness| harness.library_places().native)
}

/// Takes a file of a profile that is not its `profile.toml`. A profile may be nothing else.
///
/// # Errors
/// Its place is not one that a profile has, or it is settings that cannot be read. Such settings are taken all the
/// same: an agent must not start without what they forbid.
pub(super) fn take(
    profiles: &mut BTreeMap<String, Profile>,
    name: &str,
    below: &str,
    file: &SourceFile,
) -> Result<(), Problem> {
    let fault = |message: String| Err(Problem::new(&file.path, message));
    if !is_name(name) {
        return fault(format!("{name:?}: {NAME_RULE}"));
    }
    let (folder, path) = match below.split_once('/') {
        Some(parts) => parts,
        None if below.eq_ignore_ascii_case("README.md") => return Ok(()),
        None => {
            return fault("belongs into the folder of a backend, or is not called profile.toml".to_owned());
        }
    };
    let Some(place) = places().find(|place| place.folder == folder) else {
        let known: Vec<_> = places().map(|place| place.folder).collect();
        return fault(format!("no backend {folder:?} takes files; there are {}", known.join(", ")));
    };
    if place.is_reserved(path) {
        let (settings, instructions) = (place.settings, place.instructions);
        return fault(format!(
            "is not a profile's: settings are {settings}, instructions {instructions}, skills, agents and commands \
             have folders of their own in the Library, and logins are none of its business"
        ));
    }
    let text = file.content.as_deref().map_err(|why| Problem::new(&file.path, why.as_str()))?;
    let kept = SkillFile { executable: file.executable, ..SkillFile::new(path, text) };
    profiles.entry(name.to_owned()).or_default().files.insert(below.to_owned(), kept);
    match path == place.settings {
        true => check_settings(&file.path, text),
        false => Ok(()),
    }
}

fn check_settings(path: &str, text: &str) -> Result<(), Problem> {
    match path.ends_with(".json") {
        true => json::<serde_json::Map<String, Value>>(path, text).map(drop),
        false => toml::<BTreeMap<String, Value>>(path, text).map(drop),
    }
}

/// Gives a mission what its profile has for its harness.
pub(super) fn give(name: &str, profile: &Profile, place: NativePlace, resolved: &mut Resolved) {
    let start = format!("{}/", place.folder);
    for (below, file) in &profile.files {
        let Some(path) = below.strip_prefix(&start) else { continue };
        if path == place.settings {
            resolved.settings = Some((format!("configs/{name}/{below}"), file.content.as_str().to_owned()));
        } else if path == place.instructions {
            resolved.instructions = Some(file.content.as_str().to_owned());
        } else {
            resolved.native.push(file.clone());
        }
    }
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
