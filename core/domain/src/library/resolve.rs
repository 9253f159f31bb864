//! What one mission gets of the Library.

use super::documents::{Agent, Command, Rule};
use super::mcp::{built_in_program, with_secrets};
use super::{BUILT_IN_SERVERS, DEFAULT_PROFILE, Library, Names, native};
use crate::api::ApiError;
use crate::harness::{LibraryPlaces, LibraryServer, SharedText, Skill, SkillFile};

/// Skills that the platform gives to each mission by its part, never to all.
pub const PART_SKILLS: [&str; 2] = ["orchestrator-boss", "orchestrator-worker"];
/// Most servers of one mission.
const MOST_SERVERS: usize = 20;

/// What a mission asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Selection<'a> {
    /// Its profile.
    pub profile: Option<&'a str>,
    /// The role that it has.
    pub agent: Option<&'a str>,
    /// MCP servers.
    pub mcps: &'a [String],
    /// MCP servers of its workspace's template.
    pub template_mcps: &'a [String],
    /// Skills of its workspace's template.
    pub template_skills: &'a [String],
}

/// What it gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Skills.
    pub skills: Vec<Skill>,
    /// Agents that it may give work to.
    pub agents: Vec<Agent>,
    /// Commands.
    pub commands: Vec<Command>,
    /// What always holds.
    pub rules: Vec<Rule>,
    /// Tools by name.
    pub tools: Vec<(String, SharedText)>,
    /// Servers of the Library, with their secrets.
    pub servers: Vec<LibraryServer>,
    /// Built-in servers: name and program.
    pub built_in: Vec<(&'static str, &'static str)>,
    /// The role that it has.
    pub agent: Option<Agent>,
    /// Settings of its harness: path in the Library, and text.
    pub settings: Option<(String, String)>,
    /// What its profile says to agents of its harness.
    pub instructions: Option<String>,
    /// Other files of its profile for its harness, by path in the CLI's configuration directory.
    pub native: Vec<SkillFile>,
    /// What a profile or template names and is not there.
    pub warnings: Vec<String>,
}

/// Whether a mission may ask for this: what it names itself must be there.
///
/// # Errors
/// `invalid_argument` on `config_profile`, `agent` or `mcps[i]`.
pub fn check_selection(library: &Library, selection: &Selection<'_>) -> Result<(), ApiError> {
    let missing = |field: String, what: &str, name: &str, known: Vec<&str>| {
        let known = if known.is_empty() { "it has none".to_owned() } else { known.join(", ") };
        let why = match library.problems.iter().find(|problem| problem.path.contains(&format!("/{name}"))) {
            Some(problem) => format!("the Library's {what} {name:?} is not sound: {problem}"),
            None => format!("the Library has no {what} {name:?}"),
        };
        ApiError::invalid(field, why)
            .hint(format!("`sandboxed-sh library list` shows what is there: {known}"))
    };
    let profile = selection.profile.filter(|name| !library.profiles.contains_key(*name));
    if let Some(name) = profile.filter(|name| *name != DEFAULT_PROFILE) {
        let known = library.profiles.keys().map(String::as_str).collect();
        return Err(missing("config_profile".to_owned(), "profile", name, known));
    }
    if let Some(name) = selection.agent.filter(|name| !library.agents.contains_key(*name)) {
        let known = library.agents.keys().map(String::as_str).collect();
        return Err(missing("agent".to_owned(), "agent", name, known));
    }
    let there = |name: &str| library.mcps.contains_key(name) || built_in_program(name).is_some();
    if let Some((at, name)) = selection.mcps.iter().enumerate().find(|(_, name)| !there(name)) {
        let built_in = BUILT_IN_SERVERS.iter().map(|(name, _)| *name);
        let known = built_in.chain(library.mcps.keys().map(String::as_str)).collect();
        return Err(missing(format!("mcps[{at}]"), "MCP server", name, known));
    }
    if selection.mcps.len() > MOST_SERVERS {
        return Err(ApiError::invalid("mcps", format!("more than {MOST_SERVERS} servers")).hint("name fewer"));
    }
    Ok(())
}

