//! Instructions are in force, in the mission's own directory only; the key is nowhere but in the agent's process: in no
//! file, and in the environment of nothing that the agent starts.

use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use sandboxed_testkit::stub::Step;
use serde_json::json;
use uuid::Uuid;

use crate::agents::{
    Behaviour, Case, Stage, answers, end_of, files_with, processes_of, processes_with, report,
};
use crate::support::git;

pub async fn instructions_are_in_force_and_the_key_is_nowhere(case: &Case) {
    let look = "env | grep sk-test | cut -d= -f1 > $SANDBOXED_SH_MISSION_DIR/given; git status --porcelain --untracked-files=all > /tmp/seen; ls -A >> /tmp/seen; cat /tmp/seen; \
                mkfifo $SANDBOXED_SH_MISSION_DIR/gate; cat $SANDBOXED_SH_MISSION_DIR/gate";
    let stage = Stage::with(case, [Step::bash(look), report("DONE", "ok"), Step::text("Done.")]).await;
    let repo = stage.daemon.repo();
    std::fs::write(repo.join(case.context_file), "The house rule is: marmalade on Sundays.\n").unwrap();
    git(&repo, &["add", "."]);
    git(&repo, &["commit", "-qm", "Rules"]);
    let check = format!("test -f {} && ! env | grep sk-test", case.context_file);
    let more = json!({
        "title": "Paint the shed",
        "worktree": {"branch": "task/shed"},
        "acceptance_criteria": ["the shed is blue"],
        "verification_command": check,
    });
    let id = stage.worker(case.worker_with("go [[s]]", more)).await;
    let gate = stage.made(id, "gate").await;

    // Everything the model was given: our instructions and the user's.
    let request = stage.request("s/0").await;
    assert_eq!(request.key, case.key);
    let body = request.body.to_string();
    for words in ["You are a worker", "Paint the", "the shed is blue", "task/shed", "marmalade on Sundays"] {
        assert!(body.contains(words), "{words:?} is missing in {body}");
    }
    let skill = body.contains("How to work as a worker");
    assert_eq!(skill, !case.differs(Behaviour::Skill));
    let given = std::fs::read_to_string(gate.with_file_name("given")).unwrap();
    assert_eq!(given, "", "keys in the environment of a command");
    while_at_work(case, &stage, id);
    stage.open_gate(&gate).await;
    let record = stage.end(id).await;
    assert_eq!(end_of(&record), (S::Completed, Some(R::Done)), "{record:#?}");
    let facts = record.git.clone().unwrap();
    assert_eq!((facts.dirty, facts.untracked, facts.commits_ahead), (0, 0, 0), "{facts:?}");
    let seen = stage.conversation("s/1").await;
    let listing = [".git", "README.md", "src", case.context_file];
    assert!(listing.iter().all(|name| seen.contains(name)), "{seen}");
    afterwards(case, &stage, id).await;
    stage.finish().await;
}

/// The key while a turn runs: in no argument, no file, and not in the servers that the agent started.
fn while_at_work(case: &Case, stage: &Stage, id: Uuid) {
    assert_eq!(processes_with(case.key), [], "in an argument");
    assert_eq!(files_with(case.key.as_bytes(), stage.daemon.root()), Vec::<String>::new());
    let all = processes_of(id);
    let servers: Vec<_> = all
        .iter()
        .filter(|process| process.line.starts_with("/opt/sandboxed-sh/bin/mcp-orchestrator"))
        .collect();
    assert_eq!(servers.len(), 1, "the worker's tools are served: {all:#?}");
    assert!(!servers[0].environment.contains(case.key), "in the environment of {}", servers[0].line);
}

/// The key afterwards: in no answer, in no file.
async fn afterwards(case: &Case, stage: &Stage, id: Uuid) {
    let answers = answers(stage, case.id, id).await;
    assert!(!answers.contains(case.key), "in an answer");
    assert_eq!(files_with(case.key.as_bytes(), stage.daemon.root()), Vec::<String>::new());
}
