//! A secret reaches the process that needs it and nothing else: no answer, event, log, argument, error or open file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::raw::Http;
use crate::support::{Daemon, ids};

/// Given to a worker.
const GIVEN: &str = "canary-given-7d1f";
/// The daemon's own.
const OWN: &str = "canary-own-93ab";

#[tokio::test(flavor = "multi_thread")]
async fn a_workers_secret_shows_nowhere_but_in_its_environment() {
    let daemon = Daemon::start_with(&[("ANTHROPIC_API_KEY", OWN), ("CLAUDE_CLI_PATH", "/bin/true")]).await;
    let http = Http::new(daemon.settings());
    // It has the variable, tells so by its length alone, and stays until it was looked at.
    let script = format!(
        "echo given ${{#SECRET}} own ${{#ANTHROPIC_API_KEY}}; until [ -e {}/go ]; do sleep 0.05; done",
        daemon.repo().display()
    );
    let worker = json!({
        "title": "t", "backend": "command", "prompt": script, "env": {"SECRET": GIVEN}, "verification_command": "true",
    });
    let made = ids(&daemon.create("boss", json!([worker])).await);
    crate::stream::wait_for_status(&daemon, &made[0].to_string(), "active").await;
    let agent = json!({"backend": "claudecode", "workspace_id": "host", "prompt": "hello"});
    let agent = http.post("/api/control/missions", agent).await.ok()["id"].as_str().unwrap().to_owned();
    crate::stream::wait_for_status(&daemon, &agent, "failed").await;
    assert_eq!(arguments_with_secrets(), Vec::<String>::new());
    fs::write(daemon.repo().join("go"), "").unwrap();
    daemon.wait_all("boss", &made).await;
    assert_eq!(daemon.printed(made[0]).await, format!("given {} own 0\n", GIVEN.len()));
    for answer in everything_told(&daemon, &http, &made[0].to_string(), &agent).await {
        assert!(!holds_secret(answer.as_bytes()), "{answer}");
    }
    assert!(!holds_secret(daemon.log().as_bytes()), "{}", daemon.log());
    let open: Vec<_> = files(daemon.data()).into_iter().filter(|path| !is_database(path)).collect();
    let found: Vec<_> =
        open.iter().filter(|path| holds_secret(&fs::read(path).unwrap_or_default())).collect();
    assert!(found.is_empty(), "{found:?}");
    daemon.finish().await;
}

/// Every answer that could repeat it, errors about it among them.
async fn everything_told(daemon: &Daemon, http: &Http, worker: &str, agent: &str) -> Vec<String> {
    let mut told = Vec::new();
    for path in [
        "control/missions",
        "control/progress",
        "control/queue",
        "workspaces",
        "backends",
        "control/diagnostics/claudecode",
    ] {
        told.push(http.get(&format!("/api/{path}")).await.text);
    }
    for id in [worker, agent] {
        told.push(http.get(&format!("/api/control/missions/{id}")).await.text);
        told.push(http.get(&format!("/api/control/missions/{id}/events?limit=1000")).await.text);
    }
    let mut tool = async |name: &str, params: Value| {
        let answer = daemon.tool("boss", name, params).await;
        told.push(answer.map_or_else(|e| format!("{e:?}"), |value| value.to_string()));
    };
    tool("list_workers", json!({})).await;
    tool("get_backend_auth_status", json!({})).await;
    tool("wait_for_any_worker", json!({"timeout_seconds": 1})).await;
    for view in ["result", "transcript", "log"] {
        tool("get_worker", json!({"worker_id": worker, "view": view})).await;
    }
    let long = GIVEN.repeat(4000);
    for env in [
        json!({"SECRET": long}),
        json!({"1": GIVEN}),
        json!({"S": format!("{GIVEN}\u{0}")}),
        json!({"SANDBOXED_SH_X": GIVEN}),
        json!({"SECRET": [GIVEN]}),
        json!(GIVEN),
    ] {
        let worker = json!({"title": "t", "prompt": "true", "backend": "command", "env": env});
        tool("batch_create_workers", json!({"workers": [worker]})).await;
    }
    told
}

fn holds_secret(bytes: &[u8]) -> bool {
    [GIVEN, OWN].iter().any(|secret| bytes.windows(secret.len()).any(|window| window == secret.as_bytes()))
}

fn arguments_with_secrets() -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path().join("cmdline"));
    let lines = processes.map(|path| fs::read(path).unwrap_or_default()).filter(|bytes| holds_secret(bytes));
    lines.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}

fn is_database(path: &Path) -> bool {
    path.parent().is_some_and(|parent| parent.ends_with("missions"))
        && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("missions.db"))
}

/// All regular files below, links not followed, and other file systems and what goes away meanwhile left out.
fn files(directory: &Path) -> Vec<PathBuf> {
    let device = fs::symlink_metadata(directory).unwrap().dev();
    let (mut found, mut directories) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(seen) = entry.path().symlink_metadata() else { continue };
            if seen.is_dir() && seen.dev() == device {
                directories.push(entry.path());
            } else if seen.is_file() {
                found.push(entry.path());
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_directory_is_closed_to_others_even_where_the_user_left_it_open() {
    let mut daemon = Daemon::start().await;
    daemon.run("host@host", "echo hi").await;
    // As an earlier version, or a careless copy, may have left it.
    daemon.stop().await;
    for name in ["missions", "missions/missions.db", "runs", "workspaces"] {
        let path = daemon.data().join(name);
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    daemon.restart().await;
    daemon.run("host@host", "echo hi").await;
    for entry in fs::read_dir(daemon.data()).unwrap().flatten() {
        let seen = entry.path().symlink_metadata().unwrap();
        assert!(seen.is_symlink() || seen.mode() & 0o077 == 0, "{:?}: {:o}", entry.path(), seen.mode());
    }
    for entry in fs::read_dir(daemon.data().join("missions")).unwrap().flatten() {
        let mode = entry.path().symlink_metadata().unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{:?}: {mode:o}", entry.path());
    }
    daemon.finish().await;
}
