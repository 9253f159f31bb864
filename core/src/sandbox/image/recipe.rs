//! What an image is made of.

use sandboxed_domain::sandbox::{DEFAULT_TEMPLATE, Template, TemplateSources, resolve_template};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::sources::HostSources;
use crate::sandbox::error::SandboxError;

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
    /// `sh` script that is run as root in the image when its packages are there, without a network.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub init_script: String,
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
        let init_script = String::new();
        Ok(Self {
            name: name.to_owned(),
            suite,
            mirrors,
            packages,
            init_script,
            build_version: BUILD_VERSION,
        })
    }

    /// The image of a template. Only the host's own release can be built: its mirrors are all that is asked.
    ///
    /// # Errors
    /// As [`ImageRecipe::of_host`], also for a template of another distribution or release.
    pub fn of_template(name: &str, template: &Template) -> Result<Self, SandboxError> {
        let mut recipe = Self::of_host(name, template.packages.iter().cloned())?;
        recipe.init_script.clone_from(&template.init_script);
        let asked = [(&template.suite, &recipe.suite), (&template.distribution, &distribution())];
        for (asked, own) in asked {
            if let Some(asked) = asked.as_ref().filter(|asked| *asked != own) {
                return Err(SandboxError::ImageFailed {
                    phase: format!("reading template {name:?}"),
                    reason: format!("it wants {asked}, and this host's mirrors have {own}"),
                    log: "/etc/os-release".into(),
                });
            }
        }
        Ok(recipe)
    }

    /// The image of the default template.
    ///
    /// # Errors
    /// As [`ImageRecipe::of_host`].
    pub fn minimal() -> Result<Self, SandboxError> {
        let nothing = TemplateSources { templates: &|_| Ok(None), scripts: &|_| None };
        let template = resolve_template(DEFAULT_TEMPLATE, &nothing);
        let template = template.map_err(|e| SandboxError::Task { reason: e.to_string() })?;
        Self::of_template(DEFAULT_TEMPLATE, &template)
    }

    /// Whether another recipe makes the same image, whatever it is called.
    pub fn makes_same(&self, other: &Self) -> bool {
        let name = self.name.clone();
        *self == Self { name, ..other.clone() }
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

/// The host's `ID` of `/etc/os-release`.
fn distribution() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let id = text.lines().find_map(|line| line.strip_prefix("ID="));
    id.unwrap_or_default().trim_matches('"').to_owned()
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
            init_script: String::new(),
            build_version: 1,
        };
        let mut other = one.clone();
        assert_eq!(one.id(), other.id());
        other.packages.push("curl".into());
        assert_ne!(one.id(), other.id());
        assert_eq!(one.id().len(), "minimal-".len() + 12);
    }
}
