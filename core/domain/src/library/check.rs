//! From files to a Library: every file is what its folder says, or a problem.

use std::collections::BTreeMap;

use super::documents::{Agent, Command, Rule, agent, command, rule, skill};
use super::names::path_fault;
use super::problem::{toml, yaml};
use super::profile::profile;
use super::{LibraryKind, NAME_RULE, Problem, Profile, SourceFile, is_name, mcp, native};
use crate::api::ApiError;
use crate::harness::{LibraryServer, SharedText, Skill};
use crate::sandbox::{Template, TemplateSources, resolve_template};

/// Most problems that are told; one bad merge can make thousands.
const MOST_PROBLEMS: usize = 200;

/// All that is sound, by name, and what is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is explained in the module")]
pub struct Library {
    pub skills: BTreeMap<String, Skill>,
    pub agents: BTreeMap<String, Agent>,
    pub commands: BTreeMap<String, Command>,
    pub rules: BTreeMap<String, Rule>,
    pub mcps: BTreeMap<String, LibraryServer>,
    pub tools: BTreeMap<String, SharedText>,
    pub templates: BTreeMap<String, TemplateFile>,
    pub init_scripts: BTreeMap<String, String>,
    pub profiles: BTreeMap<String, Profile>,
    pub problems: Vec<Problem>,
}

/// A template as its file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFile {
    /// Its path in the Library.
    pub path: String,
    /// What it says.
    pub template: Template,
}

impl Library {
    /// A template of the Library with this name; none where it has no such file.
    ///
    /// # Errors
    /// `invalid_argument` on `template`: it has, and it is not sound.
    pub fn template(&self, name: &str) -> Result<Option<Template>, ApiError> {
        if let Some(file) = self.templates.get(name) {
            return Ok(Some(file.template.clone()));
        }
        match self.problems.iter().find(|problem| template_in(&problem.path) == Some(name)) {
            Some(problem) => {
                let message = format!("the Library's template is not sound: {problem}");
                Err(ApiError::invalid("template", message).hint("mend the file, or name another template"))
            }
            None => Ok(None),
        }
    }

    /// Names and paths of all that is sound, in the order of [`LibraryKind::ALL`].
    pub fn names(&self) -> Vec<(LibraryKind, &str)> {
        fn of<T>(kind: LibraryKind, all: &BTreeMap<String, T>) -> Vec<(LibraryKind, &str)> {
            all.keys().map(|name| (kind, name.as_str())).collect()
        }
        [
            of(LibraryKind::Skill, &self.skills),
            of(LibraryKind::Agent, &self.agents),
            of(LibraryKind::Command, &self.commands),
            of(LibraryKind::Rule, &self.rules),
            of(LibraryKind::Mcp, &self.mcps),
            of(LibraryKind::Tool, &self.tools),
            of(LibraryKind::Template, &self.templates),
            of(LibraryKind::InitScript, &self.init_scripts),
            of(LibraryKind::Profile, &self.profiles),
        ]
        .concat()
    }
}

/// Checks all files. What lies outside of the Library's folders (a README, a licence) is nobody's concern.
pub fn check_library(files: &[SourceFile]) -> Library {
    let mut library = Library::default();
    let mut skills: BTreeMap<String, Vec<(String, &SourceFile)>> = BTreeMap::new();
    let mut settings: Vec<(&str, &SourceFile)> = Vec::new();
    for file in files {
        let mut parts = file.path.splitn(3, '/');
        let (Some(folder), Some(second)) = (parts.next(), parts.next()) else { continue };
        let Some(kind) = LibraryKind::of_folder(folder) else { continue };
        if let Some(fault) = path_fault(&file.path) {
            library.problems.push(Problem::new(&file.path, format!("its path {fault}")));
            continue;
        }
        match (kind, parts.next()) {
            (LibraryKind::Skill, Some(rest)) => {
                skills.entry(second.to_owned()).or_default().push((rest.to_owned(), file));
            }
            (LibraryKind::Profile, Some("profile.toml")) => library.take(kind, second, file),
            (LibraryKind::Profile, Some(_)) => settings.push((second, file)),
            // A word of explanation may lie in every folder.
            (_, None) if second.eq_ignore_ascii_case("README.md") => {}
            (LibraryKind::Skill | LibraryKind::Profile, None) => {
                let message = format!("belongs into a folder of its own below {folder}/");
                library.problems.push(Problem::new(&file.path, message));
            }
            (_, None) => library.take(kind, second, file),
            (_, Some(_)) => {
                library.problems.push(Problem::new(&file.path, format!("{folder}/ has no folders")));
            }
        }
    }
    library.take_skills(&skills);
    for (name, file) in settings {
        let below = file.path.splitn(3, '/').nth(2).unwrap_or_default();
        let outcome = native::take(&mut library.profiles, name, below, file);
        library.problems.extend(outcome.err());
    }
    library.drop_doubles(files);
    library.check_templates();
    library.problems.sort();
    library.problems.truncate(MOST_PROBLEMS);
    library
}

