//! From a granted slot to a started run: sandbox, worktree, files, plan, run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::Utc;
use sandboxed_domain::api::{ApiError, EventBody, SharedFolders, StorageFolder, WorkspaceKind};
use sandboxed_domain::harness::{
    BackendKind, FileStep, Harness, InstructionParts, LaunchPlan, LaunchRequest, McpServer, PermissionMode,
    Placed, StdinMode, TOOLS, worker_instructions,
};
use sandboxed_domain::library::{PLATFORM_SERVER, Resolved, library_instructions};
use sandboxed_domain::mission::{MissionStatus, TerminalReason};
use sandboxed_domain::policy::storage_level;
use uuid::Uuid;

use super::actor::{Actor, StepError};
use super::keys::{choose, named};
use super::logins::borrower;
use super::manager::end_mission;
use super::sockets::SOCKET_NAME;
use super::storage::warning;
use super::supplies::{Supplies, supplies};
use crate::git;
use crate::harness::{
    self, Credential, Moment, ProgramError, Written, auto_install_variable, hand_over, is_on, lead,
    write_files,
};
use crate::sandbox::{RunRequest, SandboxError};
use crate::store::{
    self, MissionRow, RunKind, RunPhase, RunPlan, RunRow, StoreError, WorkspaceRow, blocking, io_error,
};
use crate::workspace::{Live, inside_argv, inside_own_program, network_env};

/// Makes everything that the run needs and writes the run down.
pub(super) async fn prepare(actor: &Actor<'_>, row: MissionRow) -> Result<(), StepError> {
    if let Some(reason) = row.stop_reason.as_deref().and_then(TerminalReason::parse) {
        actor.update(move |tx, row| end_mission(tx, row, MissionStatus::Cancelled, reason)).await?;
        return Ok(());
    }
    let shared = actor.shared;
    let workspace = workspace_of(actor, &row).await?;
    actor.activity("starting the sandbox").await?;
    let progress = {
        let (store, id) = (shared.store.clone(), actor.id);
        move |text: String| show(&store, id, text)
    };
    let live = shared.workspaces.ensure_running(&workspace, &progress).await?;
    let row = make_worktree(actor, row, &workspace).await?;
    let directory = make_directories(actor, &row)?;
    shared.sockets.open(actor.id, &actor.mission_dir(&row))?;
    let harness = Actor::harness(&row)?;
    install_program(actor, harness).await?;
    let (credential, several) = choose(actor, harness).await?;
    lend_login(actor, &row, harness, &credential, Moment::Start).await?;
    let prompt = take_prompt(actor, harness).await?;
    let content = prompt.as_ref().map(|(_, content)| content.clone()).unwrap_or_default();
    let supplies = supplies(actor, &row, &workspace, harness).await?;
    let plan = launch_plan(actor, &row, &live, &directory, content, &credential, &supplies)?;
    let host = workspace.kind == WorkspaceKind::Host;
    let mission_dir = actor.mission_dir(&row);
    let (directories, files) = (plan.directories.clone(), plan.files.clone());
    let id = actor.id;
    let known = shared.store.read(move |c| store::written_files(c, id)).await?;
    let (placed, login) = (placed_login(actor, &row, harness), credential.login);
    let written = blocking(move || {
        let written = write_files(&mission_dir, &directories, &files, &known, host)?;
        let led = placed.iter().try_for_each(|placed| lead(placed, &mission_dir, login));
        led.map_err(|error| io_error(&mission_dir, &error)).map(|()| written)
    })
    .await??;
    let prompt = prompt.filter(|_| plan.stdin == StdinMode::Null);
    let servers = if harness.capabilities().mcp { supplies.server_names() } else { Vec::new() };
    write_run(actor, &plan, directory, written, prompt, (credential.label, several), servers).await?;
    note_global(actor).await
}

/// Tells of a global folder that is nearly full, or more.
async fn note_global(actor: &Actor<'_>) -> Result<(), StepError> {
    let fill = actor.shared.workspaces.global_use().await;
    let Some(percent) = storage_level(fill) else { return Ok(()) };
    let event = warning(StorageFolder::Global, percent, fill);
    actor.update(move |tx, row| store::append_event(tx, row.id, &event).map(drop)).await?;
    Ok(())
}