/// Decides. Lists of the profile and the template are joined; where neither names any, all of a kind are given, of
/// servers none.
///
/// # Errors
/// As [`check_selection`], and a server that the mission itself names and that lacks a secret.
pub fn resolve_library(
    library: &Library,
    selection: &Selection<'_>,
    places: LibraryPlaces,
    secret: &dyn Fn(&str) -> Option<String>,
) -> Result<Resolved, ApiError> {
    check_selection(library, selection)?;
    let name = selection.profile.unwrap_or(DEFAULT_PROFILE);
    let profile = library.profiles.get(name).cloned().unwrap_or_default();
    let mut warnings = Vec::new();
    let with_template = match (&profile.skills, selection.template_skills) {
        (None, []) => None,
        (own, more) => Some(own.iter().flatten().chain(more).cloned().collect()),
    };
    let mut resolved = Resolved {
        skills: pick("skill", &library.skills, &with_template, &mut warnings),
        agents: pick("agent", &library.agents, &profile.agents, &mut warnings),
        commands: pick("command", &library.commands, &profile.commands, &mut warnings),
        rules: pick("rule", &library.rules, &profile.rules, &mut warnings),
        agent: selection.agent.and_then(|name| library.agents.get(name).cloned()),
        ..Resolved::default()
    };
    resolved.skills.retain(|skill| !PART_SKILLS.contains(&skill.name.as_str()));
    let named = |name: &String| profile.tools.as_ref().is_none_or(|names| names.contains(name));
    let tools = library.tools.iter().filter(|(name, _)| named(name));
    resolved.tools = tools.map(|(name, text)| (name.clone(), text.clone())).collect();
    for name in profile.tools.iter().flatten().filter(|name| !library.tools.contains_key(*name)) {
        warnings.push(format!("there is no tool {name:?}"));
    }
    if let Some(place) = places.native {
        native::give(name, &profile, place, &mut resolved);
        let start = format!("configs/{name}/{}/", place.folder);
        let unsound = library.problems.iter().filter(|problem| problem.path.starts_with(&start));
        warnings.extend(unsound.map(ToString::to_string));
    }
    servers(library, selection, &profile.mcps, secret, &mut resolved, &mut warnings)?;
    resolved.warnings = warnings;
    Ok(resolved)
}

/// The named ones of a kind, each once, or all.
fn pick<T: Clone>(
    kind: &str,
    all: &std::collections::BTreeMap<String, T>,
    names: &Names,
    warnings: &mut Vec<String>,
) -> Vec<T> {
    let Some(names) = names else { return all.values().cloned().collect() };
    for name in names.iter().filter(|name| !all.contains_key(*name)) {
        warnings.push(format!("there is no sound {kind} {name:?}"));
    }
    all.iter().filter(|(name, _)| names.contains(name)).map(|(_, item)| item.clone()).collect()
}

fn servers(
    library: &Library,
    selection: &Selection<'_>,
    of_profile: &[String],
    secret: &dyn Fn(&str) -> Option<String>,
    resolved: &mut Resolved,
    warnings: &mut Vec<String>,
) -> Result<(), ApiError> {
    let mut seen = Vec::new();
    let own = selection.mcps.iter().enumerate().map(|(at, name)| (Some(at), name));
    for (at, name) in own.chain(of_profile.iter().chain(selection.template_mcps).map(|name| (None, name))) {
        if seen.contains(&name) || seen.len() == MOST_SERVERS {
            continue;
        }
        seen.push(name);
        if let Some(built_in) = BUILT_IN_SERVERS.into_iter().find(|(own, _)| own == name) {
            resolved.built_in.push(built_in);
            continue;
        }
        let Some(server) = library.mcps.get(name) else {
            warnings.push(format!("there is no sound MCP server {name:?}"));
            continue;
        };
        match (with_secrets(server, secret), at) {
            (Ok(server), _) => resolved.servers.push(server),
            (Err(missing), Some(at)) => {
                let message = format!("the server {name:?} wants a secret {missing:?}, which is not set");
                return Err(ApiError::invalid(format!("mcps[{at}]"), message)
                    .hint("add it to the file of secrets, see docs/library.md"));
            }
            (Err(missing), None) => {
                warnings.push(format!("the server {name:?} wants a secret {missing:?}, which is not set"));
            }
        }
    }
    Ok(())
}

/// The rules and the role of a mission, and what its profile says, for the end of its instructions.
pub fn library_instructions(resolved: &Resolved) -> String {
    let mut text = String::new();
    if let Some(agent) = &resolved.agent {
        text.push_str(&format!("\n# Your role: {}\n\n{}\n", agent.name, agent.prompt.trim_end()));
    }
    for rule in &resolved.rules {
        text.push_str(&format!("\n# Rule: {}\n\n{}\n", rule.name, rule.text.trim_end()));
    }
    if let Some(said) = &resolved.instructions {
        text.push_str(&format!("\n{}\n", said.trim_end()));
    }
    text
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
