//! What an image is made of.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::sources::HostSources;
use crate::sandbox::error::SandboxError;

/// What the default image has besides the essential packages: enough for git, HTTPS and looking at processes.
const MINIMAL: [&str; 4] = ["bash", "ca-certificates", "git", "procps"];
/// Changes when the build itself changes, so that older images are not taken for new ones.
const BUILD_VERSION: u32 = 1;

/// What an image is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecipe {
    /// First part of the image's name.
    pub name: String,
    /// Release of the distribution.
    pub suite: String,
    /// Mirrors, as `sources.list` entries; the first one has the release.
    pub mirrors: Vec<String>,
    /// Packages besides the essential ones, sorted.
    pub packages: Vec<String>,
    build_version: u32,
}

impl ImageRecipe {
    /// A recipe with the host's own release and mirrors.
    ///
    /// # Errors
    /// [`SandboxError::ImageFailed`] when the host is not of a distribution with apt.
    pub fn of_host(name: &str, packages: impl IntoIterator<Item = String>) -> Result<Self, SandboxError> {
        let sources = HostSources::read().filter(|sources| !sources.entries.is_empty());
        let Some(sources) = sources else {
            return Err(SandboxError::ImageFailed {
                phase: "reading the host's package sources".into(),
                reason: "no mirror of this host's release in /etc/apt/sources.list or sources.list.d".into(),
                log: "/etc/apt/sources.list".into(),
            });
        };
        let mut packages: Vec<String> = packages.into_iter().collect();
        packages.sort();
        packages.dedup();
        let (suite, mirrors) = (sources.suite, sources.entries);
        Ok(Self { name: name.to_owned(), suite, mirrors, packages, build_version: BUILD_VERSION })
    }

    /// The default image.
    ///
    /// # Errors
    /// As [`ImageRecipe::of_host`].
    pub fn minimal() -> Result<Self, SandboxError> {
        Self::of_host("minimal", MINIMAL.map(str::to_owned))
    }

    /// SHA-256 of everything in it, in hexadecimal.
    pub fn digest(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Name of the image: the same recipe always has the same.
    pub fn id(&self) -> String {
        format!("{}-{}", self.name, &self.digest()[..12])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_recipe_has_the_same_name_and_another_one_another() {
        let one = ImageRecipe {
            name: "minimal".into(),
            suite: "bookworm".into(),
            mirrors: vec!["deb http://a/ bookworm main".into()],
            packages: vec!["git".into()],
            build_version: 1,
        };
        let mut other = one.clone();
        assert_eq!(one.id(), other.id());
        other.packages.push("curl".into());
        assert_ne!(one.id(), other.id());
        assert_eq!(one.id().len(), "minimal-".len() + 12);
    }
}