/// Remembers what was written, and tells of files that somebody had changed.
fn note_files(tx: &mut store::Tx<'_>, mission: Uuid, written: Written) -> Result<(), StoreError> {
    store::save_written_files(tx, mission, &written.files)?;
    store::forget_written_files(tx, mission, &written.forgotten)?;
    for path in written.kept {
        let message = format!("{path} is not as it was left: it is kept, though the Library has it no more");
        store::append_event(tx, mission, &EventBody::Error { code: "file_kept".to_owned(), message })?;
    }
    for (path, step) in written.changed {
        let (code, became) = match step {
            FileStep::Keep => ("file_kept", "it is kept, and what the platform wanted there is not in force"),
            _ => ("file_replaced", "it is the platform's and was written anew"),
        };
        let message = format!("{path} is not as it was left: {became}");
        store::append_event(tx, mission, &EventBody::Error { code: code.to_owned(), message })?;
    }
    Ok(())
}

/// Tells which of several credentials is used, when it is another one than before.
fn note_credential(
    tx: &mut store::Tx<'_>,
    mission: Uuid,
    plan: &RunPlan,
    several: bool,
) -> Result<(), StoreError> {
    let before = store::latest_run(tx, mission)?.and_then(|run| run.plan.credential);
    match plan.credential.clone().filter(|label| several && before.as_ref() != Some(label)) {
        Some(label) => {
            store::append_event(tx, mission, &EventBody::Credential { label, limited_until: None }).map(drop)
        }
        None => Ok(()),
    }
}

/// Progress of an image build and the like, shown without waiting for it.
fn show(store: &store::Store, id: Uuid, text: String) {
    let store = store.clone();
    // Short-lived and harmless when the daemon goes: the next progress overwrites it.
    tokio::spawn(async move {
        let written = store
            .note(move |tx| {
                let mut row = store::get_mission(tx, id)?;
                row.last_activity = text;
                store::save_mission(tx, &row)
            })
            .await;
        if let Err(error) = written {
            tracing::debug!(%error, "progress not shown");
        }
    });
}

async fn workspace_of(actor: &Actor<'_>, row: &MissionRow) -> Result<WorkspaceRow, StepError> {
    let id = row.workspace_id.to_string();
    let found = actor.shared.store.read(move |c| store::find_workspace(c, &id)).await?;
    found.ok_or_else(|| {
        StepError::Mission(
            ApiError::new(
                sandboxed_domain::api::ErrorCode::UnknownWorkspace,
                format!("workspace {} is gone", row.workspace_id),
            )
            .field("workspace_id"),
        )
    })
}

/// Installs the harness's program at its first use, where a setting allows it.
async fn install_program(actor: &Actor<'_>, harness: &'static dyn Harness) -> Result<(), StepError> {
    let programs = actor.shared.workspaces.programs();
    let Some(program) = harness.program() else { return Ok(()) };
    let missing = matches!(programs.find(program), Err(ProgramError::Missing { .. }));
    if !missing || !is_on(&auto_install_variable(harness.id())) {
        return Ok(());
    }
    actor.activity(format!("installing {} {} from npm", program.command, program.version)).await?;
    let installed = programs.install(program, &|_| ()).await;
    Ok(installed.map_err(|error| error.for_backend(harness))?)
}

/// Lends the mission its user's login, if that is its credential.
pub(super) async fn lend_login(
    actor: &Actor<'_>,
    row: &MissionRow,
    harness: &'static dyn Harness,
    credential: &Credential,
    moment: Moment,
) -> Result<(), ApiError> {
    if !credential.login {
        return Ok(());
    }
    let borrower = borrower(&actor.shared.workspaces.paths(row.workspace_id), moment);
    actor.shared.logins.lend(harness, row.id, row.workspace_id, borrower).await
}

/// How the mission's CLI comes to a login that it is lent.
fn placed_login(actor: &Actor<'_>, row: &MissionRow, harness: &dyn Harness) -> Option<Placed> {
    let borrower = borrower(&actor.shared.workspaces.paths(row.workspace_id), Moment::Work);
    let directory = borrower.directory(harness).display().to_string();
    Some(harness.login()?.placed(&directory, &actor.mission_dir(row).display().to_string()))
}

/// Git's error with what to do.
pub(crate) fn git_error(error: git::GitError) -> ApiError {
    ApiError::new(error.code(), error.to_string()).hint(error.hint())
}

