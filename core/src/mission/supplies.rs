//! What a mission gets of the Library: decided anew before each run, from the files as they are then.

use sandboxed_domain::api::{ApiError, ErrorCode, EventBody};
use sandboxed_domain::harness::{
    BackendKind, Harness, LibraryServer, McpServer, PlannedFile, Skill, Transport, library_files,
};
use sandboxed_domain::library::{
    Library, PLATFORM_SERVER, Resolved, Selection, check_selection, resolve_library,
};

use super::actor::{Actor, StepError};
use crate::store::{self, MissionRow, MissionSpec, WorkspaceRow, blocking};
use crate::workspace::{Workspaces, inside_own_program, network_env, template_of};

/// What a mission gets, and what its boss should know of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Supplies {
    /// All that is written for the harness.
    pub resolved: Resolved,
    /// The skill of the mission's part.
    pub part: Option<Skill>,
    /// Variables by which programs find the way out of the sandbox. Not every agent hands its environment on.
    pub network: Vec<(String, String)>,
}

/// Decides, with the remote's newest where it answers. What is amiss becomes events.
pub(super) async fn supplies(
    actor: &Actor<'_>,
    row: &MissionRow,
    workspace: &WorkspaceRow,
    harness: &'static dyn Harness,
) -> Result<Supplies, StepError> {
    if harness.capabilities().kind == BackendKind::Command {
        return Ok(Supplies::default());
    }
    let workspaces = actor.shared.workspaces.clone();
    let stale = workspaces.library().refresh().await;
    let (spec, workspace, part) = (row.spec.clone(), workspace.clone(), part_skill_name(row));
    let found = blocking(move || decide(&workspaces, &spec, &workspace, harness, part)).await??;
    let warnings = found.resolved.warnings.iter().map(|text| ("library_incomplete", text.clone()));
    let warnings: Vec<_> = stale.map(|text| ("library_stale", text)).into_iter().chain(warnings).collect();
    if !warnings.is_empty() {
        let id = actor.id;
        actor
            .shared
            .store
            .write(move |tx| {
                for (code, message) in warnings {
                    store::append_event(tx, id, &EventBody::Error { code: code.to_owned(), message })?;
                }
                Ok(())
            })
            .await?;
    }
    Ok(found)
}

fn decide(
    workspaces: &Workspaces,
    spec: &MissionSpec,
    workspace: &WorkspaceRow,
    harness: &dyn Harness,
    part: &str,
) -> Result<Supplies, ApiError> {
    let folder = workspaces.library();
    let library = folder.read();
    // The mission's workspace runs already: a template that is not sound any more takes nothing from it.
    let template = template_of(workspace, &library).unwrap_or_default();
    let selection =
        Selection { template_mcps: &template.mcps, template_skills: &template.skills, ..selection(spec) };
    let secrets = folder.secrets()?;
    let mut resolved =
        resolve_library(&library, &selection, harness.library_places(), &|name| secrets.get(name).cloned())?;
    let network = network_env(workspace);
    show_the_way_out(&mut resolved.servers, &network);
    Ok(Supplies { resolved, part: Some(part_skill(&library, part)), network })
}

