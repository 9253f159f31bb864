//! Instructions, settings and wiring are in force, in the mission's own directory only; the key is nowhere.

use std::path::Path;

use sandboxed_domain::api::EventBody;
use sandboxed_testkit::stub::Step;
use serde_json::{Value, json};

use crate::stage::{BOSS, KEY, Stage, end_of, processes_with, report, worker_with};
use crate::support::git;

#[tokio::test]
async fn a_workers_files_are_in_force_and_the_users_own_stay_and_are_seen() {
    let look = "git status --porcelain --untracked-files=all; echo status-ends; ls -A";
    let stage = Stage::with([Step::bash(look), report("DONE", "ok"), Step::text("Done.")]).await;
    let repo = stage.daemon.repo();
    std::fs::write(repo.join("CLAUDE.md"), "The house rule is: marmalade on Sundays.\n").unwrap();
    std::fs::write(repo.join(".mcp.json"), r#"{"mcpServers":{"theirs":{"command":"/bin/false"}}}"#).unwrap();
    git(&repo, &["add", "."]);
    git(&repo, &["commit", "-qm", "Rules"]);
    let more = json!({
        "title": "Paint the \"shed\"",
        "worktree": {"branch": "task/shed"},
        "acceptance_criteria": ["the shed is blue"],
        "verification_command": "test -f CLAUDE.md",
    });
    let record = stage.run(worker_with("go [[s]]", more)).await;
    let facts = record.git.clone().unwrap();
    assert_eq!((facts.dirty, facts.untracked, facts.commits_ahead), (0, 0, 0), "{facts:?}");

    let events = stage.daemon.events(record.worker_id).await;
    let listing = events.iter().find_map(|event| match &event.body {
        EventBody::ToolResult { result, .. } => Some(result.to_string()),
        _ => None,
    });
    let listing = listing.unwrap();
    assert!(listing.contains("\"status-ends") && !listing.contains(".claude"), "{listing}");

    // Everything the model was given: our instructions and the user's.
    let request = stage.request("s/0").await.body.to_string();
    for words in [
        "You are a worker",
        "Paint the",
        "the shed is blue",
        "task/shed",
        "test -f CLAUDE.md",
        "marmalade on Sundays",
        "mcp__orchestrator__report_outcome",
    ] {
        assert!(request.contains(words), "{words:?} is missing");
    }
    assert!(!request.contains("mcp__theirs"), "a repository's servers are not a worker's");

    let directory = stage.mission_dir(record.worker_id).await.join(".claude");
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    assert!(read("CLAUDE.md").contains("the shed is blue"));
    let settings: Value = serde_json::from_str(&read("settings.local.json")).unwrap();
    assert_eq!(settings["permissions"]["allow"], json!(["mcp__orchestrator"]));
    let servers: Value = serde_json::from_str(&read("mcp.json")).unwrap();
    assert_eq!(
        servers["mcpServers"]["orchestrator"]["env"]["SANDBOXED_SH_MISSION_ID"],
        record.worker_id.to_string()
    );
    stage.finish().await;
}

#[tokio::test]
async fn the_key_reaches_the_model_server_and_nothing_else() {
    let gate = "mkfifo gate; cat gate; env | grep -c ANTHROPIC_API_KEY";
    let stage = Stage::with([Step::bash(gate), report("DONE", "ok"), Step::text("Done.")]).await;
    let id =
        stage.worker(worker_with("go [[s]]", json!({"verification_command": "! env | grep sk-test"}))).await;
    stage.event(id, |body| matches!(body, EventBody::ToolCall { .. })).await;
    assert_eq!(processes_with(KEY), [], "in an argument");
    let directory = stage.mission_dir(id).await;
    let serves = |pid: &i32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == directory);
    let mut servers = processes_with("/opt/sandboxed-sh/bin/mcp-orchestrator");
    servers.retain(|(pid, line)| line.starts_with('/') && serves(pid));
    assert_eq!(servers.len(), 1, "the worker's tools are served: {servers:#?}");
    for (pid, line) in servers {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&environment).contains(KEY), "in the environment of {line}");
    }
    stage.open_gate(&directory.join("gate")).await;
    let record = stage.end(id).await;
    assert_eq!(record.verification.as_ref().unwrap().exit_code, Some(0), "{:?} {record:?}", end_of(&record));
    assert_eq!(stage.request("s/0").await.key, KEY);

    let client = stage.daemon.client();
    let mut answers = serde_json::to_string(&stage.daemon.events(id).await).unwrap();
    for view in ["result", "transcript", "log"] {
        let answer: Value =
            stage.daemon.call(BOSS, "get_worker", json!({"worker_id": id, "view": view})).await;
        answers.push_str(&answer.to_string());
    }
    answers.push_str(&serde_json::to_string(&client.mission(id).await.unwrap()).unwrap());
    answers.push_str(&serde_json::to_string(&client.backends().await.unwrap()).unwrap());
    answers.push_str(&client.diagnostics("claudecode").await.unwrap().to_string());
    assert!(!answers.contains(KEY), "in an answer");
    assert_eq!(files_with(KEY.as_bytes(), stage.daemon.root()), Vec::<String>::new());
    stage.finish().await;
}

/// Regular files below a directory that hold the bytes.
fn files_with(needle: &[u8], directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            found.extend(files_with(needle, &path));
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).unwrap_or_default();
            if bytes.windows(needle.len()).any(|window| window == needle) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}
