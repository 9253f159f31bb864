//! Command line, environment and files of one app server.

use std::collections::BTreeMap;

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, value};

use super::super::settings::{merge_toml, toml_settings};
use super::super::{
    Harness, LaunchPlan, LaunchRequest, LibraryServer, McpServer, PermissionMode, PlannedFile, StdinMode,
    Transport,
};
use super::super::{credentials, environment};
use super::state::{Edits, Launch, State};
use super::{BASE_URL, Codex, HOST_VARIABLES};
use crate::api::{ApiError, AuthKind};

/// Name of the provider that takes a key from the environment.
const PROVIDER: &str = "sandboxed";
/// Name of the built-in provider, which takes a login from `auth.json`.
const BUILT_IN: &str = "openai";
const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";
/// Seconds that one call of a platform tool may take; some wait for other workers.
const TOOL_SECONDS: i64 = 3600;
/// Seconds that an MCP server may take to start.
const START_SECONDS: i64 = 60;

/// What calls home, leaves environments on disk or tries for ever; and the tool by which the model asks.
const FEATURES: [(&str, bool); 8] = [
    ("apps", false),
    ("default_mode_request_user_input", true),
    ("plugins", false),
    ("remote_plugin", false),
    ("shell_snapshot", false),
    ("skill_mcp_dependency_install", false),
    ("tool_suggest", false),
    ("unbounded_connection_retries", false),
];

/// See [`Harness::plan`].
pub(super) fn plan(harness: &Codex, request: &LaunchRequest) -> Result<LaunchPlan, ApiError> {
    harness.check_model(request.model.as_deref(), request.effort)?;
    let home = format!("{}/.codex", request.mission_dir);
    let mut argv = request.program.clone();
    argv.push("app-server".to_owned());
    let codec = State { launch: launch(request), ..State::default() };
    Ok(LaunchPlan {
        argv,
        env: env(request, &home),
        cwd: request.cwd.clone(),
        directories: vec![home.clone(), environment::tmp_dir(request)],
        files: vec![
            PlannedFile::private(format!("{home}/config.toml"), config(request)?.to_string()),
            PlannedFile::private(format!("{home}/AGENTS.md"), request.instructions.clone()),
        ],
        stdin: StdinMode::Protocol,
        stdout_is_protocol: true,
        key: None,
        codec: serde_json::to_value(codec).unwrap_or_default(),
    })
}

fn provider(request: &LaunchRequest) -> &'static str {
    if key_variable(request).is_some() { PROVIDER } else { BUILT_IN }
}

/// The variable with a key.
fn key_variable(request: &LaunchRequest) -> Option<&'static str> {
    credentials::held(HOST_VARIABLES, &request.credentials).map(|variable| variable.name).next()
}

fn launch(request: &LaunchRequest) -> Launch {
    let (approval, edits) = match request.permission {
        PermissionMode::Bypass => ("never", Edits::Ask),
        // `on-request` would ask nothing, since nothing is outside of the sandbox that Codex is told of.
        PermissionMode::Default => ("untrusted", Edits::Ask),
        PermissionMode::AcceptEdits => ("untrusted", Edits::Accept),
        PermissionMode::Plan => ("untrusted", Edits::Decline),
    };
    Launch {
        cwd: request.cwd.clone(),
        session: request.resume.then(|| request.session_id.clone()),
        model: request.model.clone(),
        effort: request.effort.map(|effort| effort.as_str().to_owned()),
        provider: provider(request).to_owned(),
        approval: approval.to_owned(),
        edits,
        planning: request.permission == PermissionMode::Plan,
    }
}

fn env(request: &LaunchRequest, home: &str) -> BTreeMap<String, String> {
    let mut env = environment::base(request);
    env.insert("CODEX_HOME".to_owned(), home.to_owned());
    for variable in HOST_VARIABLES {
        // A worker's own `env` neither adds nor redirects credentials; the address stands in the configuration.
        env.remove(variable.name);
    }
    if let Some((name, key)) = key_variable(request).and_then(|name| request.credentials.get_key_value(name))
    {
        env.insert(name.clone(), key.clone());
    }
    env
}

