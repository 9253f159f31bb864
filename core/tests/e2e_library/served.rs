//! A remote behind a door: git's own HTTP service that wants a token.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::AbortHandle;

/// The token that the service takes.
pub const TOKEN: &str = "ghp-good-s3cret";

/// git's own service for one folder, for those who have the token; ends when dropped.
pub struct HttpRemote {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
    serving: AbortHandle,
}

#[derive(Clone)]
struct Service {
    root: PathBuf,
    seen: Arc<Mutex<Vec<String>>>,
}

impl HttpRemote {
    /// Serves the repository `lib.git` of this folder.
    pub async fn serve(root: &Path) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/lib.git", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let service = Service { root: root.to_owned(), seen: Arc::clone(&seen) };
        let router = Router::new().fallback(answer).with_state(service);
        let serving =
            tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }).abort_handle();
        Self { url, seen, serving }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Status and path of each answer so far.
    pub fn answers(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for HttpRemote {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(service): State<Service>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let good = format!("Basic {}", STANDARD.encode(format!("x-access-token:{TOKEN}")));
    let response = match header(&parts.headers, "authorization") == good {
        true => {
            let body = to_bytes(body, 16 << 20).await.unwrap();
            backend(&service.root, parts.method.as_str(), &parts.uri, &parts.headers, &body).await
        }
        false => {
            (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"lib\"")], "who?").into_response()
        }
    };
    service.seen.lock().unwrap().push(format!("{} {}", response.status().as_u16(), parts.uri.path()));
    response
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// One request by `git http-backend`, as the manual describes it.
async fn backend(
    root: &Path,
    method: &str,
    uri: &axum::http::Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", uri.path())
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header(headers, "content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header(headers, "content-encoding"))
        .env("GIT_PROTOCOL", header(headers, "git-protocol"))
        // Who is known may push.
        .env("REMOTE_USER", "x-access-token")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It need not read what it has no use for.
    let _ = stdin.write_all(body).await;
    drop(stdin);
    let said = child.wait_with_output().await.unwrap().stdout;
    let end = said.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(said[..end].to_vec()).unwrap();
    let mut response = Response::builder();
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap().parse::<u16>().unwrap()),
            _ => response.header(name, value),
        };
    }
    response.body(Body::from(said[end + 4..].to_vec())).unwrap()
}
