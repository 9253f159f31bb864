//! Command line, environment and files of one Gemini process.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::acp::{self, Setup};
use super::super::credentials;
use super::super::environment::{self, owned};
use super::super::settings::{json_settings, merge_json};
use super::super::{
    Harness, LaunchPlan, LaunchRequest, LibraryServer, PermissionMode, PlannedFile, StdinMode, Transport,
};
use super::{Gemini, HOST_VARIABLES};
use crate::api::ApiError;

/// The protocol's name for the way with an API key, and the CLI's.
const WITH_KEY: &str = "gemini-api-key";
/// The same for the way with a login.
const WITH_LOGIN: &str = "oauth-personal";

/// Attempts of a request. The CLI's own ten take many minutes; what lasts longer the platform waits for.
const ATTEMPTS: u32 = 2;

/// See [`Harness::plan`].
pub(super) fn plan(harness: &Gemini, request: &LaunchRequest) -> Result<LaunchPlan, ApiError> {
    harness.check_model(request.model.as_deref(), request.effort)?;
    acp::check_mode(harness, request.permission)?;
    let home = format!("{}/.gemini", request.mission_dir);
    let setup = Setup { auth: Some(way(request).to_owned()), ..Setup::new(request, HOST_VARIABLES) };
    let mut env = env(request);
    let keyless =
        environment::without_keys_in_bash(&mut env, "BASH_ENV", HOST_VARIABLES, &request.mission_dir);
    Ok(LaunchPlan {
        argv: argv(request),
        env,
        cwd: request.cwd.clone(),
        directories: vec![home.clone(), environment::tmp_dir(request)],
        files: vec![
            PlannedFile::private(format!("{home}/GEMINI.md"), request.instructions.clone()),
            PlannedFile::private(format!("{home}/settings.json"), settings(request)?),
            PlannedFile::private(format!("{home}/policies/sandboxed-sh.toml"), rules(request)),
            keyless,
        ],
        stdin: StdinMode::Protocol,
        stdout_is_protocol: true,
        key: None,
        codec: setup.into_state(),
    })
}

/// Without a key it is the user's login that has to do.
fn way(request: &LaunchRequest) -> &'static str {
    match credentials::held(HOST_VARIABLES, &request.credentials).next() {
        Some(_) => WITH_KEY,
        None => WITH_LOGIN,
    }
}

fn argv(request: &LaunchRequest) -> Vec<String> {
    let mode = match request.permission {
        PermissionMode::Bypass => "yolo",
        PermissionMode::AcceptEdits => "auto_edit",
        PermissionMode::Default | PermissionMode::Plan => "default",
    };
    let mut argv = request.program.clone();
    argv.extend(["--acp", "--approval-mode", mode].map(str::to_owned));
    if let Some(model) = &request.model {
        argv.extend(["--model".to_owned(), model.clone()]);
    }
    argv
}

/// As the CLI itself would write it, because it does. A shell on a terminal of its own would tell the protocol nothing
/// of what commands print. Sessions are the platform's to remove. Ours count before those of a profile.
fn settings(request: &LaunchRequest) -> Result<String, ApiError> {
    let ours = json!({
        "security": { "auth": { "selectedType": way(request) } },
        "privacy": { "usageStatisticsEnabled": false },
        "telemetry": { "enabled": false },
        "general": {
            "enableAutoUpdate": false,
            "enableAutoUpdateNotification": false,
            "maxAttempts": ATTEMPTS,
            "sessionRetention": { "enabled": false },
        },
        "tools": { "shell": { "enableInteractiveShell": false } },
    });
    let mut settings = json_settings(request)?;
    if let Value::Object(ours) = ours {
        merge_json(&mut settings, ours);
    }
    if !request.library_servers.is_empty() {
        let servers = request.library_servers.iter().map(library_server).collect();
        merge_json(&mut settings, Map::from_iter([("mcpServers".to_owned(), Value::Object(servers))]));
    }
    Ok(format!("{:#}", Value::Object(settings)))
}

/// It keeps keys out of the environment of MCP servers by itself; they are blanked all the same.
fn library_server(server: &LibraryServer) -> (String, Value) {
    let entry = match &server.transport {
        Transport::Stdio { command, args, env } => {
            let all = credentials::without_secrets(HOST_VARIABLES, env);
            json!({ "command": command, "args": args, "env": all })
        }
        Transport::Http { url, headers } => json!({ "httpUrl": url, "headers": headers }),
    };
    (server.name.clone(), entry)
}

/// The platform's own tools need no permission in any mode.
fn rules(request: &LaunchRequest) -> String {
    let rule = |name: &str| {
        let name = serde_json::Value::from(name);
        format!("[[rule]]\nmcpName = {name}\ntoolName = \"*\"\ndecision = \"allow\"\npriority = 999\n")
    };
    request.mcp_servers.iter().map(|server| rule(&server.name)).collect::<Vec<_>>().join("\n")
}

fn env(request: &LaunchRequest) -> BTreeMap<String, String> {
    let mut env = environment::base(request);
    env.extend(
        [
            ("GEMINI_CLI_HOME", request.mission_dir.as_str()),
            ("GEMINI_CLI_TRUST_WORKSPACE", "true"),
            // Otherwise it starts itself a second time, and the first process swallows signals.
            ("GEMINI_CLI_NO_RELAUNCH", "true"),
        ]
        .map(owned),
    );
    credentials::hand_on(&mut env, HOST_VARIABLES, &request.credentials);
    env
}
