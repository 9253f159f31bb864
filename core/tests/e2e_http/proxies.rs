//! Builds that come to their mirrors by a proxy: one that completes, and what the script of the host's apt says of it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Url;
use sandboxed_core::sandbox::ImageRecipe;
use sandboxed_testkit::forward::{ForwardProxy, Passed};
use serde_json::json;

use crate::images::{PASSWORD, Proxy, SPACES, cli, template};
use crate::raw::Http;
use crate::support::Daemon;

/// A daemon whose host's apt is set up with nothing but these lines for its ways to mirrors, however this machine's is.
async fn behind(apt: &Path, lines: &str) -> Daemon {
    let cleared = "#clear Acquire::http;\n#clear Acquire::https;\n";
    fs::write(apt, format!("{cleared}{lines}")).unwrap();
    let none = ["http_proxy", "https_proxy", "no_proxy"].map(|name| (name, ""));
    let mut env = vec![("APT_CONFIG", apt.to_str().unwrap())];
    env.extend(none);
    Daemon::start_with(&env).await
}

/// The proxy that this machine itself needs.
fn own_proxy() -> Option<Url> {
    let of_apt = || {
        let told = Command::new("apt-config").args(["shell", "P", "Acquire::http::Proxy"]).output().unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        Some(told.trim().strip_prefix("P='")?.strip_suffix('\'')?.to_owned())
    };
    let said = std::env::var("http_proxy").ok().filter(|said| !said.is_empty()).or_else(of_apt)?;
    said.contains("://").then(|| Url::parse(&said).unwrap())
}

/// The files of all packages that are installed in a root file system, as archives name them.
fn installed(rootfs: &Path) -> BTreeSet<String> {
    let status = fs::read_to_string(rootfs.join("var/lib/dpkg/status")).unwrap();
    let file = |stanza: &str| {
        let field =
            |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap();
        let version = field("Version");
        let version = version.split_once(':').map_or(version, |(_, version)| version);
        format!("{}_{version}_{}.deb", field("Package"), field("Architecture"))
    };
    status.split("\n\n").filter(|stanza| !stanza.trim().is_empty()).map(file).collect()
}

/// The names of files that were given. In an address apt writes these two characters otherwise.
fn given(passed: &[Passed]) -> BTreeSet<String> {
    let names =
        passed.iter().filter(|one| one.status == 200).map(|one| one.target.rsplit('/').next().unwrap());
    names.map(|name| name.to_ascii_lowercase().replace("%2b", "+").replace("%7e", "~")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_completes_behind_a_proxy_and_all_that_is_in_the_image_came_through_it() {
    let proxy = ForwardProxy::start(&format!("apt:{PASSWORD}"), own_proxy()).await;
    let root = tempfile::tempdir().unwrap();
    let lines = format!("Acquire::http::Proxy \"{}\";\n", proxy.url());
    let daemon = behind(&root.path().join("apt.conf"), &lines).await;
    // Images of its own, so that none is there already.
    let images = daemon.data().join("images");
    fs::remove_file(&images).unwrap();
    fs::create_dir(&images).unwrap();
    let http = Http::new(daemon.settings());
    template(&daemon, "small", "packages = [\"hello\"]\n");
    http.post(SPACES, json!({"name": "small", "template": "small"})).await.ok();
    daemon.client().build_workspace("small", |_| ()).await.unwrap();
    let said = cli(&daemon, &["workspace", "exec", "small", "--", "hello"]);
    assert_eq!(String::from_utf8_lossy(&said.stdout), "Hello, world!\n", "{said:?}");

    let passed = proxy.passed();
    let made: Vec<PathBuf> = fs::read_dir(&images).unwrap().flatten().map(|entry| entry.path()).collect();
    let rootfs = made.iter().map(|image| image.join("rootfs")).find(|rootfs| rootfs.is_dir()).unwrap();
    let mirrors = ImageRecipe::minimal().unwrap().mirrors;
    let tunnelled = mirrors.iter().any(|mirror| mirror.contains("https://"));
    if tunnelled {
        // Of what is in a tunnel only its end is seen.
        assert!(passed.iter().any(|one| one.method == "CONNECT" && one.status == 200), "{passed:?}");
    } else {
        let (installed, given) = (installed(&rootfs), given(&passed));
        assert!(installed.iter().any(|file| file.starts_with("hello_")), "{installed:?}");
        let around: Vec<_> =
            installed.iter().filter(|file| !given.contains(&file.to_ascii_lowercase())).collect();
        assert!(around.is_empty(), "these came around the proxy: {around:?} of {installed:?}; {given:?}");
        let lists = passed.iter().filter(|one| one.status == 200 && one.target.ends_with("/InRelease"));
        assert_eq!(lists.count(), mirrors.len(), "{passed:?}");
    }
    assert!(passed.iter().all(|one| one.status != 407), "{passed:?}");
    daemon.finish().await;
}

/// A script beside the configuration, where the user that apt runs it as may look.
fn detector(text: &str) -> (tempfile::TempDir, String) {
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let script = root.path().join("detect");
    fs::write(&script, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let script = script.display().to_string();
    (root, script)
}

async fn build_error(daemon: &Daemon, name: &str) -> String {
    let http = Http::new(daemon.settings());
    template(daemon, name, "packages = [\"no-such-package-anywhere\", \"hello\"]\n");
    http.post(SPACES, json!({"name": name, "template": name})).await.ok();
    let error = daemon.client().build_workspace(name, |_| ()).await.unwrap_err();
    let view = http.get(&format!("{SPACES}/{name}")).await.ok();
    let log = fs::read_to_string(view["build"]["log"].as_str().unwrap()).unwrap();
    let shown = format!("{error:?} {view} {log} {}", daemon.log());
    assert!(!shown.contains(PASSWORD), "{shown}");
    error.message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_asks_the_script_of_the_hosts_apt_for_the_proxy_of_its_mirrors() {
    let proxy = Proxy::start().await;
    proxy.answer.notify_one();
    let host = "case $1 in *://*/dists/*/InRelease) ;; *) exit 1;; esac";
    let (root, script) = detector(&format!("{host}; echo {}", proxy.url()));
    for (name, option) in [("far-script", "Proxy-Auto-Detect"), ("far-old-script", "ProxyAutoDetect")] {
        let lines = ["http", "https"].map(|scheme| format!("Acquire::{scheme}::{option} \"{script}\";\n"));
        let daemon = behind(&root.path().join("apt.conf"), &lines.concat()).await;
        let before = proxy.requests().len();
        build_error(&daemon, name).await;
        let asked = proxy.requests().split_off(before);
        assert!(!asked.is_empty(), "{option}: the build has not asked the proxy");
        daemon.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_fails_ends_the_build_before_anything_is_fetched_and_says_so() {
    let (root, script) =
        detector(&format!("echo http://apt:{PASSWORD}@127.0.0.1:9 | tee /dev/stderr; exit 1"));
    let lines =
        ["http", "https"].map(|scheme| format!("Acquire::{scheme}::Proxy-Auto-Detect \"{script}\";\n"));
    let daemon = behind(&root.path().join("apt.conf"), &lines.concat()).await;
    let message = build_error(&daemon, "far-no-script").await;
    assert!(message.contains("asking for the proxy") && message.contains("ProxyAutoDetect"), "{message}");
    daemon.finish().await;
}
