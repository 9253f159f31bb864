//! Pages of a small internet in a network namespace: a public address, a private one, a file of names.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect};
use axum::routing::get;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::stage::{Server, program};

/// Addresses of the internet, which nothing of the machine has.
const WEB: &str = "93.184.216.34";
const PROXY: &str = "10.1.2.3";
const HOSTS: &str = "127.0.0.1 localhost\n93.184.216.34 page.example\n10.1.2.3 private.example proxy.example\n\
                     93.184.216.34 mixed.example\n10.1.2.3 mixed.example\n::ffff:10.1.2.3 mapped.example\n";

/// A network of its own for this thread, what it starts, and no way out of it.
struct Internet {
    dir: TempDir,
    /// Requests to the private addresses.
    hits: Arc<AtomicUsize>,
}

fn run(program: &str, args: &[&str]) {
    let out = Command::new(program).args(args).output().unwrap();
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

impl Internet {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        // SAFETY: changes namespaces of this thread alone, which is that of one test.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) }, 0, "root is needed");
        run("mount", &["--make-rprivate", "/"]);
        run("ip", &["link", "set", "lo", "up"]);
        run("ip", &["address", "add", &format!("{WEB}/32"), "dev", "lo"]);
        run("ip", &["address", "add", &format!("{PROXY}/32"), "dev", "lo"]);
        for (name, text) in [("hosts", HOSTS), ("resolv.conf", "nameserver 127.0.0.1\n")] {
            let file = dir.path().join(name);
            fs::write(&file, text).unwrap();
            run("mount", &["--bind", file.to_str().unwrap(), &format!("/etc/{name}")]);
        }
        let hits = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&hits);
        let private = Router::new().fallback(move || {
            count.fetch_add(1, Ordering::Relaxed);
            async { "SECRET" }
        });
        for address in [PROXY, "127.0.0.1"] {
            serve(&format!("{address}:80"), private.clone()).await;
        }
        serve(&format!("{WEB}:80"), web()).await;
        Self { dir, hits }
    }

    fn root(&self) -> std::path::PathBuf {
        let root = self.dir.path().join("w");
        fs::create_dir_all(&root).unwrap();
        root
    }

    async fn server(&self) -> Server {
        self.server_with(&[]).await
    }

    async fn server_with(&self, env: &[(&str, &str)]) -> Server {
        let mut command = program(&self.root());
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command.envs(env.iter().copied());
        Server::start_command(command).await
    }
}

async fn serve(address: &str, app: Router) {
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
}

fn web() -> Router {
    let page = "<html><head><title>t</title></head><body><h1>Hello</h1><script>no()</script>\
                <p>A <a href=\"/next\">link</a>.</body></html>";
    let long: String = (0..5000).map(|n| format!("<p>paragraph number {n}</p>")).collect();
    let to = |place: &'static str| get(move || async move { Redirect::temporary(place) });
    let typed = |kind: &'static str, body: Vec<u8>| {
        get(move || {
            let body = body.clone();
            async move { ([(header::CONTENT_TYPE, kind)], body) }
        })
    };
    Router::new()
        .route("/", get(move || async move { Html(page) }))
        .route("/long", get(move || async move { Html(long.clone()) }))
        .route("/plain.rs", typed("text/plain; charset=iso-8859-1", b"caf\xe9\n".to_vec()))
        .route("/data.zip", typed("application/zip", b"PK\0\0data".to_vec()))
        .route("/p.png", typed("image/png", b"\x89PNG\r\n\x1a\nx".to_vec()))
        .route("/large", typed("application/octet-stream", vec![7; 2 << 20]))
        .route("/bomb", get(|| async { ([(header::CONTENT_ENCODING, "gzip")], bomb()) }))
        .route("/missing", get(|| async { (StatusCode::NOT_FOUND, "there is no such page").into_response() }))
        .route("/never", get(|| async { std::future::pending::<&str>().await }))
        .route("/drip", get(|| async { Body::from_stream(drip()) }))
        .route("/relative", to("/deep/../"))
        .route("/round", to("/round"))
        .route("/to-private", to("http://10.1.2.3/"))
        .route("/to-name", to("http://private.example/"))
        .route("/to-loopback", to("http://127.0.0.1/"))
        .route("/to-file", to("file:///etc/passwd"))
}

/// 200 MB of zeros, packed into 200 kB.
fn bomb() -> Vec<u8> {
    let mut packer = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = packer.stdin.take().unwrap();
    let writing = std::thread::spawn(move || {
        for _ in 0..200 {
            stdin.write_all(&[0; 1 << 20]).unwrap();
        }
    });
    let packed = packer.wait_with_output().unwrap().stdout;
    writing.join().unwrap();
    packed
}

