//! Templates: what an image is made of and what workspaces of it begin with, each on top of another. Written in TOML, or
//! the same in YAML.
//!
//! ```toml
//! extends = "development"
//! packages = ["postgresql"]
//! init_scripts = ["locale"]
//! init_script = "createuser --help > /dev/null"
//! network = "nat"
//! [env]
//! PGDATA = "/var/lib/pg"
//! [limits]
//! pids = 2048
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::{ApiError, ErrorCode, Limits, NetworkMode};
use crate::policy::check_network;

/// The template of workspaces that name none.
pub const DEFAULT_TEMPLATE: &str = "minimal";
/// Templates that are always there.
const BUILT_IN: [(&str, &str); 4] = [
    ("minimal", include_str!("templates/minimal.toml")),
    ("development", include_str!("templates/development.toml")),
    ("desktop", include_str!("templates/desktop.toml")),
    ("browser", include_str!("templates/browser.toml")),
];
/// Longest chain of `extends`.
const DEEPEST: usize = 8;
/// Most packages of one image.
const MOST_PACKAGES: usize = 1000;
/// Longest init script in bytes.
const LONGEST_SCRIPT: usize = 64 << 10;

/// A template as it is written, and what is left of one when all that it extends is taken in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Template {
    /// The template below it.
    pub extends: Option<String>,
    /// `debian` or `ubuntu`; must be the host's, whose mirrors are used.
    pub distribution: Option<String>,
    /// Release; must be the host's.
    pub suite: Option<String>,
    /// Packages of the distribution, beside its essential ones and those below.
    pub packages: Vec<String>,
    /// Scripts of the Library's `init-scripts/`, by name, run before `init_script`. Empty when all is taken in: their
    /// text is in `init_script` then.
    pub init_scripts: Vec<String>,
    /// `sh` script, run as root in the new image after those of the templates below, without a network of its own.
    pub init_script: String,
    /// Agents' programs that are installed with the image.
    pub clis: Vec<String>,
    /// Environment of every run.
    pub env: BTreeMap<String, String>,
    /// Network of workspaces that ask for none.
    pub network: Option<NetworkMode>,
    /// Hosts of an allowlist.
    pub allow_hosts: Vec<String>,
    /// Limits of workspaces that set none.
    pub limits: Limits,
    /// MCP servers of missions, by their names in the Library.
    pub mcps: Vec<String>,
    /// Skills of missions, by their names in the Library.
    pub skills: Vec<String>,
}

/// Names of the built-in templates.
pub fn built_in_templates() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// Where that is which a template names; none for a name that is not there.
pub struct TemplateSources<'a> {
    /// Templates that are not built in; one of the same name goes before a built-in one, sound or not.
    pub templates: &'a dyn Fn(&str) -> Result<Option<Template>, ApiError>,
    /// Init scripts.
    pub scripts: &'a dyn Fn(&str) -> Option<String>,
}

/// Reads and merges a template.
///
/// # Errors
/// `invalid_argument` on `template`: unknown, not sound, a circle, or a value that cannot be.
pub fn resolve_template(name: &str, sources: &TemplateSources<'_>) -> Result<Template, ApiError> {
    let mut chain: Vec<(String, Template)> = Vec::new();
    let mut wanted = Some(name.to_owned());
    while let Some(name) = wanted.take() {
        if chain.iter().any(|(seen, _)| *seen == name) || chain.len() == DEEPEST {
            let path: Vec<_> = chain.iter().map(|(name, _)| name.as_str()).chain([name.as_str()]).collect();
            return Err(invalid(format!("templates extend one another in a circle: {}", path.join(" > "))));
        }
        let mut template = read(&name, sources.templates)?;
        wanted.clone_from(&template.extends);
        take_scripts(&name, &mut template, sources.scripts)?;
        chain.push((name, template));
    }
    let merged = chain.into_iter().rev().fold(Template::default(), |below, (_, above)| merge(below, above));
    check(&merged)?;
    Ok(merged)
}

fn read(name: &str, find: &dyn Fn(&str) -> Result<Option<Template>, ApiError>) -> Result<Template, ApiError> {
    if let Some(template) = find(name)? {
        return Ok(template);
    }
    let built_in = BUILT_IN.iter().find(|(own, _)| *own == name).ok_or_else(|| {
        let known: Vec<_> = built_in_templates().collect();
        ApiError::new(ErrorCode::InvalidArgument, format!("there is no template {name:?}"))
            .field("template")
            .hint(format!("built in are {}; others come from the Library's templates/", known.join(", ")))
    })?;
    toml_edit::de::from_str(built_in.1)
        .map_err(|error| invalid(format!("template {name:?}: {}", error.to_string().trim())))
}

/// Puts the text of named scripts before the template's own. Each is a subshell: where one leaves off, the next begins
/// in the same place.
fn take_scripts(
    name: &str,
    template: &mut Template,
    find: &dyn Fn(&str) -> Option<String>,
) -> Result<(), ApiError> {
    let mut text = String::new();
    for script in std::mem::take(&mut template.init_scripts) {
        let found = find(&script).ok_or_else(|| {
            invalid(format!("template {name:?}: there is no init-scripts/{script}.sh in the Library"))
        })?;
        text.push_str(&format!("(\n{}\n)\n", found.trim_end()));
    }
    template.init_script.insert_str(0, &text);
    Ok(())
}

