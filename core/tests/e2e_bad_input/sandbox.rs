//! A machine on which sandboxes cannot start: a typed reason, and never a run on the host instead.

use std::fs;
use std::os::unix::fs::symlink;

use sandboxed_domain::mission::{MissionStatus, TerminalReason};
use serde_json::{Value, json};

use crate::raw::Http;
use crate::support::Daemon;

/// The worker and an exec must end with the reason, and leave no mark on the host.
async fn never_runs(daemon: Daemon, code: &str, words: &str) {
    let mark = daemon.repo().join("mark");
    let made = format!("touch {}", mark.display());
    let record = daemon.run("boss", &made).await;
    assert_eq!(
        (record.status, record.terminal_reason),
        (MissionStatus::Failed, Some(TerminalReason::SandboxFailed)),
        "{record:?}"
    );
    let http = Http::new(daemon.settings());
    http.post("/api/workspaces", json!({"name": "one"})).await.ok();
    let body = json!({"argv": ["touch", mark.display().to_string()]});
    let problem = http.post("/api/workspaces/one/exec", body).await;
    let problem: Value = serde_json::from_str(&problem.text).unwrap();
    assert_eq!(problem["code"], code, "{problem}");
    assert!(problem.to_string().contains(words), "no {words:?}: {problem}");
    assert!(problem["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{problem}");
    let view = http.get("/api/workspaces/one").await.ok();
    assert_eq!(view["state"], "error", "{view}");
    assert!(view["detail"].as_str().unwrap().contains(words), "{view}");
    assert!(!mark.exists(), "it ran on the host");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_nspawn_no_container_starts_and_nothing_runs_on_the_host() {
    // Every program of the host but nspawn.
    let programs = tempfile::tempdir().unwrap();
    for directory in ["/usr/sbin", "/usr/bin"] {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            if entry.file_name() != "systemd-nspawn" {
                let _ = symlink(entry.path(), programs.path().join(entry.file_name()));
            }
        }
    }
    let path = programs.path().display().to_string();
    let daemon = Daemon::start_with(&[("PATH", &path)]).await;
    never_runs(daemon, "sandbox_unavailable", "systemd-nspawn").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_is_missing_or_not_static_is_a_typed_error() {
    let daemon = Daemon::start_with(&[("SANDBOXED_SH_RUNNER", "/no/such/sandbox-runner")]).await;
    never_runs(daemon, "sandbox_unavailable", "/no/such/sandbox-runner").await;
    let daemon = Daemon::start_with(&[("SANDBOXED_SH_RUNNER", "/bin/true")]).await;
    never_runs(daemon, "sandbox_unavailable", "/bin/true").await;
}
