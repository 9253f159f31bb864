//! The conformance suite of the specification. Most of its scenarios want a tool, prompt or resource of the suite's own;
//! those that need nothing but the protocol are held to pass, each by its name.

use std::collections::BTreeMap;
use std::path::Path;

use sandboxed_testkit::cli::Cli;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::servers::{Program, Serving};

/// Scenarios of 2025-11-25.
const OLD: [&str; 10] = [
    "completion-complete",
    "dns-rebinding-protection",
    "ping",
    "prompts-list",
    "resources-list",
    "server-initialize",
    "server-session-lifecycle",
    "server-sse-multiple-streams",
    "server-sse-polling",
    "tools-list",
];

/// Scenarios of 2026-07-28.
const NEW: [&str; 13] = [
    "caching",
    "completion-complete",
    "dns-rebinding-protection",
    "http-header-validation",
    "input-required-result-ignore-extra-params",
    "input-required-result-missing-input-response",
    "input-required-result-unsupported-methods",
    "input-required-result-validate-input",
    "prompts-list",
    "resources-list",
    "sep-2164-resource-not-found",
    "server-sse-multiple-streams",
    "tools-list",
];

/// Of `server-stateless` these want the suite's own tools; all its other checks are held to pass.
const WANT_TOOLS: [&str; 4] = [
    "sep-2575-http-server-no-independent-requests-on-stream",
    "sep-2575-missing-capability-http-400",
    "sep-2575-server-no-log-without-loglevel",
    "sep-2575-server-rejects-undeclared-capability",
];

/// The checks of one scenario.
#[derive(Debug, Default)]
struct Checks {
    passed: usize,
    /// What is told of those that failed, by id.
    failed: BTreeMap<String, String>,
}

/// Runs all scenarios that a revision requires.
async fn run(url: &str, revision: &str) -> BTreeMap<String, Checks> {
    let out = TempDir::new().unwrap();
    let done = Command::new(Cli::Node.path().unwrap())
        .arg(Cli::Conformance.path().unwrap())
        .args(["server", "--url", url, "--requirements", revision, "-o"])
        .arg(out.path())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let entries = std::fs::read_dir(out.path()).unwrap();
    let found: BTreeMap<_, _> = entries.map(|entry| read(&entry.unwrap().path())).collect();
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(found.len() > 20, "{said}");
    found
}

/// One scenario: its directory is called `server-NAME-TIME`.
fn read(dir: &Path) -> (String, Checks) {
    let name = dir.file_name().unwrap().to_string_lossy().into_owned();
    let name = name.strip_prefix("server-").unwrap();
    let time = name.len() - "-2026-01-01T00-00-00-000Z".len();
    let text = std::fs::read_to_string(dir.join("checks.json")).unwrap();
    let mut checks = Checks::default();
    for check in serde_json::from_str::<Vec<Value>>(&text).unwrap() {
        match check["status"].as_str().unwrap() {
            "SUCCESS" => checks.passed += 1,
            "FAILURE" => {
                checks
                    .failed
                    .insert(check["id"].as_str().unwrap().to_owned(), check["errorMessage"].to_string());
            }
            _ => {}
        }
    }
    (name[..time].to_owned(), checks)
}

async fn conforms(program: Program) {
    let serving = Serving::start(program).await;
    let mut passed = 0;
    for (revision, wanted) in [("2025-11-25", &OLD[..]), ("2026-07-28", &NEW[..])] {
        let found = run(&serving.url, revision).await;
        for name in wanted {
            let checks = found.get(*name).unwrap_or_else(|| panic!("{revision} has no scenario {name}"));
            assert!(checks.failed.is_empty() && checks.passed > 0, "{revision} {name}: {checks:#?}");
            passed += checks.passed;
        }
        if let Some(checks) = found.get("server-stateless") {
            let failed: Vec<_> = checks.failed.keys().map(String::as_str).collect();
            assert_eq!(failed, WANT_TOOLS, "{checks:#?}");
            passed += checks.passed;
        }
    }
    eprintln!("{}: {passed} checks passed", program.name());
    serving.finish().await;
}

#[tokio::test]
async fn the_workspace_conforms_to_both_eras() {
    conforms(Program::Workspace).await;
}

#[tokio::test]
async fn the_desktop_conforms_to_both_eras() {
    conforms(Program::Desktop).await;
}

#[tokio::test]
async fn the_orchestrator_conforms_to_both_eras() {
    conforms(Program::Orchestrator).await;
}
