//! A unix socket for each mission at work: its door to this daemon from inside its sandbox.

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store::{StoreError, io_error};

/// Serves one mission's socket until the token is cancelled; given by the HTTP layer.
pub type ServeSocket = Arc<dyn Fn(Uuid, UnixListener, CancellationToken) + Send + Sync>;

/// Name of the socket in a mission's directory.
pub const SOCKET_NAME: &str = "api.sock";

/// The open sockets.
#[derive(Default)]
pub(super) struct Sockets {
    serve: OnceLock<ServeSocket>,
    open: Mutex<HashMap<Uuid, CancellationToken>>,
}

impl Sockets {
    pub fn serve_with(&self, serve: ServeSocket) {
        if self.serve.set(serve).is_err() {
            tracing::error!("the mission sockets are served already");
        }
    }

    /// Opens the mission's socket in `directory`, replacing one that a former daemon left.
    pub fn open(&self, mission: Uuid, directory: &Path) -> Result<(), StoreError> {
        let Some(serve) = self.serve.get() else { return Ok(()) };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.contains_key(&mission) {
            return Ok(());
        }
        let listener = bind(directory).map_err(|source| io_error(&directory.join(SOCKET_NAME), &source))?;
        let token = CancellationToken::new();
        open.insert(mission, token.clone());
        serve(mission, listener, token);
        Ok(())
    }

    /// Closes it: its rights end with the mission's work.
    pub fn close(&self, mission: Uuid) {
        if let Some(token) = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&mission) {
            token.cancel();
        }
    }
}

/// Binds by way of the directory's descriptor, because a socket's path may have only 108 bytes.
fn bind(directory: &Path) -> std::io::Result<UnixListener> {
    let handle = std::fs::File::open(directory)?;
    let path = format!("/proc/self/fd/{}/{SOCKET_NAME}", handle.as_raw_fd());
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(&path)
}
