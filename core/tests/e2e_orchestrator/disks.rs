//! Workspaces that may only take so much of the disk.

use std::fs;
use std::path::Path;

use sandboxed_domain::api::{
    CreateWorkspaceParams, EventBody, ExecParams, ExecResponse, Limits, StorageFolder, WorkspaceView,
    WorkspaceWarningCode as Code,
};
use sandboxed_domain::mission::{MissionStatus as S, TerminalReason as R};
use serde_json::json;

use crate::support::{Daemon, ids, script};

const SMALL: u64 = 64 << 20;

async fn made(daemon: &Daemon, name: &str, disk_bytes: Option<u64>, binds: Vec<String>) -> WorkspaceView {
    let limits = Limits { disk_bytes, ..Limits::default() };
    let params = CreateWorkspaceParams { name: name.to_owned(), limits, binds, ..Default::default() };
    daemon.client().create_workspace(&params).await.unwrap()
}

async fn sh(daemon: &Daemon, workspace: &str, text: &str) -> ExecResponse {
    let argv = ["/bin/sh", "-c", text].map(str::to_owned).into();
    daemon.client().exec(workspace, &ExecParams { argv, ..Default::default() }).await.unwrap()
}

fn codes(view: &WorkspaceView) -> Vec<Code> {
    view.warnings.iter().map(|warning| warning.code).collect()
}

/// How often something is mounted there.
fn mounts(at: &Path) -> usize {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    text.lines().filter(|line| line.split(' ').nth(4) == at.to_str()).count()
}

/// The mounts of the process that keeps a workspace's sandbox.
async fn namespace(daemon: &Daemon, name: &str) -> String {
    let id = daemon.client().workspace(name).await.unwrap().id.simple().to_string();
    let machine = format!("--machine={}{}", daemon.leftovers().machine_prefix(), &id[20..]);
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let is_it = |path: &std::path::PathBuf| {
        let words = fs::read(path.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).split('\0').any(|word| word == machine)
    };
    let outer = processes.into_iter().find(is_it).unwrap();
    fs::read_to_string(outer.join("mountinfo")).unwrap()
}