/// The worktree that was asked for, once.
async fn make_worktree(
    actor: &Actor<'_>,
    row: MissionRow,
    workspace: &WorkspaceRow,
) -> Result<MissionRow, StepError> {
    let (Some(repo), Some(branch), None) = (row.repo.clone(), row.branch.clone(), row.base_oid.clone())
    else {
        return Ok(row);
    };
    actor.activity("making the worktree").await?;
    let request = git::WorktreeRequest {
        repo_root: PathBuf::from(repo),
        branch,
        base: row.spec.base.clone(),
        path: PathBuf::from(row.worktree.clone().unwrap_or_default()),
        name: worktree_name(row.id),
    };
    // They are moved into place, which takes one file system: a fork with a disk of its own cannot have another's.
    let workspaces = &actor.shared.workspaces;
    let shared = workspace.spec.forked_from.filter(|_| workspaces.disk(workspace).is_none());
    let spares = git::Spares::new(workspaces.paths(shared.unwrap_or(workspace.id)).spares);
    let created = blocking(move || {
        let validated = git::validate(&request)?;
        git::create(&validated, Some(&spares))
    })
    .await?
    .map_err(|error| StepError::Mission(git_error(error)))?;
    Ok(actor
        .update(move |tx, row| {
            if let Some(message) = lacks(&created.lacking, row.repo.as_deref().unwrap_or_default()) {
                let code = "worktree_incomplete".to_owned();
                store::append_event(tx, row.id, &EventBody::Error { code, message })?;
            }
            row.base_oid = Some(created.base_oid);
            Ok(())
        })
        .await?)
}

/// What a worker and its boss should know of a worktree that is not all of its commit.
fn lacks(lacking: &git::Lacking, repo: &str) -> Option<String> {
    let git::Lacking { submodules, lfs } = lacking;
    let mut parts = Vec::new();
    if submodules.count > 0 {
        parts.push(format!(
            "submodules are empty directories ({}); where {repo} has their files, they can be copied from there",
            submodules.named()
        ));
    }
    if lfs.count > 0 {
        parts.push(format!(
            "files of Git LFS are pointers, not their contents ({}); if git here asks for git-lfs, the template wants that \
             package",
            lfs.named()
        ));
    }
    (!lacking.is_empty()).then(|| format!("the worktree is not all of its commit: {}", parts.join("; ")))
}

/// Name of a mission's worktree entry in its repository.
pub(crate) fn worktree_name(mission: Uuid) -> String {
    format!("sandboxed-{}", crate::workspace::short(mission))
}

/// The mission's own directory and the one in which it works.
fn make_directories(actor: &Actor<'_>, row: &MissionRow) -> Result<String, StepError> {
    let own = actor.mission_dir(row);
    std::fs::create_dir_all(&own).map_err(|e| StepError::Mission(io_error(&own, &e)))?;
    let directory = row
        .worktree
        .clone()
        .or_else(|| row.working_directory.clone())
        .unwrap_or_else(|| own.display().to_string());
    if !Path::new(&directory).is_dir() {
        return Err(StepError::Mission(
            ApiError::invalid("working_directory", format!("{directory} is not a directory"))
                .hint("create it, or leave working_directory out"),
        ));
    }
    Ok(directory)
}

/// For harnesses that take their prompt at the start: the message that it is.
async fn take_prompt(
    actor: &Actor<'_>,
    harness: &dyn Harness,
) -> Result<Option<(String, String)>, StoreError> {
    let id = actor.id;
    if harness.capabilities().queue {
        return Ok(None);
    }
    actor.shared.store.write(move |tx| store::next_message(tx, id)).await
}