/// A byte now, and then nothing more.
fn drip() -> impl futures::Stream<Item = std::io::Result<Vec<u8>>> {
    use futures::StreamExt;
    futures::stream::once(async { Ok(b"x".to_vec()) }).chain(futures::stream::pending())
}

#[tokio::test]
async fn pages_become_text_and_what_is_long_or_binary_a_file() {
    let internet = Internet::new().await;
    let server = internet.server().await;
    let page = server.call("fetch_url", json!({"url": "http://page.example/relative"})).await;
    assert!(page.block(0).contains("# Hello") && page.block(0).contains("/next"), "{page:?}");
    assert!(!page.block(0).contains("no()"));
    assert!(page.block(1).starts_with("[http://page.example/: status 200, text/html, "), "{}", page.block(1));
    let raw = server.call("fetch_url", json!({"url": "http://page.example", "raw": true})).await;
    assert!(raw.block(0).contains("<script>"), "{raw:?}");
    let text = server.call("fetch_url", json!({"url": format!("http://{WEB}/plain.rs")})).await;
    assert_eq!(text.block(0), "café\n");
    let long = server.call("fetch_url", json!({"url": "http://page.example/long"})).await;
    assert!(long.block(0).len() <= 30_000 && long.block(0).starts_with("paragraph number 0\n"), "{long:?}");
    assert!(long.block(1).contains("read_file has the rest"), "{}", long.block(1));
    let rest = server.call("read_file", json!({"path": long.fact("path"), "offset": -1})).await;
    assert_eq!(rest.block(0), "paragraph number 4999\n");
    let data = server.call("fetch_url", json!({"url": "http://page.example/data.zip"})).await;
    let path = data.fact("path").as_str().unwrap().to_owned();
    assert!(path.ends_with("download.zip") && data.link().unwrap().ends_with(&path), "{data:?}");
    assert_eq!(fs::read(internet.root().join(path)).unwrap(), b"PK\0\0data");
    let picture = server.call("fetch_url", json!({"url": "http://page.example/p.png"})).await;
    assert_eq!(picture.0.content[1].as_image().unwrap().mime_type, "image/png");
    let saved =
        server.call("fetch_url", json!({"url": "http://page.example/data.zip", "path": "a/b.zip"})).await;
    assert_eq!(saved.fact("path"), "a/b.zip");
    assert_eq!(fs::read(internet.root().join("a/b.zip")).unwrap(), b"PK\0\0data");
    let again = json!({"url": "http://page.example/", "path": "a/b.zip"});
    assert_eq!(server.problem("fetch_url", again).await["code"], "already_exists");
    let missing = server.call("fetch_url", json!({"url": "http://page.example/missing", "path": "m"})).await;
    assert!(
        missing.is_error() && missing.block(0) == "there is no such page" && missing.fact("status") == 404
    );
    assert!(!internet.root().join("m").exists(), "a page of an error is not what was wanted");
    server.leave().await;
}

#[tokio::test]
async fn neither_name_nor_redirect_leads_to_private_addresses() {
    let internet = Internet::new().await;
    let server = internet.server().await;
    for place in [
        "http://10.1.2.3/",
        "http://127.0.0.1/",
        "http://localhost/",
        "http://private.example/",
        "http://mixed.example/",
        "http://mapped.example/",
        "http://page.example/to-private",
        "http://page.example/to-name",
        "http://page.example/to-loopback",
        "http://169.254.169.254/latest/meta-data/",
    ] {
        let problem = server.problem("fetch_url", json!({"url": place})).await;
        assert_eq!(problem["code"], "address_refused", "{place}: {problem}");
    }
    for (place, code) in [
        ("http://page.example/to-file", "invalid_argument"),
        ("http://page.example/round", "fetch_failed"),
        ("http://nowhere.example/", "fetch_failed"),
        ("http://page.example:81/", "fetch_failed"),
    ] {
        let problem = server.problem("fetch_url", json!({"url": place, "timeout_seconds": 1})).await;
        assert_eq!(problem["code"], code, "{place}: {problem}");
    }
    assert_eq!(internet.hits.load(Ordering::Relaxed), 0, "nobody even knocked");
    server.leave().await;
}

