//! MJPEG over HTTP: `GET /d1.mjpeg`, parts of `multipart/x-mixed-replace`, as `<img src>` shows them. Loopback only, and
//! only with the desktop's token: other users of the machine reach loopback too, and so does every page in a browser. The
//! token's file is in the desktop's directory and goes with it.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::{Stream, StreamExt, stream};
use sandboxed_mcp::Token;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::task::AbortOnDropHandle;

use super::{Camera, Jpeg};
use crate::error::{Problem, Result};
use crate::session::{Desktop, Desktops};

/// Most who watch at a time, over all desktops: each is a connection.
const MOST_VIEWERS: usize = 256;
/// What parts the frames.
const BOUNDARY: &str = "frame";

/// The server, which starts when it is first asked for; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Studio(Arc<OnceCell<Running>>);

#[derive(Debug)]
struct Running {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Studio {
    /// Where a desktop is served, and the file with its token.
    ///
    /// # Errors
    /// No port or file can be had.
    pub async fn open(&self, desktops: &Desktops, desktop: &Desktop) -> Result<(SocketAddr, PathBuf)> {
        let running = self.0.get_or_try_init(|| Running::start(desktops.clone())).await?;
        let file = token_file(desktop);
        Token::of_file(&file).map_err(|error| Problem::system("write", file.display(), error))?;
        Ok((running.address, file))
    }
}

impl Running {
    async fn start(desktops: Desktops) -> Result<Self> {
        let failed = |error| Problem::system("serve", "the stream", error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let app = router(desktops);
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::warn!("the stream ends: {error}");
            }
        });
        Ok(Self { address, _task: AbortOnDropHandle::new(task) })
    }
}

fn token_file(desktop: &Desktop) -> PathBuf {
    desktop.directory().join("stream-token")
}

/// Whether this is the token of a desktop. Nobody has one before it was asked for.
fn admits(desktop: &Desktop, given: &str) -> bool {
    let file = token_file(desktop);
    file.exists() && Token::of_file(&file).is_ok_and(|token| token.is(given))
}

#[derive(Clone)]
struct Served {
    desktops: Desktops,
    viewers: Arc<Semaphore>,
}

/// The routes.
pub fn router(desktops: Desktops) -> Router {
    let served = Served { desktops, viewers: Arc::new(Semaphore::new(MOST_VIEWERS)) };
    Router::new().route("/{name}", get(watch_desktop)).with_state(served)
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    token: String,
}

async fn watch_desktop(
    State(served): State<Served>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or(&asked.token);
    let Some(name) = name.strip_suffix(".mjpeg") else {
        return (StatusCode::NOT_FOUND, "there are only /DESKTOP.mjpeg").into_response();
    };
    let desktop = match served.desktops.get(Some(name)) {
        Ok(desktop) => desktop,
        Err(problem) => return (StatusCode::NOT_FOUND, problem.message).into_response(),
    };
    if !admits(&desktop, given) {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (StatusCode::UNAUTHORIZED, challenge, "the token is missing or wrong").into_response();
    }
    let Ok(place) = Arc::clone(&served.viewers).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many watch already").into_response();
    };
    match desktop.camera() {
        Ok(camera) => {
            let kind = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
            let headers = [(header::CONTENT_TYPE, kind.as_str()), (header::CACHE_CONTROL, "no-store")];
            (headers, Body::from_stream(parts(camera, place))).into_response()
        }
        Err(problem) => (StatusCode::NOT_FOUND, problem.message).into_response(),
    }
}

struct Viewer {
    newest: watch::Receiver<Option<Jpeg>>,
    _camera: Arc<Camera>,
    _place: OwnedSemaphorePermit,
}

/// The frames that this viewer is fast enough for. The boundary follows its frame at once: browsers show a frame when
/// they have seen its end.
fn parts(camera: Arc<Camera>, place: OwnedSemaphorePermit) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let viewer = Viewer { newest: camera.watch(), _camera: camera, _place: place };
    let frames = stream::unfold(viewer, |mut viewer| async move {
        loop {
            // Ends with the desktop.
            viewer.newest.changed().await.ok()?;
            let newest = viewer.newest.borrow_and_update().clone();
            if let Some(jpeg) = newest {
                return Some((Ok(Bytes::from(part(&jpeg))), viewer));
            }
        }
    });
    stream::once(async { Ok(Bytes::from(format!("--{BOUNDARY}\r\n"))) }).chain(frames)
}

fn part(jpeg: &[u8]) -> Vec<u8> {
    let head = format!("Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
    let end = format!("\r\n--{BOUNDARY}\r\n");
    [head.as_bytes(), jpeg, end.as_bytes()].concat()
}
