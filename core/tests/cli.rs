//! The real program: usage errors, exit statuses, and what goes to stdout and to stderr.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The program with a data directory, a home and a port of its own.
struct Cli {
    home: tempfile::TempDir,
    port: u16,
}

impl Cli {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { home: tempfile::tempdir().unwrap(), port: listener.local_addr().unwrap().port() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandboxed-sh"));
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home.path())
            .env("SANDBOXED_SH_PORT", self.port.to_string())
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        told(self.command(args).output().unwrap())
    }
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn wrong_usage_is_status_2_and_told_on_stderr() {
    let cli = Cli::new();
    for args in
        [&[][..], &["nothing"], &["mission", "show", "x"], &["workspace", "exec", "w"], &["connect", "x"]]
    {
        let (status, out, err) = cli.run(args);
        assert_eq!((status, out.as_str()), (2, ""), "{args:?}");
        assert!(err.contains("--help") || err.contains("Usage"), "{args:?}: {err}");
    }
}

#[test]
fn help_is_data() {
    let (status, out, err) = Cli::new().run(&["--help"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.contains("Exit status"), "{out}");
}

#[test]
fn a_setting_that_cannot_be_used_is_named() {
    let cli = Cli::new();
    let output = cli.command(&["daemon", "status"]).env("SANDBOXED_SH_PORT", "many").output().unwrap();
    let (status, out, err) = told(output);
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(err.contains("SANDBOXED_SH_PORT"), "{err}");
}

#[test]
fn status_of_no_daemon_is_3_with_json_on_stdout() {
    let cli = Cli::new();
    let (status, out, err) = cli.run(&["daemon", "status", "--json"]);
    assert_eq!((status, err.as_str()), (3, ""));
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&value["running"], &value["port"]), (&Value::Bool(false), &cli.port.into()));
    let (status, out, _) = cli.run(&["daemon", "status"]);
    assert_eq!((status, out.as_str()), (3, "not running\n"));
    assert!(!cli.home.path().join(".sandboxed-sh").exists(), "looking changes nothing");
}

#[test]
fn stopping_no_daemon_is_fine() {
    let (status, out, err) = Cli::new().run(&["daemon", "stop"]);
    assert_eq!((status, out.as_str(), err.as_str()), (0, "", "daemon is not running\n"));
}

#[test]
fn a_token_in_argv_is_refused_and_not_repeated() {
    let cli = Cli::new();
    for verb in [&["serve"][..], &["daemon", "start"]] {
        let (status, _, err) = cli.run(&[verb, &["--token", "s3cr3t"]].concat());
        assert_eq!(status, 2);
        assert!(err.contains("--token-file") && !err.contains("s3cr3t"), "{err}");
    }
}

#[test]
fn an_open_door_to_the_network_is_refused() {
    let (status, _, err) = Cli::new().run(&["serve", "--host", "0.0.0.0", "--no-token"]);
    assert_eq!(status, 4, "{err}");
    assert!(err.contains("without a token"), "{err}");
}

#[test]
fn a_foreign_daemon_that_is_not_there_is_status_3() {
    let cli = Cli::new();
    let url = format!("http://127.0.0.1:{}", cli.port);
    let output = cli.command(&["mission", "list"]).env("SANDBOXED_SH_API_URL", url).output().unwrap();
    let (status, out, err) = told(output);
    assert_eq!((status, out.as_str()), (3, ""), "{err}");
}

#[test]
fn the_demo_refuses_a_backend_that_does_not_exist_before_it_changes_anything() {
    let cli = Cli::new();
    let (status, _, err) = cli.run(&["demo", "--backend", "nothing"]);
    assert_eq!(status, 2, "{err}");
    assert_eq!(std::fs::read_dir(cli.home.path()).unwrap().count(), 0);
}

/// Checks of `doctor --json` by their names, and the exit status.
fn doctor(command: &mut Command) -> (i32, std::collections::BTreeMap<String, Value>) {
    let (status, out, err) = told(command.output().unwrap());
    assert!(out.starts_with('['), "{out}{err}");
    let found: Vec<Value> = serde_json::from_str(&out).unwrap();
    let named = found.into_iter().map(|check| (check["name"].as_str().unwrap().to_owned(), check)).collect();
    (status, named)
}