/// Loop devices over files of the daemon's.
fn loops(daemon: &Daemon) -> Vec<String> {
    let blocks = fs::read_dir("/sys/block").unwrap().flatten();
    let files = blocks.filter_map(|block| fs::read_to_string(block.path().join("loop/backing_file")).ok());
    files.filter(|file| file.contains(daemon.data().to_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fills_the_disk_of_a_workspace_ends_as_such_and_nothing_else_is_full() {
    let mut daemon = Daemon::start().await;
    let small = made(&daemon, "small", Some(SMALL), Vec::new()).await;
    let root = Path::new(&small.root);
    assert_eq!(mounts(root), 1);
    // One that starts now would keep the disk from going, if it took it along.
    made(&daemon, "large", None, Vec::new()).await;
    for name in ["small", "large"] {
        assert_eq!(sh(&daemon, name, "true").await.exit_code, Some(0));
        let kept = namespace(&daemon, name).await.lines().any(|line| line.split(' ').nth(4) == root.to_str());
        assert_eq!(kept, name == "small", "{name}");
    }
    let mut bomb = script("bomb", "exec head -c 200000000 /dev/zero > $HOME/big");
    bomb["workspace_id"] = json!("small");
    let record = daemon.run_worker("boss", bomb).await;
    assert_eq!((record.status, record.terminal_reason), (S::Failed, Some(R::DiskExceeded)), "{record:?}");
    let told = |event: &sandboxed_domain::api::Event| match event.body {
        EventBody::StorageWarning { folder: StorageFolder::Workspace, percent, .. } => Some(percent),
        _ => None,
    };
    let events = daemon.events(record.worker_id).await;
    assert_eq!(events.iter().filter_map(told).next_back(), Some(100), "{events:#?}");
    let view = daemon.client().workspace("small").await.unwrap();
    assert!(view.disk_bytes.unwrap() > SMALL / 2 && view.disk_bytes.unwrap() <= SMALL, "{view:?}");
    assert_eq!(sh(&daemon, "large", "head -c 100000000 /dev/zero > /root/big").await.exit_code, Some(0));
    let clear = format!("rm -f {}/missions/*/big && echo note > /root/note", small.root);
    assert_eq!(sh(&daemon, "small", &clear).await.exit_code, Some(0));
    let layer = sh(&daemon, "small", "head -c 200000000 /dev/zero > /root/big").await;
    assert!(layer.exit_code != Some(0) && layer.stderr.contains("No space left"), "{layer:?}");
    assert_eq!(sh(&daemon, "small", "rm /root/big").await.exit_code, Some(0));

    // Another daemon finds it as it is, and mounts it where it is not.
    daemon.kill9();
    daemon.restart().await;
    assert_eq!((mounts(root), loops(&daemon).len()), (1, 1));
    daemon.client().stop_workspace("small").await.unwrap();
    daemon.stop().await;
    nix::mount::umount(root).unwrap();
    daemon.restart().await;
    assert_eq!(mounts(root), 1);
    assert_eq!(sh(&daemon, "small", "cat /root/note").await.stdout, "note\n");
    daemon.client().destroy_workspace("small").await.unwrap();
    assert_eq!(mounts(root), 0);
    assert!(!root.exists());
    assert!(fs::read_dir(daemon.data().join("disks")).unwrap().next().is_none());
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_of_a_workspace_with_a_disk_has_one_of_its_own() {
    let daemon = Daemon::start().await;
    let repo = daemon.repo().display().to_string();
    let parent = made(&daemon, "parent", Some(SMALL), vec![repo]).await;
    assert_eq!(sh(&daemon, "parent", "echo before > /root/note").await.exit_code, Some(0));
    let mut worker =
        script("fork", "cat /root/note; echo work > new.txt; head -c 200000000 /dev/zero > /root/big");
    worker["isolation"] = json!("fork");
    worker["worktree"] = json!({"branch": "task/fork"});
    let made = ids(&daemon.create("boss@parent", json!([worker])).await);
    daemon.wait_all("boss@parent", &made).await;
    let record = daemon.record("boss@parent", made[0]).await;
    assert_eq!(record.terminal_reason, Some(R::DiskExceeded), "{record:?}");
    assert_eq!(daemon.printed(made[0]).await, "before\n");
    assert_eq!(loops(&daemon).len(), 2);
    assert_eq!(sh(&daemon, "parent", "head -c 10000000 /dev/zero > /root/b").await.exit_code, Some(0));
    fs::remove_file(Path::new(&record.working_directory.unwrap()).join("new.txt")).unwrap();
    daemon.client().delete_mission(made[0]).await.unwrap();
    daemon.client().destroy_workspace("parent").await.unwrap();
    assert_eq!(mounts(Path::new(&parent.root)), 0);
    assert!(fs::read_dir(daemon.data().join("disks")).unwrap().next().is_none());
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_cannot_be_made_is_refused_by_the_name_of_the_field() {
    let daemon = Daemon::start().await;
    for disk_bytes in [1, SMALL - 1, u64::MAX] {
        let limits = Limits { disk_bytes: Some(disk_bytes), ..Limits::default() };
        let params = CreateWorkspaceParams { name: "one".to_owned(), limits, ..Default::default() };
        let error = daemon.client().create_workspace(&params).await.unwrap_err();
        assert_eq!(error.field.as_deref(), Some("limits.disk_bytes"), "{error}");
    }
    assert_eq!(daemon.client().list_workspaces().await.unwrap().len(), 1, "nothing is left of them");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_grows_with_its_template_and_never_shrinks() {
    let daemon = Daemon::start().await;
    let templates = daemon.data().join("library/templates");
    fs::create_dir_all(&templates).unwrap();
    // Goes before the built-in one, with the same packages, so that its image is there.
    let write = |bytes: u64| {
        let text =
            format!("packages: [bash, ca-certificates, git, procps]\nlimits: {{ disk_bytes: {bytes} }}\n");
        fs::write(templates.join("minimal.yaml"), text).unwrap();
    };
    made(&daemon, "plain", None, Vec::new()).await;
    write(SMALL);
    let small = made(&daemon, "small", None, Vec::new()).await;
    made(&daemon, "own", Some(3 * SMALL), Vec::new()).await;
    assert_eq!(sh(&daemon, "small", "echo note > /root/note").await.exit_code, Some(0));
    let fits = "head -c 100000000 /dev/zero > /root/big && cat /root/note";
    assert_ne!(sh(&daemon, "small", fits).await.exit_code, Some(0));
    write(4 * SMALL);
    let built = daemon.client().build_workspace("small", |_| ()).await.unwrap();
    assert_eq!((built.limits.disk_bytes, codes(&built)), (Some(4 * SMALL), Vec::new()));
    daemon.client().stop_workspace("small").await.unwrap();
    assert_eq!(sh(&daemon, "small", fits).await.stdout, "note\n");
    assert_eq!((mounts(Path::new(&small.root)), loops(&daemon).len()), (1, 2));
    write(SMALL);
    for (name, bytes) in [("small", 4 * SMALL), ("own", 3 * SMALL)] {
        let built = daemon.client().build_workspace(name, |_| ()).await.unwrap();
        assert_eq!(built.limits.disk_bytes, Some(bytes), "{name}");
        assert_eq!(codes(&built), [Code::DiskNotShrunk], "{name}");
    }
    let started = daemon.client().start_workspace("small").await.unwrap();
    assert_eq!(codes(&started), [Code::DiskNotShrunk]);
    assert!(started.warnings[0].message.contains(&SMALL.to_string()), "{started:?}");
    let built = daemon.client().build_workspace("plain", |_| ()).await.unwrap();
    assert_eq!((codes(&built), built.limits.disk_bytes), (vec![Code::DiskNotMade], None));
    write(u64::MAX >> 1);
    let error = daemon.client().build_workspace("small", |_| ()).await.unwrap_err();
    assert_eq!(error.field.as_deref(), Some("limits.disk_bytes"), "{error:?}");
    daemon.finish().await;
}
