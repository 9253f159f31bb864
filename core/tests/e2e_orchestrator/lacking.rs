//! A worktree that is not all of its commit: the worker's events say what is lacking, and work beside it is committed.

use std::fs;

use sandboxed_domain::api::EventBody;
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use serde_json::json;

use crate::support::{Daemon, git, script};

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
    oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worktree_lacks_is_told_wherever_it_is_and_work_beside_it_is_committed() {
    let daemon = Daemon::start().await;
    let repo = daemon.repo();
    let inner = repo.join("vendor/inner");
    for directory in [repo.join("deep/er"), inner.clone()] {
        fs::create_dir_all(directory).unwrap();
    }
    fs::write(repo.join("deep/.gitattributes"), "*.bin filter=lfs diff=lfs merge=lfs -text\n").unwrap();
    fs::write(repo.join("deep/er/big.bin"), POINTER).unwrap();
    git(&inner, &["init", "-q"]);
    git(&inner, &["commit", "-q", "--allow-empty", "-m", "Inner"]);
    git(&repo, &["add", "."]);
    git(&repo, &["commit", "-qm", "Third"]);
    let work = "touch deep/er/big.bin && echo x > new.txt && git add -A && \
                git -c user.name=W -c user.email=w@x commit -qm Work && git show --stat --format=%s";
    let mut worker = script("worker", work);
    worker["worktree"] = json!({"branch": "task/one"});
    let record = daemon.run_worker("boss", worker).await;
    assert_eq!((record.status, record.terminal_reason), (S::Completed, Some(R::Done)), "{record:?}");
    let facts = record.git.unwrap();
    assert_eq!((facts.commits_ahead, facts.files_changed, facts.dirty), (1, 1, 0), "{facts:?}");
    let told = daemon.events(record.worker_id).await.into_iter().find_map(|event| match event.body {
        EventBody::Error { code, message } if code == "worktree_incomplete" => Some(message),
        _ => None,
    });
    let told = told.unwrap();
    for words in ["vendor/inner", "deep/er/big.bin", "git-lfs"] {
        assert!(told.contains(words), "{told}");
    }
    daemon.finish().await;
}