#[test]
fn doctor_tries_a_whole_sandbox_and_leaves_nothing() {
    let cli = Cli::new();
    let (status, found) = doctor(&mut cli.command(&["doctor", "--json"]));
    for (name, check) in &found {
        let fields: Vec<&str> = check.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["name", "ok", "required", "needed_for", "detail", "mend", "fixable"], "{name}");
        assert_eq!(check["ok"] == true, check["mend"] == "", "{check}");
        let required = ["sandboxes", "daemon"].contains(&check["needed_for"].as_str().unwrap());
        assert_eq!(check["required"], required, "{check}");
        // Its port was free a moment ago.
        let ready = check["ok"] == true || check["required"] == false || name == "daemon";
        assert!(ready, "this machine is ready for tests: {check}");
    }
    assert_eq!(status, i32::from(found["daemon"]["ok"] == false));
    for name in ["sandbox", "network nat", "overlay", "idmapped mounts"] {
        assert_eq!(found[name]["ok"], true, "{}", found[name]);
    }
    let left: Vec<_> = std::fs::read_dir(cli.home.path().join(".sandboxed-sh")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn doctor_names_what_is_missing_with_its_mending_and_tries_nothing_on_top_of_it() {
    let cli = Cli::new();
    let mut command = cli.command(&["doctor", "--json"]);
    let (status, found) = doctor(command.env("SANDBOXED_SH_RUNNER", "/bin/true"));
    assert_eq!(status, 1);
    assert!(found["sandbox-runner"]["detail"].as_str().unwrap().contains("/bin/true"));
    assert_eq!(found["sandbox-runner"]["fixable"], true);
    for name in ["overlay", "pidfd", "sandbox", "network nat"] {
        assert!(found[name]["detail"].as_str().unwrap().starts_with("not tried"), "{}", found[name]);
    }
    // No program of the host at all.
    let empty = tempfile::tempdir().unwrap();
    let (status, found) = doctor(cli.command(&["doctor", "--json"]).env("PATH", empty.path()));
    assert_eq!(status, 1);
    for (name, package) in
        [("systemd-nspawn", "systemd-container"), ("nft", "nftables"), ("pasta", "passt"), ("Xvfb", "xvfb")]
    {
        assert_eq!(found[name]["mend"], format!("apt-get install {package}"), "{}", found[name]);
        assert_eq!(found[name]["fixable"], true);
    }
    // A directory in which nothing can be made.
    let mut command = cli.command(&["doctor", "--json"]);
    let (status, found) = doctor(command.env("SANDBOXED_SH_DATA_DIR", "/proc/none"));
    assert_eq!((status, &found["data directory"]["ok"]), (1, &Value::Bool(false)));
    assert!(!found.contains_key("overlay") || found["overlay"]["ok"] == true, "{:?}", found["overlay"]);
}

/// Starts with a token from stdin, is asked with it, and is stopped.
#[test]
fn a_daemon_is_started_asked_and_stopped() {
    let cli = Cli::new();
    let mut start = cli.command(&["daemon", "start", "--token", "-"]);
    let mut child = start.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"s3cr3t\n").unwrap();
    let (status, _, err) = told(child.wait_with_output().unwrap());
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("daemon started"), "{err}");

    let (status, out, _) = cli.run(&["daemon", "status", "--json"]);
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &value["healthy"], &value["outdated"]), (0, &true.into(), &false.into()));

    let ask = |token: &str, args: &[&str]| {
        told(cli.command(args).env("SANDBOXED_SH_TOKEN", token).output().unwrap())
    };
    let (status, out, err) = ask("s3cr3t", &["workspace", "list", "--json"]);
    assert_eq!((status, err.as_str()), (0, ""), "{err}");
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(listed[0]["kind"], "host");
    assert_eq!(ask("wrong", &["mission", "list"]).0, 4);
    let missing = "018f2d1e-0000-7000-8000-000000000000";
    assert_eq!(ask("s3cr3t", &["mission", "show", missing]).0, 3);
    assert_eq!(ask("s3cr3t", &["workspace", "show", "none"]).0, 3);

    let (status, _, err) = cli.run(&["daemon", "stop"]);
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("daemon stopped"), "{err}");
    assert_eq!(cli.run(&["daemon", "status"]).0, 3);
}
