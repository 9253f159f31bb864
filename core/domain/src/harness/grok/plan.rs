//! Command line, environment and files of one Grok process.

use std::collections::BTreeMap;

use super::super::acp::{self, Setup};
use super::super::environment::{self, owned};
use super::super::{Harness, LaunchPlan, LaunchRequest, PermissionMode, PlannedFile, StdinMode};
use super::{Grok, HOST_VARIABLES};
use crate::api::ApiError;

/// What calls home or makes requests of its own, off. A catalogue that is not fetched leaves the built-in models. And a
/// command that takes long is waited for: Grok would move it behind the turn, which might end before it.
const CONFIG: &str = r#"[cli]
auto_update = false

[features]
telemetry = "off"
feedback = false
remote_fetch = false
managed_config = false
campaigns = false
turn_summary = false
title_refresh = false
session_recap = false

[models]
max_retries = 4

[toolset.bash]
auto_background_on_timeout = false
timeout_secs = 3600
max_timeout_secs = 3600
"#;

/// See [`Harness::plan`].
pub(super) fn plan(harness: &Grok, request: &LaunchRequest) -> Result<LaunchPlan, ApiError> {
    harness.check_model(request.model.as_deref(), request.effort)?;
    acp::check_mode(harness, request.permission)?;
    let home = format!("{}/.grok", request.mission_dir);
    let setup = Setup { auth: Some(auth_method(request)), ..Setup::new(request, HOST_VARIABLES) };
    Ok(LaunchPlan {
        argv: argv(request),
        env: env(request, &home),
        cwd: request.cwd.clone(),
        directories: vec![home.clone(), environment::tmp_dir(request)],
        files: vec![
            private_file(format!("{home}/AGENTS.md"), request.instructions.clone()),
            private_file(format!("{home}/config.toml"), format!("{CONFIG}\n{}", rules(request))),
        ],
        stdin: StdinMode::Protocol,
        stdout_is_protocol: true,
        codec: setup.into_state(),
    })
}

/// Without a key it is the user's login that has to do.
fn auth_method(request: &LaunchRequest) -> String {
    match super::key_variable(&request.credentials) {
        Some(_) => "xai.api_key".to_owned(),
        None => "cached_token".to_owned(),
    }
}

fn argv(request: &LaunchRequest) -> Vec<String> {
    let mut argv: Vec<&str> = request.program.iter().map(String::as_str).collect();
    argv.extend(["agent", "--no-leader"]);
    if request.permission == PermissionMode::Bypass {
        argv.push("--always-approve");
    }
    if let Some(model) = &request.model {
        argv.extend(["--model", model]);
    }
    if let Some(effort) = request.effort {
        argv.extend(["--reasoning-effort", effort.as_str()]);
    }
    argv.push("stdio");
    argv.into_iter().map(str::to_owned).collect()
}

/// The platform's own tools need no permission in any mode.
fn rules(request: &LaunchRequest) -> String {
    let servers = request.mcp_servers.iter().map(|server| format!("MCPTool({}__*)", server.name));
    let edits = (request.permission == PermissionMode::AcceptEdits).then(|| "Edit".to_owned());
    let allow: Vec<_> = servers.chain(edits).map(|rule| quoted(&rule)).collect();
    format!("[permission]\nallow = [{}]\n", allow.join(", "))
}

/// A basic string of TOML: what JSON escapes, TOML takes.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn env(request: &LaunchRequest, home: &str) -> BTreeMap<String, String> {
    let mut env = environment::base(request);
    env.extend(
        [
            ("GROK_HOME", home),
            ("GROK_FOLDER_TRUST", "0"),
            ("GROK_DISABLE_AUTOUPDATER", "1"),
            // Minutes of tries around the tries of a request; beyond those the platform tries again by itself.
            ("GROK_TURN_TRANSIENT_RETRY", "0"),
        ]
        .map(owned),
    );
    for variable in HOST_VARIABLES {
        // A worker's own `env` neither adds nor redirects credentials.
        match request.credentials.get(variable.name) {
            Some(value) => env.insert(variable.name.to_owned(), value.clone()),
            None => env.remove(variable.name),
        };
    }
    env
}

fn private_file(path: String, content: String) -> PlannedFile {
    PlannedFile { path, content, mode: 0o600, keep_existing: false }
}
