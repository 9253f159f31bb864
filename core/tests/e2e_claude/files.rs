//! Instructions, settings and wiring are in force, in the mission's own directory only.

use sandboxed_domain::api::EventBody;
use sandboxed_testkit::stub::Step;
use serde_json::{Value, json};

use crate::stage::{Stage, report, worker_with};
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
        "orchestrator-worker: How to work as a worker",
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
async fn a_file_of_ours_that_somebody_changed_is_renewed_with_a_word_and_one_that_is_not_without() {
    let stage = Stage::with([report("DONE", "ok"), Step::text("Done.")]).await;
    let record = stage.run(worker_with("go [[s]]", json!({}))).await;
    let id = record.worker_id;
    let settings = stage.mission_dir(id).await.join(".claude/settings.local.json");
    let ours = std::fs::read_to_string(&settings).unwrap();
    let told = |events: Vec<sandboxed_domain::api::Event>| {
        let of_files = |event: &sandboxed_domain::api::Event| match &event.body {
            EventBody::Error { code, message } if code.starts_with("file_") => {
                Some((code.clone(), message.clone()))
            }
            _ => None,
        };
        events.iter().filter_map(of_files).collect::<Vec<_>>()
    };
    stage.resume(id, "again [[s]]").await;
    assert_eq!(told(stage.daemon.events(id).await), []);
    std::fs::write(&settings, r#"{"permissions": {"allow": ["Bash"]}}"#).unwrap();
    stage.resume(id, "and again [[s]]").await;
    let found = told(stage.daemon.events(id).await);
    let [(code, message)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(code, "file_replaced");
    assert!(message.contains("settings.local.json"), "{message}");
    assert_eq!(std::fs::read_to_string(&settings).unwrap(), ours);
    stage.finish().await;
}
