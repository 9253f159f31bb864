//! One connection to the daemon: bytes and descriptors in, frames out, nothing that blocks and nothing unbounded.

use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use crate::frame;
use crate::protocol::{MAX_FDS, Request, Response};
use crate::socket;

use crate::supervisor::{Supervisor, expected_fds};

const CHUNK: usize = 64 << 10;
/// Descriptors that may wait for their frame's end.
const MAX_WAITING_FDS: usize = 2 * MAX_FDS;

/// What becomes of a connection after it was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Keep,
    Close,
}

/// An accepted connection.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    input: Vec<u8>,
    fds: Vec<OwnedFd>,
    output: Vec<u8>,
    written: usize,
    closing: bool,
    /// When it last said something.
    pub active_at: Instant,
}

impl Connection {
    /// `stream` does not block.
    pub fn new(stream: UnixStream, now: Instant) -> Self {
        let (input, fds, output) = (Vec::new(), Vec::new(), Vec::new());
        Self { stream, input, fds, output, written: 0, closing: false, active_at: now }
    }

    /// Whether an answer waits for the peer to read; until then nothing more is read from it.
    pub fn is_answering(&self) -> bool {
        !self.output.is_empty()
    }

    /// The peer sent something or is gone.
    pub fn readable(&mut self, supervisor: &mut Supervisor, now: Instant) -> Fate {
        self.active_at = now;
        let mut chunk = [0; CHUNK];
        match socket::receive(self.stream.as_fd(), &mut chunk, &mut self.fds) {
            Ok(0) => return Fate::Close,
            Ok(count) => self.input.extend_from_slice(&chunk[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return Fate::Close,
        }
        if self.fds.len() > MAX_WAITING_FDS {
            return Fate::Close;
        }
        self.serve(supervisor)
    }

    /// The peer can take more of the answer.
    pub fn writable(&mut self, supervisor: &mut Supervisor) -> Fate {
        if self.flush() == Fate::Close {
            return Fate::Close;
        }
        self.serve(supervisor)
    }

    fn serve(&mut self, supervisor: &mut Supervisor) -> Fate {
        while self.output.is_empty() {
            if self.closing {
                return Fate::Close;
            }
            let Ok(next) = frame::take(&mut self.input) else { return Fate::Close };
            let Some(body) = next else { break };
            let response = self.answer(&body, supervisor);
            let Ok(bytes) = frame::encode(&response) else { return Fate::Close };
            self.output = bytes;
            if self.flush() == Fate::Close {
                return Fate::Close;
            }
        }
        if self.input.is_empty() {
            self.input.shrink_to(CHUNK);
        }
        Fate::Keep
    }

    fn answer(&mut self, body: &[u8], supervisor: &mut Supervisor) -> Response {
        let refusal = |message: String| Response::Failed { code: "protocol".to_owned(), message };
        let request: Request = match frame::decode(body) {
            Ok(request) => request,
            Err(error) => {
                self.closing = true;
                return refusal(error.to_string());
            }
        };
        let expected = expected_fds(&request);
        let surplus = self.input.is_empty() && self.fds.len() > expected;
        if self.fds.len() < expected || surplus {
            self.closing = true;
            return refusal(format!("{expected} descriptors expected, {} came", self.fds.len()));
        }
        let fds = self.fds.drain(..expected).collect();
        supervisor.handle(request, fds)
    }

    fn flush(&mut self) -> Fate {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(0) => return Fate::Close,
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Fate::Keep,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Fate::Close,
            }
        }
        self.output = Vec::new();
        self.written = 0;
        Fate::Keep
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
