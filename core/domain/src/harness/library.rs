//! What a mission gets of the Library, as its harness reads it.

use std::collections::BTreeMap;

use super::{Harness, PlannedFile, SharedText, Skill};
use crate::library::{Agent, Command, Resolved};

/// An MCP server of the user's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryServer {
    /// Name under which the model sees it.
    pub name: String,
    /// How it is reached.
    pub transport: Transport,
}

/// How an MCP server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// A program beside the harness.
    Stdio {
        /// Program, as found inside the workspace.
        command: String,
        /// Its arguments; never a secret.
        args: Vec<String>,
        /// Its environment; may hold secrets, so it goes into files of mode 0600 only.
        env: BTreeMap<String, String>,
    },
    /// An address.
    Http {
        /// Where it is.
        url: String,
        /// Headers of each request; may hold secrets like `env`.
        headers: BTreeMap<String, String>,
    },
}

/// How a harness writes agents down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentForm {
    /// The file as it stands in the Library.
    AsWritten,
    /// Markdown whose front matter has this much and no more.
    Markdown {
        /// Further lines of the front matter.
        extra: &'static str,
    },
    /// TOML with `name`, `description` and `developer_instructions`.
    Toml,
}

/// Where a harness's CLI looks for what the Library has, relative to the mission's directory. A harness without
/// commands gets them as skills. Rules are part of the instructions everywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LibraryPlaces {
    /// Agents.
    pub agents: Option<(&'static str, AgentForm)>,
    /// Commands, as they stand in the Library.
    pub commands: Option<&'static str>,
    /// What a profile has for this harness alone.
    pub native: Option<NativePlace>,
}

/// Where files of a profile come to lie that are written for one harness. Its settings and its instructions become a
/// part of the platform's own; all others lie as they are in the CLI's configuration directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NativePlace {
    /// The profile's folder for it: the backend's id.
    pub folder: &'static str,
    /// The CLI's configuration directory, relative to the mission's.
    pub home: &'static str,
    /// The settings, which its plan takes in.
    pub settings: &'static str,
    /// What the file is called into which it takes them, where that is another.
    pub written: Option<&'static str>,
    /// The instructions.
    pub instructions: &'static str,
    /// What there is not a profile's: files of the platform, logins, and what other folders of the Library are for.
    pub reserved: &'static [&'static str],
}

impl NativePlace {
    /// The file in its home that the settings become a part of.
    pub fn written_settings(&self) -> &'static str {
        self.written.unwrap_or(self.settings)
    }

    /// Whether a file of this name would take the place of one that is not a profile's, or lie in it.
    pub fn is_reserved(&self, path: &str) -> bool {
        let within = |path: &str, folder: &str| {
            path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let own = [self.settings, self.instructions];
        self.reserved.iter().any(|known| within(path, known) || within(known, path))
            || own.iter().any(|known| within(path, known) && path != *known)
    }
}

/// The files for a mission of this harness in `mission_dir`. What somebody changed there is kept.
pub fn library_files(harness: &dyn Harness, mission_dir: &str, resolved: &Resolved) -> Vec<PlannedFile> {
    let places = harness.library_places();
    let mut files = Vec::new();
    let mut skills = resolved.skills.clone();
    match places.commands {
        Some(folder) => {
            let written = resolved.commands.iter();
            files.extend(
                written.map(|command| (format!("{folder}/{}.md", command.name), command.text.clone())),
            );
        }
        None => {
            let free = |command: &&Command| !resolved.skills.iter().any(|skill| skill.name == command.name);
            skills.extend(resolved.commands.iter().filter(free).map(command_as_skill));
        }
    }
    if let Some((folder, form)) = places.agents {
        files.extend(resolved.agents.iter().map(|agent| agent_file(harness, folder, form, agent)));
    }
    let tools = resolved.tools.iter().map(|(name, text)| (format!("{TOOLS}/{name}"), text.clone(), 0o700));
    let mut planned: Vec<PlannedFile> = files
        .into_iter()
        .map(|(path, content)| (path, content, 0o600))
        .chain(tools)
        .map(|(path, content, mode)| PlannedFile {
            path: format!("{mission_dir}/{path}"),
            content,
            mode,
            keep_existing: true,
        })
        .collect();
    if let Some(native) = places.native {
        let home = format!("{mission_dir}/{}", native.home);
        planned.extend(resolved.native.iter().map(|file| PlannedFile {
            path: format!("{home}/{}", file.path),
            content: file.content.clone(),
            mode: if file.executable { 0o700 } else { 0o600 },
            keep_existing: true,
        }));
    }
    if let Some(folder) = harness.skills_dir() {
        let folder = format!("{mission_dir}/{folder}");
        let all = skills.iter().flat_map(|skill| skill.planned(&folder));
        planned.extend(all.map(|file| PlannedFile { keep_existing: true, ..file }));
    }
    planned
}

/// Where tools lie in a mission's directory, in the `PATH` of its agent.
pub const TOOLS: &str = "tools";

fn agent_file(harness: &dyn Harness, folder: &str, form: AgentForm, agent: &Agent) -> (String, SharedText) {
    let model = agent.model.as_deref().filter(|model| harness.check_model(Some(model), None) == Ok(None));
    let (ending, text) = match form {
        AgentForm::AsWritten => ("md", agent.text.clone()),
        AgentForm::Markdown { extra } => {
            let model = model.map(|model| format!("model: {}\n", quoted(model))).unwrap_or_default();
            let (name, description) = (quoted(&agent.name), quoted(&agent.description));
            let front = format!("name: {name}\ndescription: {description}\n{model}{extra}");
            ("md", format!("---\n{front}---\n\n{}", agent.prompt).into())
        }
        AgentForm::Toml => {
            let mut table = toml_edit::DocumentMut::new();
            table["name"] = toml_edit::value(&agent.name);
            table["description"] = toml_edit::value(&agent.description);
            if let Some(model) = model {
                table["model"] = toml_edit::value(model);
            }
            table["developer_instructions"] = toml_edit::value(&agent.prompt);
            ("toml", table.to_string().into())
        }
    };
    (format!("{folder}/{}.{ending}", agent.name), text)
}

/// A command for a harness that knows none: a skill that says when it is meant.
fn command_as_skill(command: &Command) -> Skill {
    let name = &command.name;
    let description = format!("{} Use it when the user says `/{name}`.", full_stop(&command.description));
    let text = format!(
        "---\nname: {name}\ndescription: {}\n---\n\n`$ARGUMENTS` stands for what the user says after `/{name}`.\n\n{}",
        quoted(&description),
        command.prompt
    );
    Skill::of_text(name, &text)
}

fn full_stop(text: &str) -> String {
    let text = text.trim_end_matches('.');
    format!("{text}.")
}

/// A double-quoted scalar: what JSON escapes, YAML takes.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
