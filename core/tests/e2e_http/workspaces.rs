//! Workspaces over HTTP, and commands in a real container.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::raw::Http;
use crate::support::Daemon;

const SPACES: &str = "/api/workspaces";

async fn sh(http: &Http, script: &str) -> Value {
    http.post(&format!("{SPACES}/one/exec"), json!({"argv": ["/bin/sh", "-c", script]})).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_is_made_started_used_stopped_and_destroyed() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    let made = http.post(SPACES, json!({"name": "one"})).await.ok();
    assert_eq!((&made["kind"], &made["state"]), (&json!("container"), &json!("stopped")));
    http.post(SPACES, json!({"name": "one"})).await.problem(409, "conflict", Some("name"));
    http.post(SPACES, json!({"name": "two"})).await.ok();
    let names: Vec<_> =
        http.get(SPACES).await.ok().as_array().unwrap().iter().map(|w| w["name"].clone()).collect();
    assert_eq!(names, ["host", "one", "two"]);
    for name in ["one", "two"] {
        assert_eq!(http.post(&format!("{SPACES}/{name}/start"), json!({})).await.ok()["state"], "ready");
    }
    let one = http.get(&format!("{SPACES}/one")).await.ok();
    assert!(
        one["usage"]["pids"].as_u64().unwrap() >= 1 && one["usage"]["memory_bytes"].as_u64().unwrap() > 0,
        "{one}"
    );
    let before = one["disk_bytes"].as_u64().unwrap();
    assert_eq!(
        sh(&http, "head -c 3000000 /dev/urandom > /root/big; sync; rm -f /none").await["exit_code"],
        0
    );
    let after = http.get(&format!("{SPACES}/one")).await.ok()["disk_bytes"].as_u64().unwrap();
    assert!(after >= before + 3_000_000, "{before} {after}");
    let listed = http.get(SPACES).await.ok();
    let listed = listed.as_array().unwrap().iter().find(|view| view["name"] == "one").unwrap();
    assert!(listed["disk_bytes"].as_u64().unwrap() >= after && listed["state"] == "ready", "{listed}");
    // Each has files of its own, which outlive its sandbox.
    assert_eq!(sh(&http, "echo mine > /root/note").await["exit_code"], 0);
    let other = json!({"argv": ["cat", "/root/note"]});
    assert_eq!(http.post(&format!("{SPACES}/two/exec"), other).await.ok()["exit_code"], 1);
    assert_eq!(http.post(&format!("{SPACES}/one/stop"), json!({})).await.ok()["state"], "stopped");
    assert_eq!(http.get(&format!("{SPACES}/one")).await.ok()["state"], "stopped");
    assert_eq!(sh(&http, "cat /root/note").await["stdout"], "mine\n");
    let root = made["root"].as_str().unwrap().to_owned();
    assert!(std::path::Path::new(&root).is_dir());
    assert_eq!(http.delete(&format!("{SPACES}/one")).await.status, 204);
    assert!(!std::path::Path::new(&root).exists());
    http.get(&format!("{SPACES}/one")).await.problem(404, "unknown_workspace", Some("workspace_id"));
    http.delete(&format!("{SPACES}/host")).await.problem(403, "forbidden", Some("id"));
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_nobody_uses_is_stopped_and_starts_again_with_its_files() {
    let mut daemon = Daemon::start_with(&[("SANDBOXED_SH_IDLE_STOP_SECONDS", "1")]).await;
    let http = Http::new(daemon.settings());
    let id = http.post(SPACES, json!({"name": "one"})).await.ok()["id"].as_str().unwrap().to_owned();
    assert_eq!(
        sh(&http, "echo mine > /root/note; sleep 2").await["exit_code"],
        0,
        "busy for longer is in use"
    );
    stopped(&daemon, &id).await;
    assert_eq!(sh(&http, "cat /root/note").await["stdout"], "mine\n");
    // One that an earlier daemon started is known to the next.
    daemon.restart().await;
    stopped(&daemon, &id).await;
    daemon.finish().await;
}

/// Waits until the sandbox's record is gone, told by the kernel.
async fn stopped(daemon: &Daemon, id: &str) {
    let runs = daemon.data().join("runs").join(id.rsplit('-').next().unwrap());
    let gone = tokio::task::spawn_blocking(move || {
        let mut inotify = inotify::Inotify::init().unwrap();
        inotify.watches().add(&runs, inotify::WatchMask::DELETE).unwrap();
        while runs.join("machine.json").exists() {
            inotify.read_events_blocking(&mut [0; 4096]).unwrap();
        }
    });
    tokio::time::timeout(std::time::Duration::from_secs(60), gone).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_an_image_an_environment_a_network_and_limits() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    let templates = daemon.data().join("library/templates");
    std::fs::create_dir_all(&templates).unwrap();
    let write = |text: &str| std::fs::write(templates.join("greeter.toml"), text).unwrap();
    write(
        "extends = \"minimal\"\npackages = [\"hello\"]\nnetwork = \"none\"\nlimits = { pids = 99 }\n\
         env = { GREETING = \"Hi\" }\ninit_scripts = [\"made\"]\n\
         init_script = \"grep -c : /proc/net/dev > /etc/devices\"\n",
    );
    let scripts = daemon.data().join("library/init-scripts");
    std::fs::create_dir_all(&scripts).unwrap();
    std::fs::write(scripts.join("made.sh"), "#!/bin/sh\nid -u > /etc/made\nexit 0\n").unwrap();
    for name in ["one", "two"] {
        let made = http.post(SPACES, json!({"name": name, "template": "greeter"})).await.ok();
        assert_eq!((&made["network"], &made["limits"]["pids"]), (&json!("none"), &json!(99)), "{made}");
        assert_eq!((&made["template"], &made["image"]), (&json!("greeter"), &Value::Null));
    }
    let said = sh(&http, "hello -g \"$GREETING\"; cat /etc/made /etc/devices; ls /sys/class/net").await;
    assert_eq!(said["stdout"], "Hi\n0\n1\nlo\n", "{said}");
    let image = http.get(&format!("{SPACES}/one")).await.ok()["image"].clone();
    assert!(image.as_str().unwrap().starts_with("greeter-"), "{image}");
    let other = http.post(&format!("{SPACES}/two/start"), json!({})).await.ok();
    assert_eq!(http.get(&format!("{SPACES}/two")).await.ok()["image"], image, "{other}");

    assert_eq!(sh(&http, "echo mine > /root/note").await["exit_code"], 0);

    // A template that changes changes nothing by itself. Built, it is another image, from the next start on, under the
    // same workspace and its files.
    write("extends = \"minimal\"\npackages = [\"hello\"]\n");
    let built = http.post(&format!("{SPACES}/one/build"), json!({})).await;
    let one: Value = serde_json::from_str(built.text.lines().last().unwrap()).unwrap();
    assert!(one["image"] != image && one["build"] == Value::Null, "{}", built.text);
    assert_eq!(
        sh(&http, "cat /etc/made /root/note").await["stdout"],
        "0\nmine\n",
        "what runs goes on as it is"
    );
    http.post(&format!("{SPACES}/one/stop"), json!({})).await.ok();
    let said = sh(&http, "hello -g new; cat /root/note; cat /etc/made").await;
    assert_eq!((&said["stdout"], &said["exit_code"]), (&json!("new\nmine\n"), &json!(1)), "{said}");
    assert_eq!(http.get(&format!("{SPACES}/two")).await.ok()["image"], image, "the other one keeps its own");
    let unknown = json!({"name": "three", "template": "nowhere"});
    http.post(SPACES, unknown).await.problem(400, "invalid_argument", Some("template"));
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_takes_nothing_and_is_an_error_with_its_log_until_one_succeeds() {
    let mut daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    http.post(SPACES, json!({"name": "one"})).await.ok();
    let image = http.post(&format!("{SPACES}/one/start"), json!({})).await.ok()["image"].clone();
    let templates = daemon.data().join("library/templates");
    std::fs::create_dir_all(&templates).unwrap();
    // Goes before the built-in one.
    let minimal = templates.join("minimal.toml");
    std::fs::write(&minimal, "packages = [\"no-such-package-anywhere\"]\n").unwrap();
    let built = http.post(&format!("{SPACES}/one/build"), json!({})).await;
    let last: Value = serde_json::from_str(built.text.lines().last().unwrap()).unwrap();
    assert_eq!(last["code"], "sandbox_failed", "{}", built.text);
    // What runs goes on; the failure is seen all the same, and stays when nothing runs and after a restart.
    let one = http.get(&format!("{SPACES}/one")).await.ok();
    assert_eq!((&one["state"], &one["build"]["state"]), (&json!("ready"), &json!("failed")), "{one}");
    http.post(&format!("{SPACES}/one/stop"), json!({})).await.ok();
    daemon.restart().await;
    let one = http.get(&format!("{SPACES}/one")).await.ok();
    assert_eq!((&one["state"], &one["image"]), (&json!("error"), &image), "{one}");
    assert!(one["detail"].as_str().unwrap().contains("building the image failed"), "{one}");
    let log = std::fs::read_to_string(one["build"]["log"].as_str().unwrap()).unwrap();
    let tail = one["build"]["log_tail"].as_str().unwrap();
    assert!(tail.contains("no-such-package-anywhere") && log.ends_with(tail), "{tail}");
    let listed = http.get(SPACES).await.ok();
    assert_eq!((&listed[1]["state"], &listed[1]["build"]["log_tail"]), (&json!("error"), &Value::Null));
    assert_eq!(sh(&http, "echo still").await["stdout"], "still\n", "it has its image");
    http.post(&format!("{SPACES}/one/stop"), json!({})).await.ok();
    std::fs::remove_file(&minimal).unwrap();
    let built = http.post(&format!("{SPACES}/one/build"), json!({})).await;
    let one: Value = serde_json::from_str(built.text.lines().last().unwrap()).unwrap();
    assert_eq!((&one["build"], &one["state"]), (&Value::Null, &json!("stopped")), "{}", built.text);
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_ends_with_its_daemon_and_leaves_nothing_half_done() {
    let mut daemon = Daemon::start().await;
    // Images of its own, so that there is something to build.
    let images = daemon.data().join("images");
    std::fs::remove_file(&images).unwrap();
    std::fs::create_dir(&images).unwrap();
    let http = Http::new(daemon.settings());
    http.post(SPACES, json!({"name": "one"})).await.ok();
    let client = daemon.client();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let building =
        tokio::spawn(async move { client.build_workspace("one", |step| drop(tell.send(step))).await });
    let step = tokio::time::timeout(std::time::Duration::from_secs(60), told.recv()).await.unwrap().unwrap();
    assert!(step.percent < 100, "{step:?}");
    let one = http.get(&format!("{SPACES}/one")).await.ok();
    assert_eq!((&one["state"], &one["build"]["state"]), (&json!("stopped"), &json!("building")), "{one}");
    let id = one["build"]["image"].as_str().unwrap().to_owned();
    daemon.kill9();
    let error = building.await.unwrap().unwrap_err();
    assert_eq!(error.code, sandboxed_domain::api::ErrorCode::DaemonUnreachable, "{error}");
    let lock = images.join(format!("{id}.lock"));
    ended(&lock).await;
    let left = images.join(format!("{id}.build"));
    let gone = emptied(left.clone());
    daemon.restart().await;
    gone.await;
    assert!(left.join("build.log").exists());
    let one = http.get(&format!("{SPACES}/one")).await.ok();
    assert_eq!(
        (&one["state"], &one["image"], &one["build"]),
        (&json!("stopped"), &Value::Null, &Value::Null)
    );
    // A start builds as well, and whoever looks meanwhile does not wait for it.
    let client = daemon.client();
    let starting = tokio::spawn(async move { client.start_workspace("one").await });
    let begun = async {
        loop {
            let one = http.get(&format!("{SPACES}/one")).await.ok();
            if one["build"]["state"] == "building" {
                break one;
            }
        }
    };
    let one = tokio::time::timeout(std::time::Duration::from_secs(60), begun).await.unwrap();
    assert_eq!((&one["state"], &one["build"]["image"]), (&json!("stopped"), &json!(id)), "{one}");
    daemon.kill9();
    starting.await.unwrap().unwrap_err();
    ended(&lock).await;
    daemon.restart().await;
    // The command for it tells how far it is.
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandboxed-sh"));
    command
        .args(["workspace", "start", "one"])
        .env("SANDBOXED_SH_DATA_DIR", daemon.data())
        .env("SANDBOXED_SH_API_URL", daemon.settings().endpoint.to_string())
        .stderr(Stdio::piped());
    let mut starting = command.spawn().unwrap();
    let mut said = BufReader::new(starting.stderr.take().unwrap()).lines().map(Result::unwrap);
    let told = tokio::task::spawn_blocking(move || said.find(|line| line.starts_with("  image ")));
    let told = tokio::time::timeout(std::time::Duration::from_secs(60), told).await.unwrap().unwrap();
    assert!(told.is_some_and(|line| line.contains(" %  ")), "it ended without a word of its build");
    daemon.kill9();
    assert!(!starting.wait().unwrap().success());
    ended(&lock).await;
    daemon.restart().await;
    daemon.finish().await;
}

/// Waits until no process of a build lives: all of them hold its lock.
async fn ended(lock: &std::path::Path) {
    let lock = std::fs::File::open(lock).unwrap();
    let free = tokio::task::spawn_blocking(move || lock.lock().map(|()| drop(lock)));
    tokio::time::timeout(std::time::Duration::from_secs(60), free).await.unwrap().unwrap().unwrap();
}

/// Waits until no root file system is in the directory of a build, told by the kernel.
async fn emptied(dir: std::path::PathBuf) {
    let gone = tokio::task::spawn_blocking(move || {
        let mut inotify = inotify::Inotify::init().unwrap();
        inotify.watches().add(&dir, inotify::WatchMask::DELETE).unwrap();
        while dir.join("rootfs").exists() {
            inotify.read_events_blocking(&mut [0; 4096]).unwrap();
        }
    });
    tokio::time::timeout(std::time::Duration::from_secs(60), gone).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exec_tells_how_its_command_ended() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    http.post(SPACES, json!({"name": "one"})).await.ok();
    let seen = sh(&http, "cat /proc/self/uid_map; grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status").await;
    let text = seen["stdout"].as_str().unwrap();
    let map: Vec<u64> = text.lines().next().unwrap().split_whitespace().map(|n| n.parse().unwrap()).collect();
    assert!(map[0] == 0 && map[1] >= 65536, "root inside is somebody else outside: {text}");
    assert!(text.contains("NoNewPrivs:\t1") && text.contains("Seccomp:\t2"), "{text}");
    let ended = sh(&http, "echo out; echo err >&2; exit 7").await;
    assert_eq!(
        (&ended["exit_code"], &ended["stdout"], &ended["stderr"]),
        (&json!(7), &json!("out\n"), &json!("err\n"))
    );
    assert_eq!(sh(&http, "kill -9 $$").await["signal"], 9);
    let exec = format!("{SPACES}/one/exec");
    let late = http.post(&exec, json!({"argv": ["sleep", "600"], "timeout_seconds": 1})).await.ok();
    assert_eq!(late["reason"], "timed_out", "{late}");
    let many = sh(&http, "echo begin; head -c 2000000 /dev/zero | tr '\\0' x; echo; echo end").await;
    let text = many["stdout"].as_str().unwrap();
    assert!(text.len() <= 64 << 10, "{}", text.len());
    assert!(text.starts_with("begin\n") && text.ends_with("end\n"));
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exec_that_cannot_start_says_why() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    let exec = format!("{SPACES}/host/exec");
    http.post(&exec, json!({})).await.problem(400, "invalid_argument", Some("argv"));
    http.post(&exec, json!({"argv": [""]})).await.problem(400, "invalid_argument", Some("argv"));
    http.post(&exec, json!({"argv": "ls"})).await.problem(400, "invalid_argument", Some("argv"));
    http.post(&exec, json!({"argv": ["a\u{0}b"]})).await.problem(400, "invalid_argument", Some("argv[0]"));
    http.post(&exec, json!({"argv": ["ls"], "cwd": "rel"})).await.problem(
        400,
        "invalid_argument",
        Some("cwd"),
    );
    http.post(&exec, json!({"argv": ["ls"], "timeout_seconds": 0})).await.problem(
        400,
        "invalid_argument",
        Some("timeout_seconds"),
    );
    http.post(&exec, json!({"argv": ["ls"], "user": "root"})).await.problem(
        400,
        "unknown_field",
        Some("user"),
    );
    for body in [json!({"argv": ["/no/such/program"]}), json!({"argv": ["ls"], "cwd": "/no/such/directory"})]
    {
        let ended = http.post(&exec, body).await.ok();
        assert_eq!(ended["exit_code"], Value::Null, "{ended}");
        assert!(ended["reason"].as_str().is_some_and(|why| why.contains("/no/such")), "{ended}");
    }
    daemon.finish().await;
}