fn launch_plan(
    actor: &Actor<'_>,
    row: &MissionRow,
    live: &Live,
    directory: &str,
    prompt: String,
    credential: &Credential,
    supplies: &Supplies,
) -> Result<LaunchPlan, StepError> {
    let harness = Actor::harness(row)?;
    let mission_dir = actor.mission_dir(row).display().to_string();
    let host = live.kind() == WorkspaceKind::Host;
    let agent = harness.capabilities().kind == BackendKind::Agent;
    let mcp_servers = if harness.capabilities().mcp {
        let mut servers = vec![own_server(row, host, &mission_dir)?];
        servers.extend(supplies.built_in_servers(host, directory, &mission_dir)?);
        servers
    } else {
        Vec::new()
    };
    let program = inside_argv(actor.shared.workspaces.programs(), live, harness)?;
    let shared = actor.shared.workspaces.shared_folders(row.workspace_id, live.kind());
    let request = LaunchRequest {
        program,
        cwd: directory.to_owned(),
        session_id: row.session_id.clone(),
        resume: row.session_started,
        model: row.model.clone(),
        effort: row.effort.as_deref().and_then(|text| sandboxed_domain::policy::effort("effort", text).ok()),
        permission: permission(harness, live.kind(), row)?,
        instructions: if agent { instructions(row, &shared, &supplies.resolved) } else { String::new() },
        mcp_servers,
        library_servers: supplies.resolved.servers.clone(),
        settings: supplies.resolved.settings.clone(),
        credentials: credential.variables.clone(),
        login: credential.providers.clone(),
        env: row.spec.env.clone(),
        command: row.spec.command.clone(),
        prompt,
        mission_dir,
    };
    let mut plan = harness.plan(&request)?;
    if agent {
        plan.files.extend(supplies.files(harness, &request.mission_dir));
        let tools = format!("{}/{TOOLS}", request.mission_dir);
        plan.env
            .entry("PATH".to_owned())
            .and_modify(|path| *path = format!("{path}:{tools}"))
            .or_insert(tools);
    }
    let placed = placed_login(actor, row, harness).filter(|_| credential.login);
    plan.env.extend(placed.and_then(|placed| placed.variable));
    plan.env.insert("SANDBOXED_SH_MISSION_ID".to_owned(), row.id.to_string());
    plan.env.insert("SANDBOXED_SH_MISSION_DIR".to_owned(), request.mission_dir);
    Ok(plan)
}

/// What was agreed on at its creation. A row of an older version has nothing: it gets what a new one would.
fn permission(
    harness: &dyn Harness,
    kind: WorkspaceKind,
    row: &MissionRow,
) -> Result<PermissionMode, ApiError> {
    match row.spec.permission_mode {
        Some(mode) => Ok(mode),
        None => sandboxed_domain::policy::permission_mode(harness, kind, None, None),
    }
}

/// The server with the tools of the mission's part.
fn own_server(row: &MissionRow, host: bool, mission_dir: &str) -> Result<McpServer, ApiError> {
    Ok(McpServer {
        name: PLATFORM_SERVER.to_owned(),
        command: inside_own_program(host, "mcp-orchestrator")?,
        args: Vec::new(),
        env: BTreeMap::from([
            ("SANDBOXED_SH_API_URL".to_owned(), format!("unix:{mission_dir}/{SOCKET_NAME}")),
            ("SANDBOXED_SH_MISSION_ID".to_owned(), row.id.to_string()),
        ]),
    })
}

/// What a worker is told of its task, and everybody of the Library's rules and of a role.
fn instructions(row: &MissionRow, shared: &SharedFolders, resolved: &Resolved) -> String {
    let own = row.boss.is_some().then(|| {
        worker_instructions(&InstructionParts {
            title: &row.title,
            acceptance_criteria: &row.spec.acceptance_criteria,
            verification_command: row.spec.verification_command.as_deref(),
            branch: row.branch.as_deref(),
            shared: Some(shared),
            mcp_server: Some(PLATFORM_SERVER),
        })
    });
    own.unwrap_or_default() + &library_instructions(resolved)
}

