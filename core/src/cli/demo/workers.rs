//! The four tasks. Three are honest; one does something else than it was asked to, so that the record shows what a
//! computed verification is for.

use sandboxed_domain::api::{ApiError, WorkerSpec, WorktreeSpec};
use sandboxed_domain::harness::{BackendKind, find};

/// Longest time of a `command` worker in seconds.
const COMMAND_SECONDS: u64 = 120;
/// Longest time of an agent in seconds.
const AGENT_SECONDS: u64 = 900;

/// One task.
#[derive(Debug)]
struct Task {
    /// Also its task key and the last part of its branch.
    name: &'static str,
    title: &'static str,
    /// In words, for an agent.
    prompt: &'static str,
    /// As a sh script, for the backend `command`. `commit MESSAGE` is defined.
    script: &'static str,
    verification: &'static str,
}

/// What a verified worker leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// Its verification passes and its branch is merged.
    Verified,
    /// Its verification fails, on purpose.
    VerificationFailed,
}

const COMMIT: &str = r#"set -eu
commit() {
    git add -A
    git -c user.name="Demo worker" -c user.email=worker@sandboxed-sh.invalid commit -q -m "$1"
    echo "committed: $1"
}
mkdir -p demo
"#;

const TASKS: [Task; 4] = [
    Task {
        name: "inventory",
        title: "List the files",
        prompt: "Create demo/inventory.md: one line `- PATH: N lines` for each tracked file of this repository. Commit it.",
        script: r#"git ls-files | while read -r file; do
    lines=$(wc -l < "$file" || echo 0)
    echo "- $file: $lines lines" | tee -a demo/inventory.md
    sleep 0.2
done
commit "List the files"
"#,
        verification: "grep -q ' lines$' demo/inventory.md && test -z \"$(git status --porcelain)\"",
    },
    Task {
        name: "words",
        title: "Count the words",
        prompt: "Create demo/words.txt: the ten most frequent words of the tracked text files, each as `COUNT WORD`, \
                 most frequent first. Commit it.",
        script: r#"echo "reading files"
sleep 0.7
git ls-files -z | xargs -0 cat | tr -cs '[:alpha:]' '\n' | tr '[:upper:]' '[:lower:]' > /tmp/words.$$
echo "counting $(wc -l < /tmp/words.$$) words"
sleep 0.7
grep . /tmp/words.$$ | sort | uniq -c | sort -rn | head -10 | sed 's/^ *//' > demo/words.txt
rm /tmp/words.$$
commit "Count the words"
"#,
        verification: "grep -qE '^[0-9]+ [[:alpha:]]+$' demo/words.txt && test -z \"$(git status --porcelain)\"",
    },
    Task {
        name: "history",
        title: "Write the history",
        prompt: "Create demo/history.md: one line `* HASH SUBJECT` for each commit of this branch, newest first, at most 20. \
                 Commit it.",
        script: r#"for step in "reading commits" "formatting" "writing"; do
    echo "$step"
    sleep 0.6
done
git log -20 --format='* %h %s' > demo/history.md
commit "Write the history"
"#,
        verification: "grep -q '^\\* ' demo/history.md && test -z \"$(git status --porcelain)\"",
    },
    Task {
        name: "answer",
        title: "Claim without doing",
        prompt: "Create demo/answer.txt with the number 41 in it and commit it. Then say that you are done.",
        script: r#"echo "thinking"
sleep 1
echo 41 > demo/answer.txt
commit "Write the answer"
echo "DONE: demo/answer.txt holds 42"
"#,
        verification: "test \"$(cat demo/answer.txt)\" = 42",
    },
];

/// The branch of a task.
pub(super) fn branch(boss: &str, name: &str) -> String {
    format!("{boss}/{name}")
}

/// What a task must come to.
pub(super) fn expected(name: &str) -> Expected {
    if name == "answer" { Expected::VerificationFailed } else { Expected::Verified }
}

/// The batch for this boss.
///
/// # Errors
/// An unknown backend.
pub(super) fn batch(boss: &str, backend: &str) -> Result<Vec<WorkerSpec>, ApiError> {
    let agent = find(backend)?.capabilities().kind == BackendKind::Agent;
    Ok(TASKS.iter().map(|task| spec(task, boss, backend, agent)).collect())
}

fn spec(task: &Task, boss: &str, backend: &str, agent: bool) -> WorkerSpec {
    WorkerSpec {
        title: task.title.to_owned(),
        prompt: if agent { task.prompt.to_owned() } else { format!("{COMMIT}{}", task.script) },
        backend: backend.to_owned(),
        task_key: Some(task.name.to_owned()),
        model: None,
        effort: None,
        permission_mode: None,
        workspace_id: None,
        isolation: None,
        working_directory: None,
        worktree: Some(WorktreeSpec { repo: None, branch: branch(boss, task.name), base: None }),
        acceptance_criteria: Vec::new(),
        verification_command: Some(task.verification.to_owned()),
        timeout_seconds: Some(if agent { AGENT_SECONDS } else { COMMAND_SECONDS }),
        budget_usd: None,
        env: std::collections::BTreeMap::new(),
        mcps: Vec::new(),
        config_profile: None,
        agent: None,
        command: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use sandboxed_domain::policy::worker_spec;

    use super::*;

    #[test]
    fn every_worker_is_one_that_the_daemon_takes() {
        for backend in sandboxed_domain::harness::registry().iter().map(|harness| harness.id()) {
            for (index, spec) in batch("demo-1", backend).unwrap().iter().enumerate() {
                let value = serde_json::to_value(spec).unwrap();
                assert_eq!(&worker_spec(&value, index).unwrap(), spec);
            }
        }
        assert!(batch("demo-1", "nothing").is_err());
    }

    #[test]
    fn three_scripts_do_what_is_verified_and_one_does_not() {
        for task in &TASKS {
            let dir = tempfile::tempdir().unwrap();
            let repo = dir.path().join("repo");
            crate::git::init_sample(&repo, ("Test", "test@example.org")).unwrap();
            let run =
                |script: &str| Command::new("sh").args(["-c", script]).current_dir(&repo).output().unwrap();
            // Shown progress takes time that a test has not.
            let script = format!("sleep() {{ :; }}\n{COMMIT}{}", task.script);
            let output = run(&script);
            assert!(output.status.success(), "{}: {output:?}", task.name);
            let verified = run(task.verification).status.success();
            assert_eq!(verified, expected(task.name) == Expected::Verified, "{}", task.name);
        }
    }
}