fn invalid(message: String) -> ApiError {
    ApiError::invalid("template", message).hint("see docs/operations.md for what a template may say")
}

/// What is above wins; lists are joined.
fn merge(mut below: Template, above: Template) -> Template {
    below.distribution = above.distribution.or(below.distribution);
    below.suite = above.suite.or(below.suite);
    below.packages.extend(above.packages);
    below.packages.sort();
    below.packages.dedup();
    if !above.init_script.trim().is_empty() {
        below.init_script = format!("{}{}\n", below.init_script, above.init_script.trim_end());
    }
    below.env.extend(above.env);
    if above.network.is_some() {
        (below.network, below.allow_hosts) = (above.network, above.allow_hosts);
    }
    below.limits = above.limits.or(below.limits);
    for (own, more) in
        [(&mut below.clis, above.clis), (&mut below.mcps, above.mcps), (&mut below.skills, above.skills)]
    {
        for name in more {
            if !own.contains(&name) {
                own.push(name);
            }
        }
    }
    below.extends = None;
    below
}

fn check(template: &Template) -> Result<(), ApiError> {
    let package = |name: &&String| {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.:".contains(c);
        !name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) || !name.chars().all(legal)
    };
    if let Some(bad) = template.packages.iter().find(package) {
        return Err(invalid(format!("{bad:?} is not the name of a package")));
    }
    if template.packages.len() > MOST_PACKAGES || template.init_script.len() > LONGEST_SCRIPT {
        return Err(invalid(format!(
            "at most {MOST_PACKAGES} packages and {LONGEST_SCRIPT} bytes of init_script"
        )));
    }
    if let Some(bad) = template.env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        return Err(invalid(format!("{bad:?} is not the name of a variable")));
    }
    check_network(template.network.unwrap_or_default(), &template.allow_hosts).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(name: &str, files: &[(&str, &str)]) -> Result<Template, ApiError> {
        let text =
            |wanted: &str| files.iter().find(|(name, _)| *name == wanted).map(|(_, text)| (*text).to_owned());
        let template = |name: &str| {
            let read = |text: String| toml_edit::de::from_str(&text).map_err(|e| invalid(e.to_string()));
            text(name).map(read).transpose()
        };
        resolve_template(
            name,
            &TemplateSources { templates: &template, scripts: &|name| text(&format!("{name}.sh")) },
        )
    }

    #[test]
    fn built_in_templates_are_sound_and_stand_on_the_minimal_one() {
        for name in built_in_templates() {
            let template = resolve(name, &[]).unwrap();
            assert!(template.packages.contains(&"git".to_owned()), "{name}");
            assert!(template.packages.is_sorted());
        }
    }

    #[test]
    fn what_is_above_wins_and_lists_are_joined() {
        let files = [
            (
                "base",
                "extends = \"minimal\"\nnetwork = \"nat\"\ninit_script = \"one\"\nenv = { A = \"1\", B = \"1\" }\nlimits = { pids = 5 }",
            ),
            (
                "top",
                "extends = \"base\"\npackages = [\"jq\", \"git\"]\ninit_script = \"two\"\nenv = { B = \"2\" }\nlimits = { memory_bytes = 9 }",
            ),
        ];
        let template = resolve("top", &files).unwrap();
        assert_eq!(template.packages, ["bash", "ca-certificates", "git", "jq", "procps"]);
        assert_eq!(template.init_script, "one\ntwo\n");
        assert_eq!((&*template.env["A"], &*template.env["B"]), ("1", "2"));
        assert_eq!((template.limits.pids, template.limits.memory_bytes), (Some(5), Some(9)));
        assert_eq!(template.network, Some(NetworkMode::Nat));
    }

    #[test]
    fn named_scripts_run_before_the_templates_own_and_after_those_below() {
        let files = [
            ("base", "init_scripts = [\"one\"]\ninit_script = \"two\"\nmcps = [\"a\", \"b\"]"),
            ("top", "extends = \"base\"\ninit_scripts = [\"three\", \"one\"]\nmcps = [\"a\"]"),
            ("one.sh", "#!/bin/sh\nfirst\n"),
            ("three.sh", "third"),
        ];
        let template = resolve("top", &files).unwrap();
        let one = "(\n#!/bin/sh\nfirst\n)\n";
        assert_eq!(template.init_script, format!("{one}two\n(\nthird\n)\n{one}"));
        assert_eq!(
            (template.init_scripts, template.mcps),
            (Vec::<String>::new(), vec!["a".into(), "b".into()])
        );
        let error = resolve("top", &[("top", "init_scripts = [\"gone\"]")]).unwrap_err();
        assert!(error.message.contains("init-scripts/gone.sh"), "{error:?}");
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        for (text, words) in [
            ("extends = \"self\"", "circle"),
            ("extends = \"nowhere\"", "no template"),
            ("colour = \"red\"", "colour"),
            ("packages = [\"git; rm -rf /\"]", "package"),
            ("packages = [\"-o\"]", "package"),
            ("packages = 7", "line 1"),
            ("network = \"allowlist\"", "host"),
            ("env = { \"A=B\" = \"1\" }", "variable"),
        ] {
            let error = resolve("self", &[("self", text)]).unwrap_err();
            assert!(error.message.contains(words), "{text}: {error:?}");
        }
        assert!(resolve("nobody", &[]).unwrap_err().hint.contains("development"));
    }
}
