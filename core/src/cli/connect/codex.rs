//! Codex: a table in `config.toml`. Codex gives a server an almost empty environment, so our own settings and what the
//! daemon that the server may start needs of the user's are passed on by name.

use std::path::{Path, PathBuf};

use sandboxed_domain::api::ApiError;
use sandboxed_domain::harness::{Program, registry};
use toml_edit::{Array, DocumentMut, Item, Table, value};

use super::{MAX_WAIT, SERVER};
use crate::harness::{auto_install_variable, bootstrap_variable};
use crate::library::LibrarySettings;
use crate::mission::MissionSettings;

/// Longest start of the server in seconds: the daemon may have to be started first.
const STARTUP_SECONDS: i64 = 30;
/// Longest tool call in seconds: 100 above the longest wait.
const TOOL_SECONDS: i64 = 3700;
const SERVERS: &str = "mcp_servers";
/// Names of the variables that the server gets from Codex's own environment.
const ENV_VARS: &str = "env_vars";
/// Settings of ours that a client or the daemon reads.
const SETTINGS: [&str; 14] = [
    "SANDBOXED_SH_DATA_DIR",
    "SANDBOXED_SH_HOST",
    "SANDBOXED_SH_PORT",
    "SANDBOXED_SH_API_URL",
    "SANDBOXED_SH_TOKEN",
    "SANDBOXED_SH_TOKEN_FILE",
    "SANDBOXED_SH_PROGRAM",
    "SANDBOXED_SH_IDLE_STOP_SECONDS",
    "SANDBOXED_SH_MAX_PARALLEL",
    "SANDBOXED_SH_INBOX_QUOTA_BYTES",
    "SANDBOXED_SH_GLOBAL_QUOTA_BYTES",
    "SANDBOXED_SH_LOG",
    "SANDBOXED_SH_LOG_FORMAT",
    "SANDBOXED_SH_RUNNER",
];

/// `config.toml` in `CODEX_HOME`, else in `~/.codex`.
///
/// # Errors
/// Neither is known.
pub(super) fn config_file() -> Result<PathBuf, ApiError> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = variable("CODEX_HOME").or_else(|| variable("HOME").map(|home| home.join(".codex")));
    home.map(|home| home.join("config.toml"))
        .ok_or_else(|| ApiError::invalid("CODEX_HOME", "neither it nor HOME is set").hint("set CODEX_HOME"))
}

/// The file's text with our server in it; comments, order and everything else stay.
///
/// # Errors
/// `old` is no TOML, or `mcp_servers` in it is no table.
pub(super) fn merge(old: &str, program: &Path) -> Result<String, ApiError> {
    let bad = |e: String| {
        ApiError::invalid("config.toml", format!("cannot be read: {e}"))
            .hint("mend it by hand, then run this again")
    };
    let mut document: DocumentMut = old.parse().map_err(|e: toml_edit::TomlError| bad(e.to_string()))?;
    let program = program.to_str().ok_or_else(|| bad("the program's path is not UTF-8".to_owned()))?;
    let servers = document.entry(SERVERS).or_insert_with(|| {
        let mut servers = Table::new();
        servers.set_implicit(true);
        Item::Table(servers)
    });
    let servers = servers.as_table_like_mut().ok_or_else(|| bad("mcp_servers is not a table".to_owned()))?;
    let server = servers.entry(SERVER).or_insert_with(|| Item::Table(Table::new()));
    let server = server
        .as_table_like_mut()
        .ok_or_else(|| bad("mcp_servers.orchestrator is not a table".to_owned()))?;
    let wanted = [
        ("command", value(program)),
        ("args", value(Array::from_iter(["--max-wait", MAX_WAIT]))),
        ("startup_timeout_sec", value(STARTUP_SECONDS)),
        ("tool_timeout_sec", value(TOOL_SECONDS)),
        ("default_tools_approval_mode", value("approve")),
        ("supports_parallel_tool_calls", value(true)),
        (ENV_VARS, value(variables(server.get(ENV_VARS)))),
    ];
    for (key, item) in wanted {
        let same = server.get(key).is_some_and(|old| old.to_string().trim() == item.to_string().trim());
        if !same {
            server.insert(key, item);
        }
    }
    Ok(document.to_string())
}