/// Programs get the variables of the network, unless they say something else.
fn show_the_way_out(servers: &mut [LibraryServer], network: &[(String, String)]) {
    for server in servers {
        if let Transport::Stdio { env, .. } = &mut server.transport {
            for (name, value) in network {
                env.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
}

/// What a mission itself asks for.
fn selection(spec: &MissionSpec) -> Selection<'_> {
    Selection {
        profile: spec.config_profile.as_deref(),
        agent: spec.agent.as_deref(),
        mcps: &spec.mcps,
        ..Selection::default()
    }
}

/// Whether the Library, as it is now, has what a new mission asks for, and its backend takes it.
///
/// # Errors
/// `invalid_argument` or `not_available`, by field.
pub(crate) fn check_supplies(library: &Library, backend: &str, spec: &MissionSpec) -> Result<(), ApiError> {
    let caps = sandboxed_domain::harness::find(backend)?.capabilities();
    let without = |field: &str, what: &str| {
        let message = format!("the backend {backend} has no {what}");
        ApiError::new(ErrorCode::NotAvailable, message).field(field).hint("leave it out")
    };
    if !caps.mcp && !spec.mcps.is_empty() {
        return Err(without("mcps", "MCP servers"));
    }
    if caps.kind == BackendKind::Command && spec.agent.is_some() {
        return Err(without("agent", "roles"));
    }
    check_selection(library, &selection(spec))
}

/// The skill of a worker or of a boss.
fn part_skill_name(row: &MissionRow) -> &'static str {
    if row.boss.is_some() { "orchestrator-worker" } else { "orchestrator-boss" }
}

/// How to use the tools that the mission has, in the Library's words where it has some.
fn part_skill(library: &Library, name: &str) -> Skill {
    library.skills.get(name).cloned().unwrap_or_else(|| {
        let text = match name {
            "orchestrator-worker" => include_str!("../../../skills/orchestrator-worker/SKILL.md"),
            _ => include_str!("../../../skills/orchestrator-boss/SKILL.md"),
        };
        Skill::of_text(name, text)
    })
}

impl Supplies {
    /// All files for the harness.
    pub(super) fn files(&self, harness: &dyn Harness, mission_dir: &str) -> Vec<PlannedFile> {
        let mut files = library_files(harness, mission_dir, &self.resolved);
        if let (Some(folder), Some(skill)) = (harness.skills_dir(), &self.part) {
            files.extend(skill.planned(&format!("{mission_dir}/{folder}")));
        }
        files
    }

    /// Names of all MCP servers of a run.
    pub(super) fn server_names(&self) -> Vec<String> {
        let built_in = self.resolved.built_in.iter().map(|(_, program)| (*program).to_owned());
        let library = self.resolved.servers.iter().map(|server| server.name.clone());
        std::iter::once(PLATFORM_SERVER.to_owned()).chain(built_in).chain(library).collect()
    }

    /// The built-in servers that were selected, as the harness starts them in `directory`.
    ///
    /// # Errors
    /// `sandbox_unavailable`: a program is not there.
    pub(super) fn built_in_servers(
        &self,
        host: bool,
        directory: &str,
        mission_dir: &str,
    ) -> Result<Vec<McpServer>, ApiError> {
        let server = |(name, program): &(&str, &str)| {
            let path = |part: &str| format!("{mission_dir}/{part}");
            let args = match *name {
                // Its jobs are the mission's, and the directory that it serves stays clean.
                "workspace" => vec![
                    "--root".to_owned(),
                    directory.to_owned(),
                    "--state-dir".to_owned(),
                    path("workspace-mcp"),
                ],
                _ => Vec::new(),
            };
            Ok(McpServer {
                // Not the short name: Claude Code keeps `workspace` for itself and passes such a server over silently.
                name: (*program).to_owned(),
                command: inside_own_program(host, program)?,
                args,
                env: self.network.iter().cloned().collect(),
            })
        };
        self.resolved.built_in.iter().map(server).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_shown_the_way_out_and_addresses_have_none() {
        let stdio = |env: &[(&str, &str)]| Transport::Stdio {
            command: "p".to_owned(),
            args: Vec::new(),
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        let http = Transport::Http { url: "http://x".to_owned(), headers: Default::default() };
        let server = |transport| LibraryServer { name: "s".to_owned(), transport };
        let mut servers = [server(stdio(&[])), server(stdio(&[("http_proxy", "own")])), server(http.clone())];
        show_the_way_out(&mut servers, &[("http_proxy".to_owned(), "ours".to_owned())]);
        let found = servers.map(|server| server.transport);
        assert_eq!(found, [stdio(&[("http_proxy", "ours")]), stdio(&[("http_proxy", "own")]), http]);
    }
}
