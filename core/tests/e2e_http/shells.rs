//! A shell in a workspace: keys in, screen out, and its end with whoever watched it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sandboxed_domain::api::{ErrorCode, ShellEvent, ShellInput, ShellParams};
use serde_json::json;
use tokio::sync::watch;

use crate::raw::Http;
use crate::support::Daemon;

/// A shell that is being read: what it showed, its id, and how it ended.
struct Open {
    shown: watch::Receiver<String>,
    run: Arc<Mutex<Option<String>>>,
    reading: tokio::task::JoinHandle<Option<(Option<i32>, Option<i32>)>>,
}

impl Open {
    fn new(daemon: &Daemon, params: ShellParams) -> Self {
        let (show, shown) = watch::channel(String::new());
        let run = Arc::new(Mutex::new(None));
        let (client, started) = (daemon.client(), Arc::clone(&run));
        let reading = tokio::spawn(async move {
            let mut end = None;
            let read = client.shell("one", &params, |event| {
                match event {
                    ShellEvent::Started { run_id } => *started.lock().unwrap() = Some(run_id),
                    ShellEvent::Output { data } => {
                        let bytes = STANDARD.decode(data).unwrap();
                        show.send_modify(|text| text.push_str(&String::from_utf8_lossy(&bytes)));
                    }
                    ShellEvent::Ended { exit_code, signal, .. } => end = Some((exit_code, signal)),
                }
                Ok(())
            });
            read.await.unwrap();
            end
        });
        Self { shown, run, reading }
    }

    async fn shows(&mut self, words: &str) -> String {
        let seen = self.shown.wait_for(|text| text.contains(words));
        tokio::time::timeout(Duration::from_secs(60), seen).await.unwrap().unwrap().clone()
    }

    fn run(&self) -> String {
        self.run.lock().unwrap().clone().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_is_a_terminal_with_a_size_and_ends_with_its_status() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    http.post("/api/workspaces", json!({"name": "one"})).await.ok();
    let params =
        ShellParams { rows: Some(33), cols: Some(99), term: Some("vt100".into()), ..Default::default() };
    let mut shell = Open::new(&daemon, params);
    let client = daemon.client();
    let type_in = async |run: &str, data: &str| {
        client.shell_input("one", run, &ShellInput { data: data.to_owned(), ..Default::default() }).await
    };
    shell.shows("#").await;
    let run = shell.run();
    type_in(&run, "stty size; echo kind=$TERM; test -t 0 && test -t 1 && echo a-term''inal; id -u\n")
        .await
        .unwrap();
    let shown = shell.shows("a-terminal\r\n0\r\n").await;
    assert!(shown.contains("33 99\r\n") && shown.contains("kind=vt100\r\n"), "{shown}");
    let size = ShellInput { rows: Some(12), cols: Some(34), ..Default::default() };
    client.shell_input("one", &run, &size).await.unwrap();
    type_in(&run, "stty size; echo é\n").await.unwrap();
    shell.shows("12 34\r\né\r\n").await;
    // The key that interrupts does. What says that it has begun is what is interrupted: between two commands the key
    // would reach neither.
    type_in(&run, "sh -c \"echo be''gun; exec sleep 600\"\n").await.unwrap();
    shell.shows("begun\r\n").await;
    type_in(&run, "\u{3}").await.unwrap();
    type_in(&run, "exit 7\n").await.unwrap();
    assert_eq!(shell.reading.await.unwrap(), Some((Some(7), None)));
    let error = type_in(&run, "x").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound, "{error:?}");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_nobody_watches_ends_and_what_it_showed_is_not_kept() {
    let daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    http.post("/api/workspaces", json!({"name": "one"})).await.ok();
    let argv = ["sh", "-c", "trap '' HUP TERM; echo canary-shown; exec sleep 600"].map(str::to_owned).into();
    let mut shell = Open::new(&daemon, ShellParams { argv, ..Default::default() });
    shell.shows("canary-shown").await;
    let runs = std::path::PathBuf::from(http.get("/api/workspaces/one").await.ok()["root"].as_str().unwrap());
    let runs = daemon.data().join("runs").join(runs.file_name().unwrap()).join("control/runs");
    let directory = runs.join(shell.run());
    assert!(std::fs::read_to_string(directory.join("stdout.log")).unwrap().contains("canary"));
    let gone = tokio::task::spawn_blocking(move || {
        let mut inotify = inotify::Inotify::init().unwrap();
        inotify.watches().add(&runs, inotify::WatchMask::DELETE).unwrap();
        while directory.exists() {
            inotify.read_events_blocking(&mut [0; 4096]).unwrap();
        }
    });
    assert_eq!(http.get("/api/workspaces/one").await.ok()["state"], "busy");
    shell.reading.abort();
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap().unwrap();
    let seen = json!({"argv": ["sh", "-c", "cat /proc/[0-9]*/comm"]});
    let seen = http.post("/api/workspaces/one/exec", seen).await.ok();
    assert!(!seen["stdout"].as_str().unwrap().contains("sleep"), "{seen}");
    let nowhere = ShellParams { cwd: Some("relative".into()), ..Default::default() };
    let refused = daemon.client().shell("one", &nowhere, |_| Ok(())).await.unwrap_err();
    assert_eq!((refused.code, refused.field.as_deref()), (ErrorCode::InvalidArgument, Some("cwd")));
    daemon.finish().await;
}