/// The name in a file's name, by the endings that its kind has.
fn name_of(kind: LibraryKind, file: &str) -> Option<&str> {
    let endings: &[&str] = match kind {
        LibraryKind::Agent | LibraryKind::Command | LibraryKind::Rule => &[".md"],
        LibraryKind::Mcp => &[".toml", ".json"],
        LibraryKind::Template => &[".toml", ".yaml", ".yml"],
        LibraryKind::InitScript => &[".sh"],
        LibraryKind::Tool | LibraryKind::Skill | LibraryKind::Profile => &[""],
    };
    endings.iter().find_map(|ending| file.strip_suffix(ending))
}

/// The name of the template that a path is the file of.
fn template_in(path: &str) -> Option<&str> {
    let file = path.strip_prefix(LibraryKind::Template.folder())?.strip_prefix('/')?;
    name_of(LibraryKind::Template, file)
}

impl Library {
    /// One file that is a thing of its own.
    fn take(&mut self, kind: LibraryKind, file_name: &str, file: &SourceFile) {
        let path = file.path.as_str();
        let mut taken = || {
            let name = name_of(kind, file_name)
                .ok_or_else(|| Problem::new(path, "its ending is not one that its folder has"))?;
            // A tool is called by its file's name, which may have an ending.
            let bare = if kind == LibraryKind::Tool { &name.replace('.', "-") } else { name };
            if !is_name(bare) {
                return Err(Problem::new(path, format!("{name:?}: {NAME_RULE}")));
            }
            let text = file.content.as_deref().map_err(|why| Problem::new(path, why.as_str()))?;
            self.put(kind, name, path, text)
        };
        let outcome = taken();
        self.problems.extend(outcome.err());
    }

    fn put(&mut self, kind: LibraryKind, name: &str, path: &str, text: &str) -> Result<(), Problem> {
        let key = name.to_owned();
        match kind {
            LibraryKind::Agent => drop(self.agents.insert(key, agent(name, path, text)?)),
            LibraryKind::Command => drop(self.commands.insert(key, command(name, path, text)?)),
            LibraryKind::Rule => drop(self.rules.insert(key, rule(name, path, text)?)),
            LibraryKind::Mcp => {
                let server = mcp::server(name, path, text)?;
                if self.mcps.insert(key, server).is_some() {
                    return Err(Problem::new(path, format!("there are two servers {name:?}")));
                }
            }
            LibraryKind::Tool => {
                if !text.starts_with("#!") {
                    return Err(Problem::at(path, 1, "does not begin with #! and its interpreter"));
                }
                self.tools.insert(key, text.into());
            }
            LibraryKind::Template => {
                let template = if path.ends_with(".toml") { toml(path, text)? } else { yaml(path, text, 0)? };
                self.templates.insert(key, TemplateFile { path: path.to_owned(), template });
            }
            LibraryKind::InitScript => drop(self.init_scripts.insert(key, text.to_owned())),
            LibraryKind::Profile => drop(self.profiles.insert(key, profile(path, text)?)),
            LibraryKind::Skill => {}
        }
        Ok(())
    }

    fn take_skills(&mut self, skills: &BTreeMap<String, Vec<(String, &SourceFile)>>) {
        for (name, files) in skills {
            if !is_name(name) {
                self.problems.push(Problem::new(&format!("skills/{name}"), format!("{name:?}: {NAME_RULE}")));
                continue;
            }
            let (found, problems) = skill(name, files);
            self.problems.extend(problems);
            self.skills.extend(found.map(|skill| (name.clone(), skill)));
        }
    }

    /// A template has one file: of several nobody can say which is meant.
    fn drop_doubles(&mut self, files: &[SourceFile]) {
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for file in files {
            let Some(name) = template_in(&file.path) else { continue };
            if let Some(other) = seen.insert(name, &file.path) {
                self.templates.remove(name);
                let message = format!("{other} is the template {name:?} as well: keep one of the two");
                self.problems.push(Problem::new(&file.path, message));
            }
        }
    }

    /// Templates stand on one another, so they are looked at when all are there.
    fn check_templates(&mut self) {
        let sources = TemplateSources {
            templates: &|name| self.template(name),
            scripts: &|name| self.init_scripts.get(name).cloned(),
        };
        let wrong = |(name, file): (&String, &TemplateFile)| {
            let error = resolve_template(name, &sources).err()?;
            Some((name.clone(), Problem::new(&file.path, error.message)))
        };
        let wrong: Vec<_> = self.templates.iter().filter_map(wrong).collect();
        for (name, problem) in wrong {
            self.templates.remove(&name);
            self.problems.push(problem);
        }
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
