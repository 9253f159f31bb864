//! Command line, environment and files of one OpenCode process.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::acp::{self, Setting, Setup};
use super::super::credentials;
use super::super::environment::{self, owned};
use super::super::settings::{json_settings, merge_json};
use super::super::{
    Harness, LaunchPlan, LaunchRequest, LibraryServer, PermissionMode, PlannedFile, StdinMode, Transport,
};
use super::{HOST_VARIABLES, OpenCode, PROVIDERS, models, with_key};
use crate::api::ApiError;

/// See the module.
pub(super) const PLUGIN: &str = include_str!("plugin.js");

/// What it looks for before it installs the types of its plugins. Nothing of it is used.
const LOCK: &str = r#"{"lockfileVersion":3,"packages":{"":{"dependencies":{"@opencode-ai/plugin":"*"}}}}"#;

/// Tools that change nothing.
const HARMLESS: [&str; 7] = ["read", "list", "glob", "grep", "lsp", "skill", "todowrite"];

/// See [`Harness::plan`].
pub(super) fn plan(harness: &OpenCode, request: &LaunchRequest) -> Result<LaunchPlan, ApiError> {
    harness.check_model(request.model.as_deref(), request.effort)?;
    acp::check_mode(harness, request.permission)?;
    let home = format!("{}/.config/opencode", request.mission_dir);
    let mut argv = request.program.clone();
    argv.push("acp".to_owned());
    let config = whole_config(harness, request)?;
    let setup = Setup {
        settings: settings(request),
        unnamed_model: !config.contains_key("model"),
        ..Setup::new(request, HOST_VARIABLES)
    };
    let file = |path: &str, content: String| PlannedFile::private(format!("{home}/{path}"), content);
    Ok(LaunchPlan {
        argv,
        env: env(request),
        cwd: request.cwd.clone(),
        directories: vec![home.clone(), format!("{home}/node_modules"), environment::tmp_dir(request)],
        files: vec![
            file("AGENTS.md", request.instructions.clone()),
            file("opencode.json", format!("{:#}\n", Value::Object(config))),
            file("package-lock.json", format!("{LOCK}\n")),
            file("plugin/sandboxed-sh.js", PLUGIN.to_owned()),
        ],
        stdin: StdinMode::Protocol,
        stdout_is_protocol: true,
        key: None,
        codec: setup.into_state(),
    })
}

/// A resumed session would go on with the model that it had.
fn settings(request: &LaunchRequest) -> Vec<Setting> {
    let option = |id: &str, value: &str| Setting::Option { id: id.to_owned(), value: value.to_owned() };
    let model = request.model.as_deref().map(|model| option("model", model));
    let effort = request.effort.map(|effort| option("effort", effort.as_str()));
    model.into_iter().chain(effort).collect()
}

/// Ours over the user's: a profile's settings decide what nothing here does.
fn whole_config(harness: &OpenCode, request: &LaunchRequest) -> Result<Map<String, Value>, ApiError> {
    let mut config = json_settings(request)?;
    if let Value::Object(ours) = own_config(request) {
        merge_json(&mut config, ours);
    }
    let default = harness.default_model(&request.credentials, &request.login);
    if !default.is_empty() {
        // The CLI would choose by the order of its list. What a profile says counts, and a project's own file.
        config.entry("model").or_insert_with(|| json!(default));
    }
    if !request.library_servers.is_empty() {
        let servers = request.library_servers.iter().map(library_server).collect();
        merge_json(&mut config, Map::from_iter([("mcp".to_owned(), Value::Object(servers))]));
    }
    Ok(config)
}

/// The plugin keeps keys out of the environment of MCP servers; they are blanked all the same.
fn library_server(server: &LibraryServer) -> (String, Value) {
    let entry = match &server.transport {
        Transport::Stdio { command, args, env } => {
            let all = credentials::without_secrets(HOST_VARIABLES, env);
            let command: Vec<_> = std::iter::once(command).chain(args).collect();
            json!({ "type": "local", "command": command, "environment": all, "enabled": true })
        }
        Transport::Http { url, headers } => {
            json!({ "type": "remote", "url": url, "headers": headers, "oauth": false, "enabled": true })
        }
    };
    (server.name.clone(), entry)
}

