//! `fetch_url` of workspace-mcp inside sandboxes: it reaches what the network lets it reach, and no more.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sandboxed_core::sandbox::network::proxy_env;
use sandboxed_core::sandbox::{RunRequest, Sandbox};
use sandboxed_domain::sandbox::{Bind, IdMap, Network};
use serde_json::Value;

use crate::internet::{self, HOST, PRIVATE, PUBLIC};
use crate::network::rules;
use crate::support::{Place, finish, script};

/// Asks the server for each address, one after the other, and prints its answers.
const ASK: &str = r#"coproc SERVER { /opt/inside/workspace-mcp --root /root --state-dir /tmp/state; }
exec 3>&"${SERVER[1]}" 4<&"${SERVER[0]}"
answer() { while read -r line <&4; do case $line in *'"id":'*) printf '%s\n' "$line"; return ;; esac; done; }
printf '%s\n' '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}' >&3
answer >/dev/null
printf '%s\n' '{"jsonrpc":"2.0","method":"notifications/initialized"}' >&3
for url in "$@"; do
    printf '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fetch_url","arguments":{"url":"%s","timeout_seconds":20}}}\n' "$url" >&3
    answer
done
"#;

/// What it says of each address: its text, and whether that is an error.
async fn fetch(sandbox: &Sandbox, env: Vec<(String, String)>, urls: &[&str]) -> Vec<(String, bool)> {
    let plain = script("fetch", "");
    let argv = ["bash", "-c", ASK, "ask"].into_iter().chain(urls.iter().copied());
    let all: BTreeMap<_, _> = plain.env.clone().into_iter().chain(env).collect();
    let request = RunRequest { argv: argv.map(str::to_owned).collect(), env: all, ..plain };
    let done = finish(sandbox.runner(), request).await;
    let text = |line: &str| -> (String, bool) {
        let answer: Value = serde_json::from_str(line).unwrap();
        let result = &answer["result"];
        (result["content"].to_string(), result["isError"] == true)
    };
    let answers: Vec<_> = done.stdout.lines().map(text).collect();
    assert_eq!(answers.len(), urls.len(), "{done:?}");
    answers
}

fn place(name: &str, network: Network) -> Place {
    let mut place = Place::with(name, network);
    let source = Path::new(env!("CARGO_BIN_EXE_sandboxed-sh")).with_file_name("inside");
    place.spec.binds.push(Bind { source, target: "/opt/inside".into(), read_only: true, idmap: IdMap::None });
    place
}

#[tokio::test]
async fn a_page_is_fetched_where_the_network_lets_it_be_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    internet::enter(dir.path());
    // The name server says of every name that it is the first public server's; the allowlist's proxy asks the host.
    let (good, other) = ("http://good.test/page", "http://other.test/page");
    let private = "http://private.test/page";
    let bare = format!("http://{}/page", PUBLIC[0]);
    let inner: Vec<_> =
        ["127.0.0.1", HOST, PRIVATE[0], PRIVATE[3]].map(|address| format!("http://{address}/page")).into();
    let urls: Vec<&str> =
        [good, other, private, &bare].into_iter().chain(inner.iter().map(String::as_str)).collect();
    // Which of them answer, in each network.
    for (name, network, env, answered) in [
        ("fetch-host", Network::Host, Vec::new(), &[good, other, private, &bare, &inner[1]][..]),
        ("fetch-allow", rules(), proxy_env(), &[good]),
        ("fetch-none", Network::None, Vec::new(), &[]),
    ] {
        let place = place(name, network);
        let sandbox = place.start().await;
        for (url, (text, failed)) in urls.iter().zip(fetch(&sandbox, env, &urls).await) {
            let there = answered.contains(url);
            assert_eq!(text.contains("GET /page"), there, "{name} {url}: {text}");
            assert_eq!(failed, !there, "{name} {url}: {text}");
        }
        sandbox.stop(Duration::ZERO).await.unwrap();
    }
}
