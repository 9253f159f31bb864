//! Profiles: which parts of the Library a mission gets, and settings of its harness.
//!
//! `configs/PROFILE/profile.toml`; a list that is not there means all of that kind, of servers none:
//!
//! ```toml
//! description = "Reviews"
//! skills = ["review"]
//! rules = []
//! mcps = ["playwright", "workspace"]
//! ```
//! Beside it, in the folder of a backend, lies what is written for that harness alone, see
//! [`NativePlace`](crate::harness::NativePlace).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::problem::toml;
use super::{Problem, is_name};
use crate::harness::SkillFile;

/// The profile of missions that name none, where there is one.
pub const DEFAULT_PROFILE: &str = "default";

/// Which names of one kind: those, or all.
pub type Names = Option<Vec<String>>;

/// A profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// What it is for.
    pub description: String,
    /// Skills.
    pub skills: Names,
    /// Agents.
    pub agents: Names,
    /// Commands.
    pub commands: Names,
    /// Rules.
    pub rules: Names,
    /// Tools.
    pub tools: Names,
    /// MCP servers.
    pub mcps: Vec<String>,
    /// What it has for one harness alone, by path below the profile's folder.
    pub files: BTreeMap<String, SkillFile>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    description: String,
    skills: Names,
    agents: Names,
    commands: Names,
    rules: Names,
    tools: Names,
    mcps: Vec<String>,
}

pub(super) fn profile(path: &str, text: &str) -> Result<Profile, Problem> {
    let written: Written = toml(path, text)?;
    let Written { description, skills, agents, commands, rules, tools, mcps } = written;
    let bad = {
        let lists = [&skills, &agents, &commands, &rules];
        let mut all = lists.into_iter().flatten().flatten().chain(&mcps);
        all.find(|name| !is_name(name)).cloned()
    };
    if let Some(bad) = bad {
        return Err(Problem::new(path, format!("{bad:?} is no name")));
    }
    Ok(Profile { description, skills, agents, commands, rules, tools, mcps, files: BTreeMap::new() })
}
