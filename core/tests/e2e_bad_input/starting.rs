//! A daemon that cannot start says once why, names the file or setting, and never answers as if it served.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Daemon, ids, script};

/// Longest time in which a start must have failed.
const FAILS: Duration = Duration::from_secs(20);

/// A directory and a port with nothing at them.
struct Place {
    root: tempfile::TempDir,
    port: u16,
}

impl Place {
    fn new() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { root: tempfile::tempdir().unwrap(), port: free.local_addr().unwrap().port() }
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn serve(&self, args: &[&str], env: &[(&str, &str)]) -> Output {
        serve(&self.data(), self.port, args, env)
    }
}

/// Runs `serve`, which must end by itself, and asserts that nobody answered.
pub fn serve(data: &Path, port: u16, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sandboxed-sh"))
        .arg("serve")
        .args(args)
        .env("SANDBOXED_SH_DATA_DIR", data)
        .env("SANDBOXED_SH_PORT", port.to_string())
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > FAILS {
            child.kill().unwrap();
            panic!("it serves, or hangs: {:?}", child.wait_with_output().unwrap());
        }
        // Between two looks at a child; there is no waiting with a limit in std.
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

/// The start must have failed with this status and these words in one error, without a panic.
#[track_caller]
pub fn refused(output: &Output, status: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert_eq!(said.matches("error:").count(), 1, "said once: {said}");
}

#[test]
fn a_port_in_use_is_named() {
    let place = Place::new();
    let _taken = TcpListener::bind(("127.0.0.1", place.port)).unwrap();
    let output = place.serve(&[], &[]);
    refused(&output, 4, &[&place.port.to_string(), "SANDBOXED_SH_PORT"]);
    assert!(!place.data().join("missions").exists(), "nothing was begun");
}

#[test]
fn a_listener_for_everybody_without_a_token_is_refused() {
    let place = Place::new();
    let output = place.serve(&["--host", "0.0.0.0", "--no-token"], &[]);
    refused(&output, 4, &["0.0.0.0", "--no-token", "SANDBOXED_SH_HOST"]);
    assert!(!place.data().exists());
}

#[test]
fn settings_that_cannot_be_read_are_refused_by_name() {
    let place = Place::new();
    for (name, value) in [
        ("SANDBOXED_SH_PORT", "http"),
        ("SANDBOXED_SH_HOST", "no.such.host"),
        ("SANDBOXED_SH_MAX_PARALLEL", "many"),
        ("SANDBOXED_SH_MAX_PARALLEL", "0"),
    ] {
        refused(&place.serve(&[], &[(name, value)]), 2, &[name]);
    }
    refused(&place.serve(&["--token", "secret-in-argv"], &[]), 2, &["--token"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_data_is_refused_and_the_first_goes_on() {
    let daemon = Daemon::start().await;
    let place = Place::new();
    let output = serve(daemon.data(), place.port, &[], &[]);
    let data = daemon.data().display().to_string();
    refused(&output, 4, &[&data, &daemon.pid().to_string(), "SANDBOXED_SH_DATA_DIR"]);
    assert_eq!(daemon.run("host@host", "echo on").await.status.as_str(), "completed");
    daemon.finish().await;
}

#[test]
fn a_token_file_that_others_may_read_or_that_is_none_is_refused() {
    let place = Place::new();
    fs::create_dir(place.data()).unwrap();
    let token = place.data().join("token");
    let name = token.display().to_string();
    fs::write(&token, "s3cr3t\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    let output = place.serve(&[], &[]);
    refused(&output, 4, &[&name, "chmod 600"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("s3cr3t"));
    fs::write(&token, " \n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    refused(&place.serve(&[], &[]), 2, &[&name, "empty"]);
    fs::remove_file(&token).unwrap();
    fs::create_dir(&token).unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o700)).unwrap();
    refused(&place.serve(&[], &[]), 1, &[&name]);
}

#[test]
fn a_file_where_a_directory_is_needed_is_named() {
    for name in ["", "daemon", "missions", "runs", "workspaces"] {
        let place = Place::new();
        let file = if name.is_empty() { place.data() } else { place.data().join(name) };
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "in the way").unwrap();
        refused(&place.serve(&[], &[]), 1, &[&file.display().to_string(), "SANDBOXED_SH_DATA_DIR"]);
        assert_eq!(fs::read_to_string(&file).unwrap(), "in the way");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_named_and_left_as_it_is() {
    let mut daemon = Daemon::start().await;
    let workers: Vec<_> = (0..20).map(|n| script(&format!("w{n}"), "seq 200")).collect();
    let made = ids(&daemon.create("host@host", json!(workers)).await);
    daemon.wait_all("host@host", &made).await;
    daemon.stop().await;
    let file = daemon.data().join("missions/missions.db");
    let log = fs::metadata(file.with_file_name("missions.db-wal")).map_or(0, |log| log.len());
    assert_eq!(log, 0, "after a stop everything is in the one file");
    let good = fs::read(&file).unwrap();
    for kind in ["truncated", "header", "page", "text"] {
        let mut bad = good.clone();
        match kind {
            "truncated" => bad.truncate(good.len() / 2),
            "header" => bad[..100].fill(b'x'),
            "page" => bad[8192..12288].fill(0xa5),
            _ => bad = b"this is not a database".repeat(1000),
        }
        fs::write(&file, &bad).unwrap();
        let output = serve(daemon.data(), daemon.settings().port, &[], &[]);
        refused(&output, 1, &[&file.display().to_string(), "backup"]);
        assert!(fs::read(&file).unwrap() == bad, "{kind}: the file is left for whoever can mend it");
    }
    fs::write(&file, &good).unwrap();
    daemon.restart().await;
    assert_eq!(daemon.record("host@host", made[0]).await.status.as_str(), "completed");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_damaged_while_it_is_used_is_an_error_of_the_call() {
    let mut daemon = Daemon::start().await;
    let workers: Vec<_> = (0..20).map(|n| script(&format!("w{n}"), "seq 500")).collect();
    let made = ids(&daemon.create("host@host", json!(workers)).await);
    daemon.wait_all("host@host", &made).await;
    // Everything into the one file, so that what is damaged is what is read.
    daemon.stop().await;
    let path = daemon.data().join("missions/missions.db");
    let good = fs::read(&path).unwrap();
    daemon.restart().await;
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&vec![0xa5; good.len() - 8192], 8192).unwrap();
    let http = crate::raw::Http::new(daemon.settings());
    let problem =
        http.get("/api/control/missions").await.problem(500, "database_damaged", Some("missions.db"));
    assert!(problem["hint"].as_str().unwrap().contains("backup"), "{problem}");
    assert_eq!(http.get("/api/health").await.status, 200);
    daemon.kill9();
    for name in ["missions.db-wal", "missions.db-shm"] {
        let _ = fs::remove_file(path.with_file_name(name));
    }
    fs::write(&path, &good).unwrap();
    daemon.restart().await;
    daemon.finish().await;
}