#[tokio::test]
async fn size_and_time_have_limits() {
    let internet = Internet::new().await;
    let server = internet.server().await;
    for place in ["large", "bomb"] {
        let arguments = json!({"url": format!("http://page.example/{place}"), "max_bytes": 1 << 20});
        let problem = server.problem("fetch_url", arguments).await;
        assert_eq!(
            (&problem["code"], &problem["field"]),
            (&json!("too_large"), &json!("max_bytes")),
            "{problem}"
        );
    }
    for place in ["never", "drip"] {
        let begun = Instant::now();
        let arguments = json!({"url": format!("http://page.example/{place}"), "timeout_seconds": 0.5});
        assert_eq!(server.problem("fetch_url", arguments).await["code"], "timed_out", "{place}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
    let state = internet.root().join(".workspace-mcp/answers");
    assert!(!state.exists(), "nothing is kept of what failed");
    server.leave().await;
}

/// A proxy that notes what it is asked for and connects to the web, whatever was asked.
async fn proxy() -> Arc<tokio::sync::Mutex<Vec<String>>> {
    let listener = TcpListener::bind(format!("{PROXY}:3128")).await.unwrap();
    let asked = Arc::new(tokio::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.unwrap());
            }
            let line = String::from_utf8_lossy(&head).lines().next().unwrap().to_owned();
            let allowed = line.starts_with("CONNECT only-there.example:80 ");
            noted.lock().await.push(line);
            if !allowed {
                client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await.unwrap();
                continue;
            }
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let mut web = tokio::net::TcpStream::connect((WEB, 80)).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut web).await });
        }
    });
    asked
}

#[tokio::test]
async fn the_proxy_of_the_environment_is_asked_and_its_refusal_holds() {
    let internet = Internet::new().await;
    let asked = proxy().await;
    let place = format!("http://{PROXY}:3128");
    let server = internet.server_with(&[("HTTP_PROXY", &place), ("HTTPS_PROXY", &place)]).await;
    // Its name is known to the proxy alone, which looks it up.
    let page = server.text("fetch_url", json!({"url": "http://only-there.example/"})).await;
    assert!(page.contains("Hello"), "{page}");
    let refused = server.problem("fetch_url", json!({"url": "https://page.example/"})).await;
    assert_eq!(refused["code"], "fetch_failed", "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("403"), "{refused}");
    let private = server.problem("fetch_url", json!({"url": "http://127.0.0.1/"})).await;
    assert_eq!(private["code"], "address_refused");
    assert_eq!(
        *asked.lock().await,
        ["CONNECT only-there.example:80 HTTP/1.1", "CONNECT page.example:443 HTTP/1.1"]
    );
    assert_eq!(internet.hits.load(Ordering::Relaxed), 0);
    server.leave().await;
}

/// A server of one page over TLS, with a certificate by an authority of its own.
struct Secure {
    child: std::process::Child,
    authority: String,
}

impl Secure {
    fn start(dir: &Path) -> Self {
        let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        let (authority, ca_key, own, key) =
            (file("ca.pem"), file("ca.key"), file("own.pem"), file("own.key"));
        let new = [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ];
        let of = |args: &[&str]| run("openssl", &[&new[..], args].concat());
        of(&["-subj", "/CN=test", "-keyout", &ca_key, "-out", &authority]);
        let names =
            ["-addext", "subjectAltName=DNS:page.example", "-addext", "basicConstraints=critical,CA:FALSE"];
        let signed = [
            "-subj",
            "/CN=page.example",
            "-CA",
            &authority,
            "-CAkey",
            &ca_key,
            "-keyout",
            &key,
            "-out",
            &own,
        ];
        of(&[&signed[..], &names].concat());
        let address = format!("{WEB}:443");
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", &address, "-cert", &own, "-key", &key, "-www"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It says so when it listens.
        let mut said = String::new();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
        while !said.contains("ACCEPT") {
            assert!(std::io::BufRead::read_line(&mut lines, &mut said).unwrap() > 0, "{said}");
        }
        Self { child, authority }
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn https_is_fetched_when_the_certificate_is_trusted_and_not_else() {
    let internet = Internet::new().await;
    let secure = Secure::start(internet.dir.path());
    let trusting = internet.server_with(&[("SSL_CERT_FILE", &secure.authority)]).await;
    let page = trusting.text("fetch_url", json!({"url": "https://page.example/"})).await;
    assert!(page.contains("s_server") && page.contains("TLSv1.3"), "{page}");
    let other = trusting.problem("fetch_url", json!({"url": format!("https://{WEB}/")})).await;
    assert_eq!(other["code"], "fetch_failed", "a certificate for another name: {other}");
    trusting.leave().await;
    let wary = internet.server().await;
    let refused = wary.problem("fetch_url", json!({"url": "https://page.example/"})).await;
    assert_eq!(refused["code"], "fetch_failed", "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("certificate"), "{refused}");
    wary.leave().await;
}
