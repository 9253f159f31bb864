//! A data directory on a disk that is full or read-only. The disk is a small tmpfs of the test's own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use sandboxed_domain::api::{ErrorCode, EventBody};
use sandboxed_domain::mission::MissionStatus;
use serde_json::{Value, json};

use crate::calls::wait_for;
use crate::raw::Http;
use crate::support::{Daemon, git, ids, script};

/// A tmpfs over the daemon's data directory.
struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Puts a disk of 24 MiB under a stopped daemon, with what was in its data directory.
    fn under(data: &Path) -> Self {
        let aside = data.with_file_name("aside");
        fs::rename(data, &aside).unwrap();
        fs::create_dir(data).unwrap();
        mount(Some("tmpfs"), data, Some("tmpfs"), MsFlags::empty(), Some("size=24m,mode=0700")).unwrap();
        let from = format!("{}/.", aside.display());
        assert!(Command::new("cp").arg("-a").arg(from).arg(data).status().unwrap().success());
        fs::remove_dir_all(aside).unwrap();
        Self { at: data.to_owned() }
    }

    /// Leaves not one byte.
    fn fill(&self) {
        let mut file = fs::File::create(self.at.join("filler")).unwrap();
        let piece = vec![0_u8; 4096];
        while file.write_all(&piece).is_ok() {}
        while file.write_all(&piece[..1]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.at.join("filler")).unwrap();
    }

    fn remount(&self, flags: MsFlags) {
        mount(None::<&str>, &self.at, None::<&str>, MsFlags::MS_REMOUNT | flags, None::<&str>).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a failed test may still hold files of it.
        let _ = umount2(&self.at, MntFlags::MNT_DETACH);
    }
}

/// A small disk with a daemon that serves,
/// in this order, so that a failed test ends the daemon before its disk goes.
async fn on_small_disk() -> (Disk, Daemon) {
    let mut daemon = Daemon::start().await;
    daemon.stop().await;
    let disk = Disk::under(daemon.data());
    daemon.restart().await;
    (disk, daemon)
}

/// Ends the daemon, then takes its disk away, then asserts that nothing is left.
async fn finish(daemon: Daemon, disk: Disk) {
    daemon.finish_after(|| drop(disk)).await;
}

fn sound(daemon: &Daemon) -> String {
    let database = rusqlite::Connection::open(daemon.data().join("missions/missions.db")).unwrap();
    database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_calls_are_refused_work_goes_on_and_nothing_is_half_done() {
    let (disk, mut daemon) = on_small_disk().await;
    let go = daemon.repo().join("go");
    let waits = format!("echo begun; until [ -e {} ]; do sleep 0.02; done; seq 2000; exit 5", go.display());
    let running = ids(&daemon.create("boss@host", json!([script("runs", &waits)])).await);
    wait_for(&daemon, running[0], |body| matches!(body, EventBody::TextDelta { .. })).await;
    disk.fill();
    // What cannot be written down is refused, wholly.
    let entry =
        json!({"title": "t", "backend": "command", "prompt": "true", "worktree": {"branch": "task/x"}});
    let refused = daemon.tool("boss@host", "batch_create_workers", json!({"workers": [entry]})).await;
    let error = refused.unwrap_err();
    assert_eq!(error.code, ErrorCode::DiskFull, "{error}");
    assert!(error.field.is_some() && error.hint.contains("free space"), "{error}");
    let http = Http::new(daemon.settings());
    let problem = http.post("/api/workspaces", json!({"name": "one"})).await;
    problem.problem(507, "disk_full", Some(&error.field.unwrap()));
    // Reading works, and a run that ends now is not forgotten.
    let listed: Value = daemon.call("boss@host", "list_workers", json!({})).await;
    assert_eq!(listed["workers"].as_array().unwrap().len(), 1);
    assert!(!git(&daemon.repo(), &["branch", "-a"]).contains("task/x"));
    fs::write(&go, "").unwrap();
    daemon.kill9();
    disk.free();
    daemon.restart().await;
    daemon.wait_all("boss@host", &running).await;
    let record = daemon.record("boss@host", running[0]).await;
    assert!(record.status.is_ended(), "{record:?}");
    let again = daemon.create("boss@host", json!([entry])).await;
    assert_eq!(again.created, 1, "{again:?}");
    daemon.wait_all("boss@host", &ids(&again)).await;
    assert_eq!(sound(&daemon), "ok");
    finish(daemon, disk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_on_a_full_disk_has_its_true_end_once_there_is_space() {
    let (disk, daemon) = on_small_disk().await;
    let go = daemon.repo().join("go");
    let waits = format!("echo begun; until [ -e {} ]; do sleep 0.02; done; exit 5", go.display());
    let running = ids(&daemon.create("boss@host", json!([script("runs", &waits)])).await);
    wait_for(&daemon, running[0], |body| matches!(body, EventBody::TextDelta { .. })).await;
    disk.fill();
    fs::write(&go, "").unwrap();
    let early = json!({"worker_ids": running, "timeout_seconds": 2});
    let waited: Value = daemon.call("boss@host", "wait_for_any_worker", early).await;
    assert_eq!(waited["status"], "timeout", "its end cannot be written yet: {waited}");
    disk.free();
    daemon.wait_all("boss@host", &running).await;
    let record = daemon.record("boss@host", running[0]).await;
    assert_eq!(record.status, MissionStatus::Failed, "{record:?}");
    assert_eq!(daemon.printed(running[0]).await, "begun\n");
    assert_eq!(sound(&daemon), "ok");
    finish(daemon, disk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_does_not_start_on_a_full_or_read_only_disk_and_says_why() {
    let (disk, mut daemon) = on_small_disk().await;
    let record = daemon.run("boss@host", "echo hi").await;
    Http::new(daemon.settings()).post("/api/workspaces/host/stop", json!({})).await.ok();
    daemon.stop().await;
    let data = daemon.data().to_owned();
    disk.remount(MsFlags::MS_RDONLY);
    let output = crate::starting::serve(&data, daemon.settings().port, &[], &[]);
    crate::starting::refused(&output, 1, &[&data.display().to_string(), "writable", "SANDBOXED_SH_DATA_DIR"]);
    disk.remount(MsFlags::empty());
    disk.fill();
    let output = crate::starting::serve(&data, daemon.settings().port, &[], &[]);
    crate::starting::refused(&output, 1, &[&data.display().to_string(), "space"]);
    disk.free();
    daemon.restart().await;
    assert_eq!(daemon.record("boss@host", record.worker_id).await.status, MissionStatus::Completed);
    finish(daemon, disk).await;
}