/// Ours over the user's: a profile's settings decide what nothing here does.
fn config(request: &LaunchRequest) -> Result<DocumentMut, ApiError> {
    let mut settings = toml_settings(request)?;
    merge_toml(settings.as_table_mut(), own_config(request).into_table());
    Ok(settings)
}

fn own_config(request: &LaunchRequest) -> DocumentMut {
    let mut config = DocumentMut::new();
    config["check_for_update_on_startup"] = value(false);
    config["suppress_unstable_features_warning"] = value(true);
    // Its threads are told so as well; without this it tries its own sandbox at each start, and warns.
    config["sandbox_mode"] = value("danger-full-access");
    config["model_provider"] = value(provider(request));
    if let Some(effort) = request.effort {
        config["model_reasoning_effort"] = value(effort.as_str());
    }
    let base_url = request.credentials.get(BASE_URL).filter(|url| !url.trim().is_empty());
    match (key_variable(request), base_url) {
        (Some(name), base_url) => {
            config["model_providers"] = parents(PROVIDER, own_provider(name, base_url));
        }
        (None, Some(url)) => config["openai_base_url"] = value(url),
        (None, None) => {}
    }
    config["features"] = table(FEATURES.map(|(name, on)| (name, value(on))));
    config["analytics"] = table([("enabled", value(false))]);
    config["history"] = table([("persistence", value("none"))]);
    config["shell_environment_policy"] = table([("exclude", value(secrets()))]);
    config["projects"] = parents(&request.cwd, table([("trust_level", value("trusted"))]));
    let mut servers = Table::new();
    servers.set_implicit(true);
    for server in &request.mcp_servers {
        servers.insert(&server.name, mcp_server(server));
    }
    for server in &request.library_servers {
        servers.insert(&server.name, library_server(server));
    }
    config["mcp_servers"] = Item::Table(servers);
    config
}

fn own_provider(key: &str, base_url: Option<&String>) -> Item {
    // Its name decides whether it is taken for the vendor's own, which has more to offer than the bare API.
    let name = if base_url.is_some() { "OpenAI-compatible" } else { "OpenAI" };
    table([
        ("name", value(name)),
        ("base_url", value(base_url.map_or(DEFAULT_BASE_URL, String::as_str))),
        ("env_key", value(key)),
        ("wire_api", value("responses")),
    ])
}

/// Variables that no command gets.
fn secrets() -> Array {
    HOST_VARIABLES
        .iter()
        .filter(|variable| variable.auth != AuthKind::None)
        .map(|variable| variable.name)
        .collect()
}

/// An MCP server gets no other variables than these and a handful of common ones. The platform's own tools need no
/// permission in any mode.
fn mcp_server(server: &McpServer) -> Item {
    let env: InlineTable = server.env.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let args: Array = server.args.iter().map(String::as_str).collect();
    table([
        ("command", value(&server.command)),
        ("args", value(args)),
        ("env", value(env)),
        ("default_tools_approval_mode", value("approve")),
        ("startup_timeout_sec", value(START_SECONDS)),
        ("tool_timeout_sec", value(TOOL_SECONDS)),
    ])
}

/// The tools of a user's server are asked for like others. Variables that hold a key are none of an MCP server's.
fn library_server(server: &LibraryServer) -> Item {
    let inline = |map: &BTreeMap<String, String>| -> InlineTable {
        map.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
    };
    let patience = [("startup_timeout_sec", value(START_SECONDS)), ("tool_timeout_sec", value(TOOL_SECONDS))];
    let place = match &server.transport {
        Transport::Stdio { command, args, env } => {
            let args: Array = args.iter().map(String::as_str).collect();
            vec![("command", value(command)), ("args", value(args)), ("env", value(inline(env)))]
        }
        Transport::Http { url, headers } => {
            vec![("url", value(url)), ("http_headers", value(inline(headers)))]
        }
    };
    Item::Table(place.into_iter().chain(patience).collect())
}

fn table<const N: usize>(entries: [(&str, Item); N]) -> Item {
    Item::Table(entries.into_iter().collect())
}

/// `[outer.NAME]` without an empty `[outer]` before it.
fn parents(name: &str, inner: Item) -> Item {
    let mut outer = Table::new();
    outer.set_implicit(true);
    outer.insert(name, inner);
    Item::Table(outer)
}