/// What the user lists already, then ours: settings, and programs and credentials of every harness.
fn variables(old: Option<&Item>) -> Array {
    let mut variables = old.and_then(Item::as_array).cloned().unwrap_or_default();
    let programs = registry().iter().filter_map(|harness| harness.program()).map(Program::variable);
    let credentials =
        registry().iter().flat_map(|harness| harness.host_variables()).map(|found| found.name.to_owned());
    let installing = registry()
        .iter()
        .filter(|harness| harness.program().is_some())
        .flat_map(|harness| [auto_install_variable(harness.id()), bootstrap_variable(harness.id())]);
    let library = LibrarySettings::names().map(str::to_owned);
    let settings = SETTINGS.map(str::to_owned).into_iter().chain(MissionSettings::names()).chain(library);
    let all = settings.chain(programs).chain(installing).chain(credentials);
    for name in all {
        if !variables.iter().any(|listed| listed.as_str() == Some(&name)) {
            variables.push(name);
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(old: &str) -> String {
        merge(old, Path::new("/opt/x/inside/mcp-orchestrator")).unwrap()
    }

    const SECTION: &str = r#"[mcp_servers.orchestrator]
command = "/opt/x/inside/mcp-orchestrator"
args = ["--max-wait", "3600"]
startup_timeout_sec = 30
tool_timeout_sec = 3700
default_tools_approval_mode = "approve"
supports_parallel_tool_calls = true
"#;

    #[test]
    fn an_absent_file_becomes_our_section() {
        let new = merged("");
        let rest = new.strip_prefix(SECTION).unwrap();
        assert!(rest.starts_with("env_vars = [") && rest.lines().count() == 1, "{rest}");
    }

    #[test]
    fn every_setting_of_the_reference_reaches_the_server() {
        let reference = include_str!("../../../../docs/reference.md");
        let table =
            reference.lines().filter(|line| line.starts_with("| `")).take_while(|line| line.contains("_"));
        let new = merged("");
        let mut count = 0;
        for name in
            table.flat_map(|line| line.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2))
        {
            // Given as an argument, and what Node.js is used is only Gemini's business.
            let otherwise = ["SANDBOXED_SH_MAX_WAIT", "NODE_CLI_PATH"].contains(&name);
            let absent = name.ends_with("_CLI_PATH")
                || name.contains("_AUTO_INSTALL_")
                || name.contains("_BOOTSTRAP_")
                || name.ends_with("_<BACKEND>");
            assert!(otherwise || absent || new.contains(&format!("\"{name}\"")), "{name} is not passed on");
            count += 1;
        }
        assert!(count > 15, "{count}");
        for harness in registry().iter().filter(|harness| harness.program().is_some()) {
            let name = harness.id().to_uppercase();
            for part in ["AUTO_INSTALL_", "BOOTSTRAP_", "STALL_SECONDS_", "DEFAULT_MODEL_"] {
                assert!(new.contains(&format!("\"SANDBOXED_SH_{part}{name}\"")), "{part}{name}");
            }
        }
    }

    #[test]
    fn comments_order_and_others_are_kept_and_a_second_time_changes_nothing() {
        let old = "# mine\nmodel = \"m\" # best\n\n[mcp_servers.other]\ncommand = 'x'\n\n[tui]\na = 1\n";
        let new = merged(old);
        assert_eq!(merged(&new), new);
        for line in old.lines() {
            assert!(new.contains(line), "{line} is lost in {new}");
        }
        assert!(new.contains(SECTION.trim_end()), "{new}");
    }

    #[test]
    fn settings_of_ours_are_renewed_and_what_the_user_added_to_them_stays() {
        let old = "[mcp_servers.orchestrator]\ncommand = \"old\"\nenabled_tools = [\"get_worker\"]\n";
        let new = merged(old);
        assert!(!new.contains("\"old\"") && new.contains("enabled_tools = [\"get_worker\"]"), "{new}");
    }

    #[test]
    fn variables_that_the_user_passes_on_stay_first_and_ours_are_there_once() {
        let new = merged("[mcp_servers.orchestrator]\nenv_vars = [\"MINE\", \"SANDBOXED_SH_PORT\"]\n");
        assert!(
            new.contains("env_vars = [\"MINE\", \"SANDBOXED_SH_PORT\", \"SANDBOXED_SH_DATA_DIR\""),
            "{new}"
        );
        assert_eq!(new.matches("SANDBOXED_SH_PORT").count(), 1);
        assert_eq!(merged(&new), new);
    }

    #[test]
    fn a_file_that_is_no_toml_is_left_alone() {
        for old in ["[", "mcp_servers = 3", "[mcp_servers]\norchestrator = 1"] {
            let error = merge(old, Path::new("/x")).unwrap_err();
            assert_eq!(error.field.as_deref(), Some("config.toml"), "{old}");
        }
    }
}
