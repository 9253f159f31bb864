//! Images as they are made: what is told of it, and by which way packages come.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::raw::Http;
use crate::support::Daemon;
use crate::terminal::AtTerminal;

pub const SPACES: &str = "/api/workspaces";

/// The command line with nobody at a terminal.
pub fn cli(daemon: &Daemon, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sandboxed-sh"))
        .args(arguments)
        .env("SANDBOXED_SH_DATA_DIR", daemon.data())
        .env("SANDBOXED_SH_API_URL", daemon.settings().endpoint.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub fn template(daemon: &Daemon, name: &str, text: &str) {
    let templates = daemon.data().join("library/templates");
    std::fs::create_dir_all(&templates).unwrap();
    std::fs::write(templates.join(format!("{name}.toml")), text).unwrap();
}

/// Behind a proxy that refuses everything the build soon fails, which is enough to see how far it is.
#[tokio::test(flavor = "multi_thread")]
async fn exec_tells_of_the_image_that_it_waits_for_and_never_among_its_data() {
    let mut daemon = Daemon::start().await;
    let http = Http::new(daemon.settings());
    http.post(SPACES, json!({"name": "plain"})).await.ok();
    http.post(&format!("{SPACES}/plain/start"), json!({})).await.ok();
    let proxy = Proxy::start().await;
    proxy.answer.notify_one();
    daemon.set("http_proxy", &proxy.url());
    daemon.restart().await;
    template(&daemon, "odd", "packages = [\"no-such-package-anywhere\"]\n");
    http.post(SPACES, json!({"name": "odd", "template": "odd"})).await.ok();
    let arguments = ["workspace", "exec", "odd", "--", "echo", "data"];
    let (code, data, shown) = AtTerminal::run(&daemon, &arguments).ends().await;
    assert_eq!((code, data.as_str()), (Some(1), ""), "{shown}");
    assert!(shown.contains("image [") && shown.contains("403"), "{shown}");
    let piped = cli(&daemon, &arguments);
    let stderr = String::from_utf8(piped.stderr).unwrap();
    assert_eq!((piped.status.code(), piped.stdout.len()), (Some(1), 0), "{stderr}");
    assert_eq!(stderr.matches("making the image of odd first").count(), 1, "{stderr}");
    assert!(!stderr.contains('%'), "{stderr}");
    // Of one that is there nothing has to be told.
    let piped = cli(&daemon, &["workspace", "exec", "plain", "--", "echo", "data"]);
    assert_eq!((piped.stdout.as_slice(), piped.stderr.as_slice()), (&b"data\n"[..], &b""[..]));
    daemon.finish().await;
}

/// A proxy that writes down who asks it for what, and refuses all of it; ends when dropped.
pub struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<(String, String)>>>,
    asked: Arc<Notify>,
    /// Answers go out when it is told.
    pub answer: Arc<Notify>,
    serving: tokio::task::AbortHandle,
}

impl Proxy {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, asked, answer) = <(Arc<Mutex<Vec<_>>>, Arc<Notify>, Arc<Notify>)>::default();
        let (log, tell, wait) = (Arc::clone(&seen), Arc::clone(&asked), Arc::clone(&answer));
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (log, tell, wait) = (Arc::clone(&log), Arc::clone(&tell), Arc::clone(&wait));
                tokio::spawn(async move { refuse(stream, &log, &tell, &wait).await });
            }
        });
        Self { address, seen, asked, answer, serving: serving.abort_handle() }
    }

    /// Its address with a password.
    pub fn url(&self) -> String {
        format!("http://apt:{PASSWORD}@{}", self.address)
    }

    /// What was asked for, with the authorization that came along.
    pub fn requests(&self) -> Vec<(String, String)> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub const PASSWORD: &str = "pr0xy-s3cret";

/// One connection: each request is answered once that is allowed. Ends when apt does.
async fn refuse(stream: TcpStream, seen: &Mutex<Vec<(String, String)>>, asked: &Notify, answer: &Notify) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut first, mut authorization) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim().is_empty() => break,
                Ok(_) if first.is_empty() => first = line.trim().to_owned(),
                Ok(_) => {
                    if let Some(value) = line.strip_prefix("Proxy-Authorization: ") {
                        authorization = value.trim().to_owned();
                    }
                }
            }
        }
        seen.lock().unwrap().push((first, authorization));
        asked.notify_one();
        answer.notified().await;
        // The next one need not wait.
        answer.notify_one();
        let refusal = b"HTTP/1.1 403 Not for you\r\nContent-Length: 0\r\n\r\n";
        if stream.write_all(refusal).await.is_err() {
            return;
        }
    }
}

/// Arguments of all processes.
fn arguments_of_all() -> String {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned()).collect()
}

/// Builds behind a proxy that is set in one of two ways; the password is where it has to be only. The template has a
/// name of its own, as all tests of a machine share their images and logs.
async fn is_built_behind(name: &str, set: impl FnOnce(&Proxy, &std::path::Path) -> (&'static str, String)) {
    let proxy = Proxy::start().await;
    let root = tempfile::tempdir().unwrap();
    let (variable, value) = set(&proxy, root.path());
    let daemon = Daemon::start_with(&[(variable, &value)]).await;
    let http = Http::new(daemon.settings());
    template(&daemon, name, "packages = [\"no-such-package-anywhere\", \"hello\"]\n");
    http.post(SPACES, json!({"name": "far", "template": name})).await.ok();
    let building = {
        let client = daemon.client();
        tokio::spawn(async move { client.build_workspace("far", |_| ()).await })
    };
    tokio::time::timeout(Duration::from_secs(120), proxy.asked.notified()).await.unwrap();
    assert!(!arguments_of_all().contains(PASSWORD), "it is among the arguments of a process");
    proxy.answer.notify_one();
    let error = building.await.unwrap().unwrap_err();
    let requests = proxy.requests();
    let basic = format!("Basic {}", STANDARD.encode(format!("apt:{PASSWORD}")));
    assert!(requests.iter().all(|(_, authorization)| *authorization == basic), "{requests:?}");
    assert!(requests.iter().any(|(first, _)| first.starts_with("GET http") && first.contains("/dists/")));

    let view = http.get(&format!("{SPACES}/far")).await.ok();
    let log = std::fs::read_to_string(view["build"]["log"].as_str().unwrap()).unwrap();
    assert!(log.contains("403"), "it came through the proxy: {log}");
    let shown = cli(&daemon, &["workspace", "show", "far"]);
    let again = cli(&daemon, &["workspace", "build", "far"]);
    let all = format!("{error:?} {view} {log} {shown:?} {again:?} {}", daemon.log());
    assert!(!all.contains(PASSWORD) && !all.contains(&basic), "{all}");
    daemon.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_come_through_the_proxy_of_the_environment_and_its_password_shows_nowhere() {
    is_built_behind("far-env", |proxy, _| ("http_proxy", proxy.url())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_come_through_the_proxy_of_the_hosts_apt_and_its_password_shows_nowhere() {
    is_built_behind("far-apt", |proxy, root| {
        let file = root.join("apt.conf");
        std::fs::write(&file, format!("Acquire::http::Proxy \"{}\";\n", proxy.url())).unwrap();
        ("APT_CONFIG", file.display().to_string())
    })
    .await;
}
