//! The list of tools, and calls that are wrong.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stage::{Server, program};

/// `UPDATE_GOLDEN=1` writes the file anew.
#[tokio::test]
async fn the_list_of_tools_is_the_one_checked_in() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(program(dir.path())).await;
    let tools = server.tools().await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, format!("{}\n", serde_json::to_string_pretty(&tools).unwrap())).unwrap();
    }
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(tools, golden, "tools/list changed: if that is meant, run this test with UPDATE_GOLDEN=1");
    server.leave().await;
}

#[tokio::test]
async fn a_bad_call_is_answered_with_what_is_wrong() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(program(dir.path())).await;
    for (tool, arguments, code, field) in [
        ("start_desktop", json!({"width": 63}), "invalid_argument", "width"),
        ("start_desktop", json!({"height": 1e9}), "invalid_argument", "height"),
        ("start_desktop", json!({"dpi": 0}), "invalid_argument", "dpi"),
        ("start_desktop", json!({"size": 0}), "unknown_field", "size"),
        ("stop_desktop", json!({}), "invalid_argument", "desktop"),
        ("stop_desktop", json!({"desktop": "d1"}), "unknown_desktop", "desktop"),
        ("resize_desktop", json!({"width": 800, "height": 600}), "unknown_desktop", "desktop"),
        ("screenshot", json!({}), "unknown_desktop", "desktop"),
        ("list_windows", json!({}), "unknown_desktop", "desktop"),
    ] {
        let problem = server.problem(tool, arguments.clone()).await;
        let seen = (&problem["code"], &problem["field"]);
        assert_eq!(seen, (&json!(code), &json!(field)), "{tool} {arguments}");
    }
    for (action, tool) in [("screenshot", "screenshot"), ("zoom", "screenshot"), ("wait", "wait_for")] {
        let problem = server.problem("computer", json!({"action": action, "duration": 1})).await;
        let advised = problem["hint"].as_str().unwrap().contains(&format!("the tool {tool}"));
        assert!(
            problem["code"] == "invalid_argument" && problem["field"] == "action" && advised,
            "{problem}"
        );
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "none of these left anything behind");
    server.leave().await;
}
