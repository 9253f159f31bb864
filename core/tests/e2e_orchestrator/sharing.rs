//! Folders that people and workers share: who sees and writes what, and what becomes of one that is filled.

use std::fs;
use std::path::{Path, PathBuf};

use sandboxed_domain::api::{
    CompletionRecord, CreateWorkspaceParams, EventBody, LayoutResponse, StorageFolder,
};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Daemon, ids, script};

/// The inbox of a workspace on this machine.
async fn inbox(daemon: &Daemon, workspace: &str) -> PathBuf {
    PathBuf::from(daemon.client().workspace(workspace).await.unwrap().inbox)
}

async fn named(daemon: &Daemon, name: &str) -> PathBuf {
    let params = CreateWorkspaceParams { name: name.to_owned(), ..Default::default() };
    daemon.client().create_workspace(&params).await.unwrap();
    inbox(daemon, name).await
}

/// A script in a workspace of its own choice, to its end.
async fn run_in(daemon: &Daemon, workspace: &str, text: &str) -> CompletionRecord {
    let mut worker = script("worker", text);
    worker["workspace_id"] = json!(workspace);
    daemon.run_worker("boss", worker).await
}

/// Percentages that a mission was told of a folder, in order.
async fn warnings(daemon: &Daemon, mission: Uuid, of: StorageFolder) -> Vec<u8> {
    let told = |event: sandboxed_domain::api::Event| match event.body {
        EventBody::StorageWarning { folder, percent, .. } if folder == of => Some(percent),
        _ => None,
    };
    daemon.events(mission).await.into_iter().filter_map(told).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_pass_between_people_and_workers_and_the_global_folder_is_read_only() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let layout: LayoutResponse = daemon.call("boss", "get_workspace_layout", json!({})).await;
    assert_eq!((&*layout.shared.global, &*layout.shared.inbox), ("/mnt/global", "/mnt/inbox"));
    let (own, other) = (layout.workspace.id.to_string(), named(&daemon, "other").await);
    let folder = inbox(&daemon, &own).await;
    fs::write(daemon.data().join("global/rules"), "be brief\n").unwrap();
    fs::write(folder.join("in"), "from a person\n").unwrap();
    let record = daemon
        .run(
            "boss",
            "cat $SANDBOXED_SH_GLOBAL_DIR/rules $SANDBOXED_SH_INBOX_DIR/in; echo from a worker > /mnt/inbox/out\n\
             touch /mnt/global/x 2>/dev/null || echo refused; rm -f /mnt/global/rules 2>/dev/null || echo kept",
        )
        .await;
    assert_eq!(record.status, S::Completed, "{record:?}");
    let printed = daemon.printed(record.worker_id).await;
    assert_eq!(printed, "be brief\nfrom a person\nrefused\nkept\n");
    assert_eq!(fs::read_to_string(folder.join("out")).unwrap(), "from a worker\n");
    let elsewhere = run_in(&daemon, "other", "ls /mnt/inbox; cat /mnt/global/rules").await;
    assert_eq!(daemon.printed(elsewhere.worker_id).await, "be brief\n", "each has an inbox of its own");

    // What is there outlives the sandbox and another image, and goes with the workspace.
    client.stop_workspace(&own).await.unwrap();
    client.build_workspace(&own, |_| ()).await.unwrap();
    let again = daemon.run("boss", "cat /mnt/inbox/out").await;
    assert_eq!(daemon.printed(again.worker_id).await, "from a worker\n");
    // A worker of the host sees both by the same variables.
    let host =
        run_in(&daemon, "host", "echo $SANDBOXED_SH_GLOBAL_DIR; cd $SANDBOXED_SH_INBOX_DIR && pwd").await;
    let places = [daemon.data().join("global"), daemon.data().join("workspaces/host/inbox")];
    let lines: String = places.iter().map(|path| format!("{}\n", path.display())).collect();
    assert_eq!(daemon.printed(host.worker_id).await, lines);
    client.stop_workspace("other").await.unwrap();
    client.delete_workspace("other").await.unwrap();
    assert!(!other.exists() && folder.join("out").exists());
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fills_the_inbox_is_warned_and_ends_and_its_neighbour_goes_on() {
    let daemon = Daemon::start_with(&[("SANDBOXED_SH_INBOX_QUOTA_BYTES", "4194304")]).await;
    let folder = named(&daemon, "shared").await;
    let go = folder.join("go");
    let mut waits = script(
        "neighbour",
        "echo begun; until [ -e /mnt/inbox/go ]; do sleep 0.05; done; cat /mnt/inbox/big | wc -c",
    );
    waits["workspace_id"] = json!("shared");
    let neighbour = ids(&daemon.create("boss", json!([waits])).await)[0];
    for (bytes, level) in [(3_000_000, None), (500_000, Some(80)), (600_000, Some(95))] {
        let record = run_in(&daemon, "shared", &format!("head -c {bytes} /dev/zero >> /mnt/inbox/big")).await;
        assert_eq!(record.status, S::Completed, "{record:?}");
        let told = warnings(&daemon, record.worker_id, StorageFolder::Inbox).await;
        // One that finds it near its end is told of that first, if it lives long enough to be.
        assert_eq!(told.last().copied(), level, "{told:?}");
    }
    let bomb = run_in(&daemon, "shared", "exec cat /dev/zero >> /mnt/inbox/big").await;
    assert_eq!((bomb.status, bomb.terminal_reason), (S::Failed, Some(R::DiskExceeded)), "{bomb:?}");
    assert_eq!(warnings(&daemon, bomb.worker_id, StorageFolder::Inbox).await.last(), Some(&100));
    let metrics = daemon.client().metrics().await.unwrap();
    let used = "sandboxed_sh_shared_folder_used_bytes{folder=\"inbox\",workspace=\"shared\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(used)).unwrap();
    assert!(line.parse::<u64>().unwrap() >= 4_194_304, "{line}");

    // Many small files end the same way.
    named(&daemon, "small").await;
    let many = "i=0; while :; do echo x > /mnt/inbox/$i; i=$((i+1)); done";
    let bomb = run_in(&daemon, "small", many).await;
    assert_eq!((bomb.status, bomb.terminal_reason), (S::Failed, Some(R::DiskExceeded)), "{bomb:?}");

    fs::write(&go, "").unwrap();
    daemon.wait_all("boss", &[neighbour]).await;
    let record = daemon.record("boss", neighbour).await;
    assert_eq!(record.status, S::Completed, "who only reads goes on: {record:?}");
    let read = daemon.printed(neighbour).await;
    assert_eq!(read, format!("begun\n{}\n", size(&folder.join("big"))));
    daemon.finish().await;
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_global_folder_that_is_too_full_is_told_to_those_who_start() {
    let daemon = Daemon::start_with(&[("SANDBOXED_SH_GLOBAL_QUOTA_BYTES", "1048576")]).await;
    let before = run_in(&daemon, "host", "true").await;
    assert!(warnings(&daemon, before.worker_id, StorageFolder::Global).await.is_empty());
    fs::write(daemon.data().join("global/big"), vec![1; 2 << 20]).unwrap();
    let daemon = restarted(daemon).await;
    let after = run_in(&daemon, "host", "true").await;
    assert_eq!(after.status, S::Completed, "{after:?}");
    assert_eq!(warnings(&daemon, after.worker_id, StorageFolder::Global).await, [100]);
    daemon.finish().await;
}

/// The next daemon looks anew.
async fn restarted(mut daemon: Daemon) -> Daemon {
    daemon.restart().await;
    daemon
}
