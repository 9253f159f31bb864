//! A unix socket for each mission at work: its door to this daemon from inside its sandbox.

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    serve: Option<ServeSocket>,
    open: HashMap<Uuid, CancellationToken>,
    /// Bound by adopted missions before there is anybody to serve them; who connects meanwhile waits.
    unserved: Vec<(Uuid, UnixListener, CancellationToken)>,
}

impl Sockets {
    pub fn serve_with(&self, serve: ServeSocket) {
        let mut state = self.state();
        for (mission, listener, token) in std::mem::take(&mut state.unserved) {
            serve(mission, listener, token);
        }
        if state.serve.replace(serve).is_some() {
            tracing::error!("the mission sockets are served already");
        }
    }

    /// Opens the mission's socket in `directory`, replacing one that a former daemon left.
    pub fn open(&self, mission: Uuid, directory: &Path) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.open.contains_key(&mission) {
            return Ok(());
        }
        let listener = bind(directory).map_err(|source| io_error(&directory.join(SOCKET_NAME), &source))?;
        let token = CancellationToken::new();
        state.open.insert(mission, token.clone());
        match &state.serve {
            Some(serve) => serve(mission, listener, token),
            None => state.unserved.push((mission, listener, token)),
        }
        Ok(())
    }

    /// Closes it: its rights end with the mission's work.
    pub fn close(&self, mission: Uuid) {
        if let Some(token) = self.state().open.remove(&mission) {
            token.cancel();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Binds by way of the directory's descriptor, because a socket's path may have only 108 bytes. A link that a worker put
/// in the directory's place is not followed.
fn bind(directory: &Path) -> std::io::Result<UnixListener> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let handle = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(directory)?;
    let path = format!("/proc/self/fd/{}/{SOCKET_NAME}", handle.as_raw_fd());
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(&path)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_socket_that_was_opened_before_it_could_be_served_is_served_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let (sockets, mission) = (Sockets::default(), Uuid::new_v4());
        sockets.open(mission, directory.path()).unwrap();
        let early = std::os::unix::net::UnixStream::connect(directory.path().join(SOCKET_NAME));
        assert!(early.is_ok(), "who connects meanwhile waits");
        let (served, seen) = mpsc::channel();
        sockets.serve_with(Arc::new(move |id, _, token| served.send((id, token)).unwrap()));
        let (id, token) = seen.try_recv().unwrap();
        sockets.open(mission, directory.path()).unwrap();
        assert!(id == mission && seen.try_recv().is_err(), "once");
        sockets.close(mission);
        assert!(token.is_cancelled());
    }
}
