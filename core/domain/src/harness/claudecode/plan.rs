//! Command line, environment and files of one Claude Code process.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::super::credentials;
use super::super::environment::{self, owned};
use super::super::settings::{json_settings, merge_json};
use super::super::{Harness, LaunchPlan, LaunchRequest, PermissionMode, PlannedFile, StdinMode, Transport};
use super::{ClaudeCode, HOST_VARIABLES};
use crate::api::ApiError;

/// Without these it updates itself, calls home, refuses to bypass permissions as root, hides the MCP tools from
/// the model behind a search, or leaves work in the background when its turn ends.
const SETTINGS: [(&str, &str); 5] = [
    ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    ("IS_SANDBOX", "1"),
    ("ENABLE_TOOL_SEARCH", "false"),
];

/// Names a file that is read before each command of its shell tool, for which `BASH_ENV` does not count.
const ENV_FILE: &str = "CLAUDE_ENV_FILE";

/// See [`Harness::plan`].
pub(super) fn plan(harness: &ClaudeCode, request: &LaunchRequest) -> Result<LaunchPlan, ApiError> {
    harness.check_model(request.model.as_deref(), request.effort)?;
    if Uuid::parse_str(&request.session_id).is_err() {
        return Err(ApiError::invalid("session_id", format!("`{}` is not a UUID", request.session_id)));
    }
    let config_dir = format!("{}/.claude", request.mission_dir);
    let mcp_config = format!("{config_dir}/mcp.json");
    let settings = format!("{config_dir}/settings.local.json");
    let mut env = env(request, &config_dir);
    let keyless = environment::without_keys_in_bash(&mut env, ENV_FILE, HOST_VARIABLES, &request.mission_dir);
    Ok(LaunchPlan {
        argv: argv(request, &settings, &mcp_config),
        env,
        cwd: request.cwd.clone(),
        directories: vec![config_dir.clone(), environment::tmp_dir(request)],
        files: vec![
            PlannedFile::private(format!("{config_dir}/CLAUDE.md"), request.instructions.clone()),
            PlannedFile::private(settings, pretty(&settings_json(request)?)),
            PlannedFile::private(mcp_config, pretty(&mcp_json(request))),
            keyless,
        ],
        stdin: StdinMode::Protocol,
        stdout_is_protocol: true,
        key: None,
        codec: Value::Null,
    })
}

fn argv(request: &LaunchRequest, settings: &str, mcp_config: &str) -> Vec<String> {
    let mut argv: Vec<&str> = request.program.iter().map(String::as_str).collect();
    argv.extend([
        "--print",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
        "--include-partial-messages",
        "--permission-prompt-tool",
        "stdio",
        "--permission-mode",
        permission_mode(request.permission),
        if request.resume { "--resume" } else { "--session-id" },
        &request.session_id,
        "--settings",
        settings,
    ]);
    if let Some(model) = &request.model {
        argv.extend(["--model", model]);
    }
    if let Some(effort) = request.effort {
        argv.extend(["--effort", effort.as_str()]);
    }
    argv.extend(["--strict-mcp-config", "--mcp-config", mcp_config]);
    argv.into_iter().map(str::to_owned).collect()
}

fn permission_mode(mode: PermissionMode) -> &'static str {
    match mode {
        PermissionMode::Default => "default",
        PermissionMode::Plan => "plan",
        PermissionMode::AcceptEdits => "acceptEdits",
        PermissionMode::Bypass => "bypassPermissions",
    }
}

fn env(request: &LaunchRequest, config_dir: &str) -> BTreeMap<String, String> {
    let mut env = environment::base(request);
    env.extend(SETTINGS.map(owned));
    env.insert("CLAUDE_CONFIG_DIR".to_owned(), config_dir.to_owned());
    credentials::hand_on(&mut env, HOST_VARIABLES, &request.credentials);
    env
}

/// Tools that would start work after the turn, or leave the directory that the platform chose.
const DENIED_TOOLS: [&str; 4] = ["CronCreate", "EnterWorktree", "Monitor", "ScheduleWakeup"];

/// The platform's own tools need no permission in any mode. A profile's settings decide what else it does, but not
/// how it authenticates.
fn settings_json(request: &LaunchRequest) -> Result<Value, ApiError> {
    let allow: Vec<_> = request.mcp_servers.iter().map(|server| format!("mcp__{}", server.name)).collect();
    let ours = json!({
        "permissions": { "allow": allow, "deny": DENIED_TOOLS },
        "includeCoAuthoredBy": false,
        "cleanupPeriodDays": 3650,
    });
    let mut settings = json_settings(request)?;
    settings.remove("apiKeyHelper");
    if let Some(env) = settings.get_mut("env").and_then(Value::as_object_mut) {
        env.retain(|name, _| !HOST_VARIABLES.iter().any(|variable| variable.name == name));
    }
    if let Value::Object(ours) = ours {
        merge_json(&mut settings, ours);
    }
    Ok(Value::Object(settings))
}

/// An MCP server inherits the CLI's environment: credentials are blanked for it.
fn mcp_json(request: &LaunchRequest) -> Value {
    let stdio = |command: &str, args: &[String], own: &BTreeMap<String, String>| {
        let env = credentials::without_secrets(HOST_VARIABLES, own);
        json!({ "type": "stdio", "command": command, "args": args, "env": env })
    };
    let platform = request.mcp_servers.iter();
    let mut servers: BTreeMap<_, _> = platform
        .map(|server| (server.name.as_str(), stdio(&server.command, &server.args, &server.env)))
        .collect();
    for server in &request.library_servers {
        let entry = match &server.transport {
            Transport::Stdio { command, args, env } => stdio(command, args, env),
            Transport::Http { url, headers } => json!({ "type": "http", "url": url, "headers": headers }),
        };
        servers.insert(&server.name, entry);
    }
    json!({ "mcpServers": servers })
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