/// Writes the run down together with the mission's new state, so that a restart goes on from here.
async fn write_run(
    actor: &Actor<'_>,
    plan: &LaunchPlan,
    directory: String,
    written: Written,
    prompt: Option<(String, String)>,
    (credential, several): (String, bool),
    servers: Vec<String>,
) -> Result<(), StepError> {
    let run_plan = RunPlan {
        argv: plan.argv.clone(),
        cwd: plan.cwd.clone(),
        stdout_name: if plan.stdout_is_protocol { "stdout.ndjson" } else { "stdout.log" }.to_owned(),
        stdin_pipe: plan.stdin == StdinMode::Protocol,
        credential: Some(credential),
    };
    let codec_state = Some(plan.codec.clone()).filter(|state| !state.is_null());
    actor
        .update(move |tx, row| {
            if row.status == MissionStatus::Preparing {
                store::transition(tx, row, MissionStatus::Active, None)?;
            }
            note_files(tx, row.id, written)?;
            store::set_mcp_servers(tx, row.id, &servers)?;
            note_credential(tx, row.id, &run_plan, several)?;
            if let Some((message, _)) = &prompt {
                store::message_sent(tx, message)?;
            }
            row.attempt += 1;
            row.working_directory = Some(directory);
            row.last_activity = "starting".to_owned();
            row.last_turn = None;
            row.error = None;
            row.last_message.clear();
            // A new process, a new codec.
            row.codec_state = codec_state;
            let run = RunRow {
                id: Uuid::now_v7(),
                mission_id: row.id,
                attempt: row.attempt,
                kind: RunKind::Turn,
                phase: RunPhase::Starting,
                stdin_closed: !run_plan.stdin_pipe,
                plan: run_plan,
                offset: 0,
                stored_bytes: 0,
                stdin_planned: 0,
                idle: true,
                exit: None,
                started_at: Utc::now(),
                clocks: store::clocks_now(),
            };
            store::save_run(tx, &run)
        })
        .await?;
    Ok(())
}

/// Starts the run that is written down. Repeating it starts nothing twice: the runner knows its runs by id.
pub(super) async fn start(actor: &Actor<'_>, row: MissionRow, run: RunRow) -> Result<(), StepError> {
    let workspace = workspace_of(actor, &row).await?;
    let sandbox = actor.shared.workspaces.ensure_running(&workspace, &|_| ()).await?;
    let mut env = match run.kind {
        RunKind::Turn => {
            let harness = Actor::harness(&row)?;
            let credential = named(actor, harness, run.plan.credential.as_deref()).await?;
            lend_login(actor, &row, harness, &credential, Moment::Start).await?;
            let none = Supplies::default();
            let plan = launch_plan(actor, &row, &sandbox, &run.plan.cwd, String::new(), &credential, &none)?;
            hand_key_over(actor, &row, harness, plan.key).await?;
            plan.env
        }
        RunKind::Verify => check_env(actor, &row),
    };
    for (name, value) in &workspace.spec.env {
        env.entry(name.clone()).or_insert_with(|| value.clone());
    }
    env.extend(network_env(&workspace));
    env.extend(actor.shared.workspaces.shared_env(&workspace));
    let request = RunRequest {
        run_id: run.id.to_string(),
        attempt: run.attempt,
        argv: run.plan.argv.clone(),
        env,
        cwd: run.plan.cwd.clone(),
        stdout_name: run.plan.stdout_name.clone(),
        stdin_pipe: run.plan.stdin_pipe,
        limits: crate::workspace::run_limits(&workspace.spec.limits),
    };
    actor.shared.sockets.open(actor.id, &actor.mission_dir(&row))?;
    match sandbox.runner().start_run(request).await {
        Ok(_) => {}
        // It was started in a sandbox that is gone: the follower finds its record, or that there is none.
        Err(SandboxError::Refused { word, .. }) if word == "records" => {}
        Err(error) => return Err(error.into()),
    }
    let mut running = run;
    running.phase = RunPhase::Running;
    // Starting it once more would find it started.
    actor.shared.store.note(move |tx| store::save_run(tx, &running)).await?;
    Ok(())
}

/// Gives the process that is about to start its key in a file, where it has to be that way.
async fn hand_key_over(
    actor: &Actor<'_>,
    row: &MissionRow,
    harness: &'static dyn Harness,
    key: Option<String>,
) -> Result<(), ApiError> {
    let Some(key) = key else { return Ok(()) };
    let directory = actor.mission_dir(row);
    let handed =
        blocking(move || hand_over(harness, &directory, &key).map_err(|error| io_error(&directory, &error)));
    handed.await?
}

/// The environment of a check: the worker's own, without any key of a harness.
fn check_env(actor: &Actor<'_>, row: &MissionRow) -> BTreeMap<String, String> {
    let mut env = row.spec.env.clone();
    env.entry("PATH".to_owned()).or_insert_with(|| harness::DEFAULT_PATH.to_owned());
    env.entry("HOME".to_owned()).or_insert_with(|| actor.mission_dir(row).display().to_string());
    env.entry("LANG".to_owned()).or_insert_with(|| "C.UTF-8".to_owned());
    env
}