fn own_config(request: &LaunchRequest) -> Value {
    let mut config = json!({
        "$schema": "https://opencode.ai/config.json",
        "autoupdate": false,
        "share": "disabled",
        // Copies of the working tree, of which nothing here makes use.
        "snapshot": false,
        // Otherwise a refused permission ends the turn.
        "experimental": { "continue_loop_on_deny": true },
        // A request of its own for each session, whose answer nobody sees.
        "agent": { "title": { "disable": true } },
    });
    let keyed: Vec<_> = with_key(&request.credentials).map(|provider| provider.id).collect();
    if keyed.is_empty() {
        // Whoever has a login did not choose the vendor's own models.
        config["disabled_providers"] = json!(["opencode"]);
    } else {
        config["enabled_providers"] = json!(keyed);
    }
    if let Some(model) = &request.model {
        config["model"] = json!(model);
    }
    config["provider"] = providers(request);
    config
}

/// Addresses of providers that can be asked, for OpenCode would choose one that it is told of without a key; and the
/// model that was named: one that is not in OpenCode's list would be refused.
fn providers(request: &LaunchRequest) -> Value {
    let mut providers = Map::new();
    for provider in PROVIDERS {
        let base_url = request.credentials.get(provider.base_url).filter(|url| !url.trim().is_empty());
        let keyed = with_key(&request.credentials).any(|keyed| keyed.id == provider.id);
        if let Some(url) = base_url.filter(|_| keyed || request.login.iter().any(|id| id == provider.id)) {
            providers.insert(provider.id.to_owned(), json!({ "options": { "baseURL": versioned(url) } }));
        }
    }
    if let Some((provider, model)) = request.model.as_deref().and_then(models::split)
        && PROVIDERS.iter().any(|known| known.id == provider)
    {
        let known = providers.entry(provider).or_insert_with(|| json!({}));
        known["models"] = json!({ model: {} });
    }
    Value::Object(providers)
}

/// Some programs want the address without the version that this one wants with it.
fn versioned(url: &str) -> String {
    let url = url.trim_end_matches('/');
    match url.rsplit('/').next() {
        Some(last) if last.starts_with('v') && last[1..].starts_with(|c: char| c.is_ascii_digit()) => {
            url.to_owned()
        }
        _ => format!("{url}/v1"),
    }
}

/// The last rule that matches counts. Outside of the permission modes nobody is asked.
fn permissions(request: &LaunchRequest) -> Value {
    if request.permission == PermissionMode::Bypass {
        return json!({ "*": "allow", "external_directory": "allow", "doom_loop": "allow", "read": "allow" });
    }
    let mut rules = Map::from_iter([("*".to_owned(), json!("ask"))]);
    let own = request.mcp_servers.iter().map(|server| format!("{}_*", server.name));
    let harmless = HARMLESS.map(str::to_owned).into_iter().chain(own);
    rules.extend(harmless.map(|tool| (tool, json!("allow"))));
    if request.permission == PermissionMode::AcceptEdits {
        rules.insert("edit".to_owned(), json!("allow"));
    }
    rules.insert("task".to_owned(), json!("deny"));
    Value::Object(rules)
}

fn env(request: &LaunchRequest) -> BTreeMap<String, String> {
    let mut env = environment::base(request);
    let home = |path: &str| format!("{}/{path}", request.mission_dir);
    let (config, data) = (home(".config"), home(".local/share"));
    env.extend(
        [
            ("XDG_CONFIG_HOME", config.as_str()),
            ("XDG_DATA_HOME", &data),
            ("OPENCODE_PERMISSION", &permissions(request).to_string()),
            ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
            ("OPENCODE_DISABLE_EMBEDDED_WEB_UI", "1"),
            ("OPENCODE_DISABLE_LSP_DOWNLOAD", "1"),
            ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
            ("OPENCODE_DISABLE_SHARE", "1"),
        ]
        .map(owned),
    );
    if with_key(&request.credentials).next().is_some() {
        // They serve logins.
        env.extend([("OPENCODE_DISABLE_DEFAULT_PLUGINS", "1")].map(owned));
    }
    credentials::hand_on(&mut env, HOST_VARIABLES, &request.credentials);
    for provider in PROVIDERS {
        // The addresses stand in the configuration.
        env.remove(provider.base_url);
    }
    env
}
