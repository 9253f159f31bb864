//! Who may use a mission's own socket: processes of that mission's run, told by the kernel. The file system alone would
//! let in every worker of the same sandbox.

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use sandboxed_domain::api::{ApiError, ErrorCode};
use tokio::net::UnixListener;

use super::problem::Problem;
use super::router::Door;

/// The process at the other end, as it was when it connected; none when the kernel cannot name it.
#[derive(Debug, Clone, Copy)]
pub struct Peer(Option<i32>);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().ok().and_then(|credentials| credentials.pid()))
    }
}

/// Refuses processes that are not of the mission's run.
pub(super) async fn require_own_process(
    State(door): State<Door>,
    ConnectInfo(Peer(pid)): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if let (Some(mission), Some(pid)) = (door.mission, pid) {
        match door.app.missions().owns_process(mission, pid).await {
            Ok(true) => return next.run(request).await,
            Ok(false) => {}
            Err(error) => return Problem::from(error).into_response(),
        }
    }
    let error = ApiError::new(ErrorCode::Forbidden, "this socket belongs to another mission")
        .hint("a worker uses the socket in its own SANDBOXED_SH_MISSION_DIR");
    Problem(error).into_response()
}
