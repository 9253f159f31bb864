//! Cleaning up: told first, by outcome and age, and never work that is nowhere else.

use sandboxed_domain::api::{CleanupParams, CleanupResponse};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Daemon, ids, script};

fn of(answer: &CleanupResponse) -> (Vec<Uuid>, Vec<Uuid>) {
    let ids =
        |entries: &[sandboxed_domain::api::CleanupEntry]| entries.iter().map(|e| e.mission_id).collect();
    (ids(&answer.removed), ids(&answer.kept))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_told_and_goes_only_when_asked_and_nothing_is_lost() {
    let daemon = Daemon::start().await;
    let commit = "git add . && git -c user.name=W -c user.email=w@x commit -qm Work";
    let worker = |title: &str, text: &str| {
        let mut worker = script(title, text);
        worker["worktree"] = json!({"branch": format!("task/{title}")});
        worker
    };
    let workers = json!([
        worker("clean", "head -c 500000 /dev/urandom > $HOME/big"),
        worker("dirty", "echo x >> README.md"),
        worker("untracked", "echo x > new.txt"),
        worker("unmerged", &format!("echo x > new.txt; {commit}")),
        worker("failed", "exit 3"),
        script("running", "sleep 300"),
    ]);
    let all = ids(&daemon.create("boss", workers).await);
    daemon.wait_all("boss", &all[..5]).await;

    let ask = async |params: CleanupParams| daemon.client().cleanup(&params).await.unwrap();
    assert_eq!(of(&ask(CleanupParams::default()).await), (vec![], vec![]), "all are younger than a week");
    let now = CleanupParams { completed_days: 0, ..CleanupParams::default() };
    let told = ask(now.clone()).await;
    assert_eq!(of(&told), (vec![all[0]], all[1..4].to_vec()), "{told:#?}");
    assert!(told.bytes >= 500_000 && !told.applied, "{told:#?}");
    for (entry, word) in told.kept.iter().zip(["not committed", "not tracked", "no other branch"]) {
        assert!(entry.kept.as_ref().unwrap().contains(word), "{entry:?}");
    }
    assert_eq!(of(&ask(now.clone()).await), of(&told), "telling changes nothing");

    let worktrees: Vec<_> =
        futures::future::join_all(all[..5].iter().map(|id| daemon.record("boss", *id))).await;
    let done = ask(CleanupParams { apply: true, ..now }).await;
    assert!(done.applied && of(&done) == of(&told), "{done:#?}");
    for (index, record) in worktrees.iter().enumerate() {
        let there = record.working_directory.as_ref().is_some_and(|path| std::path::Path::new(path).exists());
        assert_eq!(there, index != 0, "{record:#?}");
    }
    assert!(daemon.client().mission(all[0]).await.is_err());
    // A failure has a time of its own, and what runs has not ended.
    let rest = ask(CleanupParams { apply: true, failed_days: 0, completed_days: 9 }).await;
    assert_eq!(of(&rest), (vec![all[4]], vec![]), "{rest:#?}");
    assert!(daemon.client().mission(all[5]).await.is_ok());
    daemon.finish().await;
}
