//! workspace-mcp: files edited, a job run and talked to, a picture seen, the work verified.

use base64::Engine as _;
use sandboxed_testkit::stub::Step;
use serde_json::{Value, json};

use crate::client::{Client, program};

/// Claude Code keeps the name `workspace` for itself and would not load it.
const SERVER: &str = "workspace-mcp";

/// A picture of 64×64 points, half red and half blue.
const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAT0lEQVR42u3PsQkAAAzDsPz/dHpCp2wCzwalybTxvgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+Dq47PDiz8p6GQAAAABJRU5ErkJggg==";

fn tool(name: &str, input: Value) -> Step {
    Step::mcp(SERVER, name, input)
}

fn steps() -> Vec<Step> {
    let edits = json!([{"old_string": "two", "new_string": "2"}]);
    vec![
        tool("write_file", json!({"path": "notes.txt", "content": "one\ntwo\n"})),
        tool("edit_file", json!({"path": "notes.txt", "edits": edits})),
        tool("edit_file", json!({"path": "notes.txt", "edits": edits})),
        tool("run_command", json!({"command": "cat notes.txt; echo why >&2; exit 3"})),
        tool("run_command", json!({"command": "read x; echo got $x", "input": "pipe", "yield_seconds": 0})),
        tool("list_jobs", json!({"running": true})),
        tool(
            "send_input",
            json!({"job_id": "{{last:/jobs/0/job_id}}", "text": "a line\n", "wait_seconds": 60}),
        ),
        tool("read_file", json!({"path": "picture.png"})),
        tool("git_status", json!({})),
        tool("fetch_url", json!({"url": "http://127.0.0.1:1/"})),
        Step::text("All of it is done."),
    ]
}

async fn works_with(client: Client) {
    let prepare = |dir: &std::path::Path| {
        let picture = base64::engine::general_purpose::STANDARD.decode(PICTURE).unwrap();
        std::fs::write(dir.join("picture.png"), picture).unwrap();
        let made =
            std::process::Command::new("git").args(["init", "-q", "-b", "main"]).current_dir(dir).status();
        assert!(made.unwrap().success());
    };
    let session = client.session(SERVER, &program("workspace-mcp"), prepare, steps()).await;
    assert_eq!(session.file("notes.txt"), "one\n2\n");
    let texts = session.texts();
    assert_eq!(texts.len(), 10, "{texts:#?}");
    for (index, words) in [
        (0, "\"created\":true"),
        (1, "\"replacements\":1"),
        (2, "text_not_found"),
        (3, "one\n2\nwhy\n"),
        (3, "exit code 3 after"),
        (4, "still running after 0 s as job"),
        (6, "got a line\n"),
        (6, "exit code 0 after"),
        (8, "?? notes.txt\n"),
        (9, "address_refused"),
    ] {
        assert!(texts[index].contains(words), "{client:?} {index}: {words}: {}", texts[index]);
    }
    assert!(texts[7].contains(PICTURE), "the model sees the picture: {}", texts[7]);
}

#[tokio::test]
async fn claude_code_works_in_a_workspace() {
    works_with(Client::Claude).await;
}

#[tokio::test]
async fn codex_works_in_a_workspace() {
    works_with(Client::Codex).await;
}
