//! Command line, environment and files of one Grok process.

use std::collections::BTreeMap;

use serde_json::json;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, value};

use super::super::acp::{self, Setup};
use super::super::credentials;
use super::super::environment::{self, owned};
use super::super::settings::{merge_toml, toml_settings};
use super::super::{
    Harness, LaunchPlan, LaunchRequest, LibraryServer, PermissionMode, PlannedFile, StdinMode, Transport,
};
use super::{Grok, HOST_VARIABLES};
use crate::api::ApiError;

/// What calls home or makes requests of its own, off. A catalogue that is not fetched leaves the built-in models. And a
/// command that takes long is waited for: Grok would move it behind the turn, which might end before it.
/// A request that meets a limit is not tried again: Grok would wait in silence for as long as the provider says, while the
/// platform has other keys and waits without a slot. The last entry it writes by itself where it is missing: the file
/// would not be as we left it.
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
rate_limit_retry_threshold = 1

[toolset.bash]
auto_background_on_timeout = false
timeout_secs = 3600
max_timeout_secs = 3600

[marketplace]
default_skills_installs_purged = true
"#;

/// See [`Harness::plan`].
pub(super) fn plan(harness: &Grok, request: &LaunchRequest) -> Result<LaunchPlan, ApiError> {
    harness.check_model(request.model.as_deref(), request.effort)?;
    acp::check_mode(harness, request.permission)?;
    let home = format!("{}/.grok", request.mission_dir);
    let key = key(request);
    let auth = if key.is_some() { "xai.api_key" } else { "cached_token" };
    let setup = Setup { auth: Some(auth.to_owned()), ..Setup::new(request, HOST_VARIABLES) };
    Ok(LaunchPlan {
        argv: argv(request),
        env: env(request, &home),
        cwd: request.cwd.clone(),
        directories: vec![home.clone(), environment::tmp_dir(request)],
        files: vec![
            PlannedFile::private(format!("{home}/AGENTS.md"), request.instructions.clone()),
            PlannedFile::private(format!("{home}/config.toml"), config(request)?),
        ],
        stdin: StdinMode::Protocol,
        stdout_is_protocol: true,
        key,
        codec: setup.into_state(),
    })
}

/// A key as the CLI itself would keep it beside logins; without one it is the user's login that has to do.
fn key(request: &LaunchRequest) -> Option<String> {
    let variable = credentials::held(HOST_VARIABLES, &request.credentials).next()?;
    let key = &request.credentials[variable.name];
    // It reads no entry without all of these, and does not care when or whose.
    let entry =
        json!({ "auth_mode": "api_key", "key": key, "user_id": "", "create_time": "1970-01-01T00:00:00Z" });
    Some(json!({ "xai::api_key": entry }).to_string())
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

/// Ours over the user's: a profile's settings decide what nothing here does.
fn config(request: &LaunchRequest) -> Result<String, ApiError> {
    let mut config = toml_settings(request)?;
    let ours: DocumentMut = CONFIG.parse().unwrap_or_default();
    merge_toml(config.as_table_mut(), ours.into_table());
    let mut more = DocumentMut::new();
    more["permission"] = Item::Table(Table::from_iter([("allow", value(rules(request)))]));
    let mut servers = Table::new();
    servers.set_implicit(true);
    for server in &request.library_servers {
        servers.insert(&server.name, library_server(server));
    }
    more["mcp_servers"] = Item::Table(servers);
    merge_toml(config.as_table_mut(), more.into_table());
    Ok(config.to_string())
}

/// The platform's own tools need no permission in any mode.
fn rules(request: &LaunchRequest) -> Array {
    let servers = request.mcp_servers.iter().map(|server| format!("MCPTool({}__*)", server.name));
    let edits = (request.permission == PermissionMode::AcceptEdits).then(|| "Edit".to_owned());
    servers.chain(edits).collect()
}

fn library_server(server: &LibraryServer) -> Item {
    let inline = |map: &BTreeMap<String, String>| -> InlineTable {
        map.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
    };
    Item::Table(match &server.transport {
        Transport::Stdio { command, args, env } => {
            let args: Array = args.iter().map(String::as_str).collect();
            Table::from_iter([
                ("command", value(command)),
                ("args", value(args)),
                ("env", value(inline(env))),
            ])
        }
        Transport::Http { url, headers } => {
            Table::from_iter([("url", value(url)), ("headers", value(inline(headers)))])
        }
    })
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
    credentials::hand_on(&mut env, HOST_VARIABLES, &request.credentials);
    for variable in credentials::secret(HOST_VARIABLES) {
        // Everything that it starts has its environment.
        env.remove(variable.name);
    }
    env
}
