//! A blocking client of one runner. A connection carries one request at a time; it holds no state that a new connection
//! would miss, so after any error the caller connects again and repeats the request.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::frame::{self, FrameError, HEADER};
use crate::protocol::{MAX_FDS, Request, Response};
use crate::socket;

/// How long a request may wait for the runner to read or to answer.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody serves there, or the socket cannot be reached.
    #[error("no runner answers at {path}")]
    Connect {
        /// Path of the socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The runner did not read or answer in time.
    #[error("the runner did not answer in time")]
    TimedOut,
    /// The runner went away, or refused this process, before it answered.
    #[error("the runner closed the connection")]
    Closed,
    /// More descriptors than a request may carry.
    #[error("{count} descriptors are more than {MAX_FDS}")]
    TooManyFds {
        /// How many were given.
        count: usize,
    },
    /// Reading or writing failed.
    #[error("talking to the runner failed")]
    Io(#[source] io::Error),
    /// A frame was too long or not understood.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl ClientError {
    fn io(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::WouldBlock | Kind::TimedOut => Self::TimedOut,
            Kind::UnexpectedEof | Kind::BrokenPipe | Kind::ConnectionReset => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

/// A connection to a runner.
#[derive(Debug)]
pub struct RunnerClient {
    stream: UnixStream,
}

impl RunnerClient {
    /// Connects to the socket at `path`, of any length, with [`DEFAULT_TIMEOUT`].
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        Self::connect_with_timeout(path, DEFAULT_TIMEOUT)
    }

    /// Connects; each read and each write may then take as long as `timeout`, which must not be zero.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub fn connect_with_timeout(path: &Path, timeout: Duration) -> Result<Self, ClientError> {
        let open = || {
            let stream = socket::connect(path)?;
            stream.set_read_timeout(Some(timeout))?;
            stream.set_write_timeout(Some(timeout))?;
            Ok(stream)
        };
        let stream = open().map_err(|source| ClientError::Connect { path: path.to_owned(), source })?;
        Ok(Self { stream })
    }

    /// Sends `request`, with `fds` for a [`Request::Start`], and waits for the answer.
    ///
    /// # Errors
    /// When there is no answer; whether the request was carried out is then unknown, and it may be repeated on a new
    /// connection.
    pub fn request(&mut self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<Response, ClientError> {
        if fds.len() > MAX_FDS {
            return Err(ClientError::TooManyFds { count: fds.len() });
        }
        let bytes = frame::encode(request)?;
        let sent = socket::send(self.stream.as_fd(), &bytes, fds).map_err(ClientError::io)?;
        self.stream.write_all(&bytes[sent..]).map_err(ClientError::io)?;
        let mut header = [0; HEADER];
        self.stream.read_exact(&mut header).map_err(ClientError::io)?;
        let mut body = vec![0; frame::body_length(header)?];
        self.stream.read_exact(&mut body).map_err(ClientError::io)?;
        Ok(frame::decode(&body)?)
    }
}
