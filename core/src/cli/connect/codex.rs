//! Codex: a table in `config.toml`.

use std::path::{Path, PathBuf};

use sandboxed_domain::api::ApiError;
use toml_edit::{Array, DocumentMut, Item, Table, value};

use super::{MAX_WAIT, SERVER};

/// Longest start of the server in seconds: the daemon may have to be started first.
const STARTUP_SECONDS: i64 = 30;
/// Longest tool call in seconds: 100 above the longest wait.
const TOOL_SECONDS: i64 = 3700;
const SERVERS: &str = "mcp_servers";

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
    ];
    for (key, item) in wanted {
        let same = server.get(key).is_some_and(|old| old.to_string().trim() == item.to_string().trim());
        if !same {
            server.insert(key, item);
        }
    }
    Ok(document.to_string())
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
        assert_eq!(merged(""), SECTION);
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
    fn a_file_that_is_no_toml_is_left_alone() {
        for old in ["[", "mcp_servers = 3", "[mcp_servers]\norchestrator = 1"] {
            let error = merge(old, Path::new("/x")).unwrap_err();
            assert_eq!(error.field.as_deref(), Some("config.toml"), "{old}");
        }
    }
}
