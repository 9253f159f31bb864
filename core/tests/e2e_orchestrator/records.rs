//! Completion records say what is, not what the worker says.

use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use serde_json::{Value, json};

use crate::support::{Daemon, git, ids};

const COMMIT: &str = "git -c user.name=w -c user.email=w@example.com commit -q";

fn worker(branch: &str, script: &str, check: Option<&str>) -> Value {
    let mut worker =
        json!({"title": branch, "backend": "command", "prompt": script, "worktree": {"branch": branch}});
    if let Some(check) = check {
        worker["verification_command"] = json!(check);
    }
    worker
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_shows_missing_files_failing_checks_and_uncommitted_work_as_they_are() {
    let daemon = Daemon::start().await;
    let workers = json!([
        worker("none", "echo DONE", Some("test -f result.txt")),
        worker("failing", "echo x > result.txt; echo DONE", Some("echo looked; cat result.txt; exit 42")),
        worker(
            "loose",
            "echo a >> README.md; echo b > src/file1.txt; echo c > new.txt; echo d > other.txt",
            None
        ),
        worker(
            "whole",
            &format!("printf '1\\n2\\n' > result.txt; git add .; {COMMIT} -m Result"),
            Some("test -f result.txt")
        ),
        worker(
            "two",
            &format!(
                "rm src/file0.txt; git add -A; {COMMIT} -m One; echo e >> README.md; {COMMIT} -am Two; echo f >> README.md"
            ),
            None
        ),
    ]);
    let all = ids(&daemon.create("boss", workers).await);
    daemon.wait_all("boss", &all).await;
    let base = git(&daemon.repo(), &["rev-parse", "main"]);
    let mut records = Vec::new();
    for id in all {
        records.push(daemon.record("boss", id).await);
    }
    let [none, failing, loose, whole, two] = records.as_slice() else { panic!("five") };
    let end = |n: usize| (records[n].status, records[n].terminal_reason);
    assert_eq!(end(0), (S::Failed, Some(R::VerificationFailed)), "{none:?}");
    assert_eq!(none.verification.as_ref().unwrap().exit_code, Some(1));
    assert_eq!(none.reported.outcome, None, "a command says nothing of itself");
    assert_eq!(end(1), (S::Failed, Some(R::VerificationFailed)), "{failing:?}");
    let check = failing.verification.as_ref().unwrap();
    assert_eq!((check.exit_code, check.output_tail.as_str()), (Some(42), "looked\nx\n"));
    assert_eq!(end(2), (S::Completed, Some(R::Done)), "{loose:?}");
    assert_eq!(end(3), (S::Completed, Some(R::Done)), "{whole:?}");
    assert_eq!(end(4), (S::Completed, Some(R::Done)), "{two:?}");
    // commits, files, insertions, deletions, dirty, untracked
    let table = [(0, 0, 0), (0, 0, 1), (0, 2, 2), (1, 0, 0), (2, 1, 0)];
    for (record, (ahead, dirty, untracked)) in records.iter().zip(table) {
        let facts = record.git.as_ref().unwrap_or_else(|| panic!("{record:?}"));
        assert_eq!(
            (facts.commits_ahead, facts.dirty, facts.untracked),
            (ahead, dirty, untracked),
            "{record:?}"
        );
        assert_eq!(facts.base.as_deref(), Some(base.as_str()));
        assert_eq!(facts.branch.as_deref(), Some(record.title.as_str()));
        assert_eq!(facts.pushed, None, "there is no remote");
        assert_eq!(facts.head, git(&daemon.repo(), &["rev-parse", &record.title]));
    }
    let facts = whole.git.as_ref().unwrap();
    assert_eq!((facts.files_changed, facts.insertions, facts.deletions), (1, 2, 0), "{facts:?}");
    let diff: Value =
        daemon.call("boss", "get_worker", json!({"worker_id": whole.worker_id, "view": "diff"})).await;
    assert!(diff["text"].as_str().unwrap().contains("+++ b/result.txt"), "{diff}");
    daemon.finish().await;
}
