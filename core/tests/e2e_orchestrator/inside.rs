//! A worker's own door: its mission's socket, through the real MCP server, and nobody else's.

use sandboxed_domain::api::ErrorCode;
use sandboxed_domain::mission::{MissionStatus as S, Outcome, ReportedBy, TerminalReason as R};
use serde_json::json;

use crate::support::{Daemon, ids, script};

/// The MCP server as a worker finds it in a sandbox.
const INSIDE: &str = "/opt/sandboxed-sh/bin/mcp-orchestrator";

/// A script that calls `report_outcome` by MCP over the socket in `directory`, and prints the answers.
fn report(program: &str, directory: &str, outcome: &str) -> String {
    let messages = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
            "name": "report_outcome", "arguments": {"outcome": outcome, "summary": "as asked", "blocker": "a key"}}}),
    ];
    let lines: Vec<String> = messages.iter().map(|message| format!("'{message}'")).collect();
    let lines = lines.join(" ");
    // The server's input stays open until it has answered.
    format!(
        "export SANDBOXED_SH_API_URL=unix:{directory}/api.sock\nmkfifo in out\n{program} < in > out &\nexec 3> in 4< out\n\
         printf '%s\\n' {lines} >&3\nread a <&4; read b <&4; printf '%s\\n' \"$b\"\nexec 3>&-\nwait\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_is_reported_from_inside_by_the_missions_own_socket_only() {
    let daemon = Daemon::start().await;
    let host = daemon.program.with_file_name("inside").join("mcp-orchestrator");
    for (boss, program) in [("boss", INSIDE.to_owned()), ("local@host", host.display().to_string())] {
        let record = daemon.run(boss, &report(&program, "$SANDBOXED_SH_MISSION_DIR", "BLOCKED")).await;
        assert_eq!(
            (record.status, record.terminal_reason),
            (S::Blocked, Some(R::ReportedBlocked)),
            "{record:#?}"
        );
        let said = record.reported;
        assert_eq!(
            (said.outcome, said.by, said.summary.as_str()),
            (Some(Outcome::Blocked), ReportedBy::Tool, "as asked")
        );
        assert_eq!(said.blocker.as_deref(), Some("a key"));
    }
    let params = json!({"outcome": "DONE", "summary": "not mine to say"});
    let error = daemon.tool("boss", "report_outcome", params).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Forbidden, "{error:?}");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_uses_another_missions_socket_is_refused() {
    let daemon = Daemon::start().await;
    for (boss, host) in [("boss", false), ("local@host", true)] {
        let gate = daemon.repo().join(format!("gate-{host}"));
        nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
        let victim = script("victim", &format!("echo $SANDBOXED_SH_MISSION_DIR; cat {}", gate.display()));
        let victim = ids(&daemon.create(boss, json!([victim])).await)[0];
        let writer =
            tokio::task::spawn_blocking(move || std::fs::File::options().write(true).open(gate).unwrap());
        // The gate is open on both sides: the victim is at work and its directory is printed.
        let gate = writer.await.unwrap();
        let directory = loop {
            let printed = daemon.printed(victim).await;
            if printed.ends_with('\n') {
                break printed.trim().to_owned();
            }
            daemon.wait(boss, json!({"worker_ids": [victim], "timeout_seconds": 0.01})).await;
        };
        let program = match host {
            true => daemon.program.with_file_name("inside").join("mcp-orchestrator").display().to_string(),
            false => INSIDE.to_owned(),
        };
        let thief = daemon.run(boss, &report(&program, &directory, "BLOCKED")).await;
        let answer = daemon.printed(thief.worker_id).await;
        assert!(answer.contains("forbidden") && answer.contains("isError\":true"), "{answer}");
        drop(gate);
        daemon.wait_all(boss, &[victim]).await;
        let record = daemon.record(boss, victim).await;
        assert_eq!((record.status, record.reported.outcome), (S::Completed, None), "{record:?}");
    }
    daemon.finish().await;
}
