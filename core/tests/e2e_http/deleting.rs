//! A mission is deleted only when nothing of its work would be lost.

use serde_json::json;

use crate::raw::Http;
use crate::support::{Daemon, git, ids};

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_whose_worktree_holds_work_is_kept_and_said_to_be_where() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    let worker = json!({
        "title": "t", "backend": "command", "worktree": {"branch": "task/keep"},
        "prompt": "echo changed > README.md; echo new > new.txt",
    });
    let made = ids(&daemon.create("boss", json!([worker])).await);
    daemon.wait_all("boss", &made).await;
    let path = format!("/api/control/missions/{}", made[0]);
    let worktree = daemon.record("boss", made[0]).await.working_directory;
    let worktree = std::path::PathBuf::from(worktree.unwrap());
    let refused = async |why: &str| {
        let problem =
            http.delete(&path).await.problem(409, "conflict", Some(&worktree.display().to_string()));
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(why) && detail.contains(&worktree.display().to_string()), "{detail}");
        assert_eq!(http.get(&path).await.status, 200, "the mission stays");
    };
    refused("not committed").await;
    git(&worktree, &["checkout", "-q", "README.md"]);
    refused("not tracked").await;
    assert_eq!(std::fs::read_to_string(worktree.join("new.txt")).unwrap(), "new\n");
    git(&worktree, &["add", "new.txt"]);
    git(&worktree, &["commit", "-qm", "New"]);
    refused("on no other branch").await;
    let workspace = http.get(&path).await.ok()["workspace_id"].as_str().unwrap().to_owned();
    let space = http.delete(&format!("/api/workspaces/{workspace}")).await;
    space.problem(409, "conflict", Some(&worktree.display().to_string()));
    git(&daemon.repo(), &["merge", "-q", "--ff-only", "task/keep"]);
    assert_eq!(http.delete(&path).await.status, 204);
    assert!(!worktree.exists());
    assert!(daemon.repo().join("new.txt").exists());
    http.get(&path).await.problem(404, "not_found", Some("mission_id"));
    assert!(!git(&daemon.repo(), &["worktree", "list"]).contains("sandboxed"), "no entry is left");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_at_work_is_not_deleted() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    let body = json!({"backend": "command", "workspace_id": "host", "prompt": "exec sleep 600"});
    let id = http.post("/api/control/missions", body).await.ok()["id"].as_str().unwrap().to_owned();
    crate::stream::wait_for_status(&daemon, &id, "active").await;
    let path = format!("/api/control/missions/{id}");
    http.delete(&path).await.problem(409, "wrong_state", Some("mission_id"));
    http.post("/api/workspaces/host/stop", json!({})).await.problem(409, "wrong_state", Some("id"));
    http.post(&format!("{path}/cancel"), json!({})).await.ok();
    crate::stream::wait_for_status(&daemon, &id, "cancelled").await;
    http.post(&format!("{path}/cancel"), json!({})).await.problem(409, "wrong_state", Some("mission_id"));
    assert_eq!(http.delete(&path).await.status, 204);
    daemon.finish().await;
}
