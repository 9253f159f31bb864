//! mcp-scanner's rules for descriptions that would mislead a model, without asking anybody on the network.

use sandboxed_testkit::cli::Cli;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::servers::Program;

#[tokio::test]
async fn no_description_misleads() {
    let dir = TempDir::new().unwrap();
    let env = json!({"SANDBOXED_SH_DATA_DIR": dir.path().join("data")});
    let servers: serde_json::Map<String, Value> = Program::ALL
        .into_iter()
        .map(|program| (program.name().to_owned(), json!({"command": program.path(), "env": env})))
        .collect();
    let config = dir.path().join("mcp.json");
    std::fs::write(&config, json!({"mcpServers": servers}).to_string()).unwrap();
    let done = Command::new(Cli::McpScanner.path().unwrap())
        .args(["--analyzers", "yara", "--format", "raw", "config", "--config-path"])
        .arg(&config)
        // Else it asks the network for the prices of models.
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .env("HOME", dir.path())
        .current_dir(dir.path())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let told = String::from_utf8_lossy(&done.stderr);
    let report: Value =
        said.find('{').and_then(|at| serde_json::from_str(&said[at..]).ok()).unwrap_or_else(|| {
            panic!("no report: {said}{told}");
        });
    let results = report["scan_results"].as_array().unwrap();
    for name in ["run_command", "fetch_url", "batch_create_workers", "wait_for_any_worker", "screenshot"] {
        assert!(results.iter().any(|result| result["tool_name"] == name), "{name} was not looked at: {told}");
    }
    let bad: Vec<_> = results.iter().filter(|result| result["is_safe"] != true).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}
