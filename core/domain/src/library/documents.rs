//! Skills, agents, commands and rules: Markdown with front matter.

use serde::Deserialize;
use serde_json::Value;

use super::front::split;
use super::{Problem, SourceFile};
use crate::harness::{SharedText, Skill, SkillFile};

/// Longest description.
const LONGEST_DESCRIPTION: usize = 1024;
/// Most files of one skill.
const MOST_SKILL_FILES: usize = 100;
/// Most bytes of one skill.
const LARGEST_SKILL: usize = 4 << 20;

/// A role that a harness may give work to, or that a mission may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// When to use it.
    pub description: String,
    /// Model that it wants, where the harness takes that.
    pub model: Option<String>,
    /// What it is told.
    pub prompt: String,
    /// The file as it stands, with its name in the front matter.
    pub text: SharedText,
}

/// A prompt with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its name: `/name` where the harness has such.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The prompt; `$ARGUMENTS` stands for what follows the name.
    pub prompt: String,
    /// The file as it stands.
    pub text: SharedText,
}

/// Something that always holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What holds.
    pub text: String,
}

/// Keys that the platform reads; others are a harness's own business and are passed on with the file.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Front {
    name: Option<String>,
    description: Option<String>,
    model: Option<String>,
    #[serde(flatten)]
    _others: std::collections::BTreeMap<String, Value>,
}

/// A skill of its files, by their paths within its folder. A file that cannot be read is left out; what is wrong with
/// its own front matter or its size leaves no skill.
pub(super) fn skill(name: &str, files: &[(String, &SourceFile)]) -> (Option<Skill>, Vec<Problem>) {
    let main = format!("skills/{name}/SKILL.md");
    let mut problems = Vec::new();
    let mut kept = Vec::new();
    for (path, file) in files {
        match &file.content {
            Ok(text) => kept.push(SkillFile {
                path: path.clone(),
                content: text.as_str().into(),
                executable: file.executable,
            }),
            Err(why) => problems.push(Problem::new(&file.path, why.as_str())),
        }
    }
    let bytes: usize = kept.iter().map(|file| file.content.len()).sum();
    let fault = if kept.len() > MOST_SKILL_FILES || bytes > LARGEST_SKILL {
        Some(Problem::new(&main, format!("more than {MOST_SKILL_FILES} files or {LARGEST_SKILL} bytes")))
    } else {
        match kept.iter().find(|file| file.path == "SKILL.md") {
            Some(file) => skill_front(name, &main, &file.content).err(),
            None => Some(Problem::new(&main, "is missing")),
        }
    };
    let skill = fault.is_none().then(|| Skill { name: name.to_owned(), files: kept });
    problems.extend(fault);
    (skill, problems)
}

fn skill_front(name: &str, path: &str, text: &str) -> Result<(), Problem> {
    let (front, _) = split::<Front>(path, text)?;
    let front = front.ok_or_else(|| Problem::at(path, 1, "has no front matter with name and description"))?;
    described(path, text, &front)?;
    match front.name.as_deref() {
        Some(said) if said == name => Ok(()),
        Some(said) => {
            Err(at_key(path, text, "name", format!("its name is {said:?}, its folder's is {name:?}")))
        }
        None => Err(Problem::at(path, 1, "its front matter has no name")),
    }
}

pub(super) fn agent(name: &str, path: &str, text: &str) -> Result<Agent, Problem> {
    let (front, prompt) = split::<Front>(path, text)?;
    let front = front.ok_or_else(|| Problem::at(path, 1, "has no front matter with a description"))?;
    let description = described(path, text, &front)?;
    // Harnesses want the name inside; here the file's name says it.
    let text = match front.name.as_deref() {
        Some(said) if said == name => text.to_owned(),
        Some(said) => {
            let message = format!("its name is {said:?}, its file's is {name:?}");
            return Err(at_key(path, text, "name", message));
        }
        None => text.replacen("---", &format!("---\nname: {name}"), 1),
    };
    not_empty(path, &prompt)?;
    Ok(Agent { name: name.to_owned(), description, model: front.model, prompt, text: text.into() })
}

pub(super) fn command(name: &str, path: &str, text: &str) -> Result<Command, Problem> {
    let (front, prompt) = split::<Front>(path, text)?;
    let description = match front {
        Some(front) if front.description.is_some() => described(path, text, &front)?,
        _ => format!("The command {name}"),
    };
    not_empty(path, &prompt)?;
    Ok(Command { name: name.to_owned(), description, prompt, text: text.into() })
}

pub(super) fn rule(name: &str, path: &str, text: &str) -> Result<Rule, Problem> {
    let (_, body) = split::<Front>(path, text)?;
    not_empty(path, &body)?;
    Ok(Rule { name: name.to_owned(), text: body })
}

fn not_empty(path: &str, body: &str) -> Result<(), Problem> {
    if body.trim().is_empty() {
        return Err(Problem::new(path, "has no text"));
    }
    Ok(())
}

fn described(path: &str, text: &str, front: &Front) -> Result<String, Problem> {
    let description = front.description.as_deref().map(str::trim).unwrap_or_default();
    if description.is_empty() {
        return Err(Problem::at(path, 1, "its front matter has no description"));
    }
    if description.len() > LONGEST_DESCRIPTION {
        let message = format!("its description is longer than {LONGEST_DESCRIPTION} bytes");
        return Err(at_key(path, text, "description", message));
    }
    Ok(description.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A problem with the line on which a key of the front matter stands.
fn at_key(path: &str, text: &str, key: &str, message: String) -> Problem {
    let start = format!("{key}:");
    let line = text.lines().position(|line| line.trim_start().starts_with(&start));
    Problem::at(path, line.map_or(1, |at| at + 1), message)
}

/// The description of a skill, for lists.
pub fn skill_description(skill: &Skill) -> String {
    let main = skill.files.iter().find(|file| file.path == "SKILL.md");
    let front = main.and_then(|file| split::<Front>("", &file.content).ok()).and_then(|(front, _)| front);
    front.and_then(|front| front.description).unwrap_or_default()
}
